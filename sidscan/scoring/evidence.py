"""A logit in words, relative to the model's threshold: the bands of evidence."""

from __future__ import annotations

import math

# Lower bounds of the bands, on the score relative to a model's threshold.
_BANDS = ((0.9, "very strong"), (0.7, "strong"), (0.5, "moderate"), (0.0, "weak"))


def evidence(logit: float, threshold: float) -> str:
    """A logit in words: weak < 0.5 <= moderate < 0.7 <= strong < 0.9 <= very strong.

    The scale is the score after shifting logits so that the model's threshold falls on 0.5.
    """
    return band(logit - logit_of(threshold))


def logit_of(score: float) -> float:
    """The inverse of `sigmoid`; 0 < score < 1."""
    return math.log(score / (1 - score))


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)), for logits of any size."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def band(margin: float) -> str:
    """A logit's distance from the threshold in words."""
    if margin < 0:  # however little: a sigmoid would round it to 0.5
        return "weak"
    return next(word for bound, word in _BANDS if sigmoid(margin) >= bound)
