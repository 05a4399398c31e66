"""One file per kind of detector: its state-dict layout, its network, its catalog entries."""
