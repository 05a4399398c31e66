"""Code that all training packages share."""
