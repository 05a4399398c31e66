"""The bytes of a URL; with `models.download` the only code that touches the network."""
