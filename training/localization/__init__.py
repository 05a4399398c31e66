"""Localizers: models that say where an image is synthetic. Data with masks, metrics, training, evaluation."""
