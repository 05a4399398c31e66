"""Measures detectors on labelled test sets: `sidscan evaluate`."""
