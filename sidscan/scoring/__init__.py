"""Logits -> scores, bands of evidence, calibration."""
