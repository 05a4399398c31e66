"""How work is spread over workers; nothing about what the work is."""
