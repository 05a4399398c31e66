"""Where a detector abstains on windows, and the errors that this spares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.jpeg_quality import estimate_jpeg_quality
from sidscan.models.abstention import Abstention
from sidscan.training.common.metrics import Scores, auroc

from .corpus import Window, synthetic_mask
from .figure_types import AbstentionMetrics, AbstentionRule, Errors
from .figures import rounded, scores_of_logits
from .window_score import LOGIT


def abstention_rule(rule: Abstention) -> AbstentionRule:
    """As cards state it."""
    return {"side": rule.side, "detail": rule.detail, "quality": rule.quality, "spread": rule.spread}


def abstention_by_condition(
    windows: Sequence[Window],
    conditions: Iterable[str],
    measured: NDArray[np.float64],
    rule: Abstention,
    threshold: float,
) -> dict[str, AbstentionMetrics]:
    """`abstention_metrics` of every condition, by its name.

    Args:
        measured: (windows, conditions, fields of `WindowScore`).
    """
    return {
        name: abstention_metrics(windows, of_condition, window_qualities(windows, name), rule, threshold)
        for name, of_condition in zip(conditions, measured.swapaxes(0, 1), strict=True)
    }


def abstention_metrics(
    windows: Sequence[Window],
    measured: NDArray[np.float64],
    qualities: Sequence[int | None],
    rule: Abstention,
    threshold: float,
) -> AbstentionMetrics:
    """Errors of one condition over all windows, and over those that the detector did not abstain on.

    Args:
        measured: (windows, fields of `WindowScore`).
        qualities: of the file that each window would be, where it would be a JPEG.
    """
    synthetic = synthetic_mask(windows)
    scores = scores_of_logits(measured[:, LOGIT])
    reasons = [
        rule.because(int(side), detail, quality, spread)
        for (_, spread, detail, side), quality in zip(measured.tolist(), qualities, strict=True)
    ]
    abstained = np.array([bool(of_window) for of_window in reasons])
    return {
        "windows": len(windows),
        "inconclusive": {
            "real": rounded(abstained[~synthetic].mean()),
            "synthetic": rounded(abstained[synthetic].mean()),
        },
        "reasons": dict(sorted(Counter(reason for of_window in reasons for reason in of_window).items())),
        "all": _errors(scores, synthetic, np.ones_like(abstained), threshold),
        "conclusive": _errors(scores, synthetic, ~abstained, threshold),
        "silent": _errors(scores, synthetic, abstained, threshold),
    }


def _errors(
    scores: Scores, synthetic: NDArray[np.bool_], chosen: NDArray[np.bool_], threshold: float
) -> Errors | None:
    """False positives and misses at the threshold; None where a label has no window."""
    positive, negative = scores[chosen & synthetic], scores[chosen & ~synthetic]
    if not len(positive) or not len(negative):
        return None
    return {
        "real": len(negative),
        "synthetic": len(positive),
        "auroc": rounded(auroc(positive, negative)),
        "fpr": rounded((negative >= threshold).mean()),
        "missed": rounded((positive < threshold).mean()),
    }


def window_qualities(windows: Sequence[Window], condition: str) -> list[int | None]:
    """JPEG quality of the file that each window is, or would be, under a condition."""
    if condition == "clean":
        return [_file_quality(window) for window in windows]
    stated = condition.removeprefix("jpeg").strip()
    return [int(stated) if stated.isdigit() else None] * len(windows)


def _file_quality(window: Window) -> int | None:
    with Image.open(window.corpus / window.file) as image:
        return estimate_jpeg_quality(image)
