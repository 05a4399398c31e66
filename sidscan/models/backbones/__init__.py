"""Frozen encoders: uint8 crops (b, 3, 224, 224) -> features of every block (b, n, d)."""
