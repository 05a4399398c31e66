"""Detectors: what they are (catalog), where their weights lie (store), and the networks themselves."""
