"""Trainable heads as networks: the features that an encoder gives for a crop -> one logit per crop."""
