"""Labelled data sets: one reader of manifests and of published layouts, for all that needs labels."""
