"""Fetch the bytes of URLs. Only this package and `models.download` touch the network."""
