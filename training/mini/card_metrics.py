"""Figures for the model card of the bundled detector, from the scores of windows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score

from sidscan.images.jpeg_quality import estimate_jpeg_quality
from sidscan.models.abstention import Abstention
from sidscan.training.common.metrics import Scores, auroc, detection_metrics
from sidscan.training.windows.corpus import FOLDS, Window

from .card_format import (
    AbstentionMetrics,
    CatalogMetrics,
    ConditionMetrics,
    DataSource,
    Errors,
    FalsePositives,
    Intervals,
    Rates,
    SizeMetrics,
)
from .train import LOGIT, SMALLER_SIDE

GENERATOR_FAMILIES = {  # the first pattern that matches
    "StyleGAN, 1 to 3": r"^stylegan",
    "CLIP-guided, VQGAN, DALL-E's early kin": r"clip|vqgan|disco|glid|sleep|daze|mindalle|dalle-m|karlo",
    "other GANs": r"gan|pix2pix",
    "several, or not stated": r"/|various|unknown|unstated|mixed|misc|stated-ai|viral|^ai|^other|^comfyui",
    "DALL-E 2": r"dall-?e-?2",
    "DALL-E 3": r"dall-?e-?3",
    "GPT image models": r"gpt",
    "Gemini image models (Nano Banana)": r"gemini|banana",
    "Midjourney": r"midjourney",
    "Flux": r"flux",
    "Stable Diffusion XL": r"sdxl",
    "Stable Diffusion 3": r"^sd-?3",
    "Stable Diffusion 1 and 2": r"(^sd|stable-diffusion)-?[12]|dreamlike",
    "Stable Diffusion, version not stated": r"^sd|stable-diffusion",
    "autoregressive and masked": r"janus|llamagen|infinity|muse",
}
OTHER_GENERATORS = "other diffusion models"
MIN_OF_ONE_SIZE = 200  # windows of each label, for an AUROC among those of one size
_RESAMPLES = 1000  # bootstrap draws of whole repositories
_SEED = 0


def condition_metrics(windows: Sequence[Window], logits: Scores, threshold: float) -> ConditionMetrics:
    """All figures of one condition: logits (windows,), threshold on the score."""
    scores = scores_of_logits(logits)
    synthetic = _synthetic(windows)
    real = scores[~synthetic]
    by_repo = _groups(windows, scores, synthetic, lambda window: window.repo)
    by_family = _groups(windows, scores, synthetic, generator_family)
    return {
        **_rates(scores[synthetic], real, threshold),
        **_intervals(windows, scores),
        "auroc_of_repositories": _rounded(np.mean([auroc(group, real) for group in by_repo.values()])),
        "generators": {name: _rates(group, real, threshold) for name, group in by_family.items()},
        "real_repositories": _false_positives(
            windows, scores, ~synthetic, threshold, lambda window: window.repo
        ),
        "real_kinds": _false_positives(
            windows, scores, ~synthetic, threshold, lambda window: window.category
        ),
    }


def generator_family(window: Window) -> str:
    """The kind of generator of a synthetic window; repositories spell one in many ways."""
    name = re.sub(r"[_ ]+", "-", window.category.lower())
    matches = (family for family, pattern in GENERATOR_FAMILIES.items() if re.search(pattern, name))
    return next(matches, OTHER_GENERATORS)


def scores_of_logits(logits: Scores) -> Scores:
    """Sigmoid."""
    scores: Scores = 1 / (1 + np.exp(-logits))
    return scores


def _synthetic(windows: Sequence[Window]) -> NDArray[np.bool_]:
    return np.array([window.synthetic for window in windows])


def _rates(synthetic: Scores, real: Scores, threshold: float) -> Rates:
    exact = detection_metrics(synthetic, real, threshold)
    return {
        "real": exact.real,
        "synthetic": exact.synthetic,
        "auroc": _rounded(exact.auroc),
        "tpr_at_5": _rounded(exact.tpr_at_5),
        "tpr": _rounded(exact.tpr),
        "fpr": _rounded(exact.fpr),
    }


def _rounded(figure: float | np.floating) -> float:
    return round(float(figure), 4)


def _groups(
    windows: Sequence[Window], scores: Scores, chosen: NDArray[np.bool_], key: Callable[[Window], str]
) -> dict[str, Scores]:
    """Scores of the chosen windows by key, the largest group first."""
    keys = np.array([key(window) for window in windows])
    counts = Counter(keys[chosen].tolist())
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: scores[chosen & (keys == name)] for name in names}


def _false_positives(
    windows: Sequence[Window],
    scores: Scores,
    chosen: NDArray[np.bool_],
    threshold: float,
    key: Callable[[Window], str],
) -> dict[str, FalsePositives]:
    groups = _groups(windows, scores, chosen, key)
    return {
        name: {"n": len(group), "fpr": _rounded((group >= threshold).mean())}
        for name, group in groups.items()
    }


def _intervals(windows: Sequence[Window], scores: Scores) -> Intervals:
    """95 % intervals of figures without a threshold: whole repositories drawn with replacement, per label."""
    rng = np.random.default_rng(_SEED)
    synthetic = _synthetic(windows)
    labels = [
        list(_groups(windows, scores, label, lambda window: window.repo).values())
        for label in (synthetic, ~synthetic)
    ]
    draws = []
    for _ in range(_RESAMPLES):
        positive, negative = (
            np.concatenate([repos[index] for index in rng.integers(0, len(repos), len(repos))])
            for repos in labels
        )
        resample = detection_metrics(positive, negative, threshold=0.5)
        draws.append((resample.auroc, resample.tpr_at_5))
    low, high = np.quantile(draws, (0.025, 0.975), axis=0)
    return {
        "auroc_interval": [_rounded(low[0]), _rounded(high[0])],
        "tpr_at_5_interval": [_rounded(low[1]), _rounded(high[1])],
    }


def metrics_by_size(windows: Sequence[Window], measured: NDArray[np.float64]) -> dict[str, SizeMetrics]:
    """AUROC among windows of one size, for sizes that many windows of both labels have.

    Args:
        measured: (windows, fields of `WindowScore`).
    """
    synthetic = _synthetic(windows)
    sides = measured[:, SMALLER_SIDE]
    metrics: dict[str, SizeMetrics] = {}
    for side in sorted(set(sides.tolist()), reverse=True):
        positive, negative = (measured[(sides == side) & label, LOGIT] for label in (synthetic, ~synthetic))
        if min(len(positive), len(negative)) >= MIN_OF_ONE_SIZE:
            area = _rounded(auroc(positive, negative))
            metrics[f"{side:g}"] = {"real": len(negative), "synthetic": len(positive), "auroc": area}
    return metrics


def metrics_by_fold(
    windows: Sequence[Window], folds: Mapping[str, int], logits: Scores, threshold: float
) -> dict[str, Rates]:
    """Figures of every fold alone, by its number."""
    scores = scores_of_logits(logits)
    synthetic = _synthetic(windows)
    fold_of = np.array([folds[window.repo] for window in windows])
    return {
        str(fold): _rates(
            scores[synthetic & (fold_of == fold)], scores[~synthetic & (fold_of == fold)], threshold
        )
        for fold in range(FOLDS)
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
    synthetic = _synthetic(windows)
    scores = scores_of_logits(measured[:, LOGIT])
    reasons = [
        rule.because(int(side), detail, quality, spread)
        for (_, spread, detail, side), quality in zip(measured.tolist(), qualities, strict=True)
    ]
    abstained = np.array([bool(of_window) for of_window in reasons])
    return {
        "windows": len(windows),
        "inconclusive": {
            "real": _rounded(abstained[~synthetic].mean()),
            "synthetic": _rounded(abstained[synthetic].mean()),
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
        "auroc": _rounded(auroc(positive, negative)),
        "fpr": _rounded((negative >= threshold).mean()),
        "missed": _rounded((positive < threshold).mean()),
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


def data_sources(windows: Sequence[Window], folds: Mapping[str, int]) -> list[DataSource]:
    """One row per (repository, label): fold, windows, licences as the repository states them."""
    groups: dict[tuple[str, bool], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.repo, window.synthetic), []).append(window)
    rows: list[DataSource] = [
        {
            "fold": folds[repo],
            "repository": repo,
            "label": "synthetic" if synthetic else "real",
            "windows": len(members),
            "what": sorted({window.category for window in members}),
            "licence": ", ".join(sorted({window.licence for window in members})),
        }
        for (repo, synthetic), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return sorted(rows, key=lambda row: row["fold"])


def catalog_metrics(windows: Sequence[Window], logits: Scores, threshold: float) -> CatalogMetrics:
    """What `sidscan models list` shows of every detector."""
    scores, synthetic = scores_of_logits(logits), _synthetic(windows)
    return {
        "accuracy": _rounded(float(np.mean((scores >= threshold) == synthetic))),
        "average_precision": _rounded(float(average_precision_score(synthetic, scores))),
        "about": "five folds of its model card, ten crops, as they are; accuracy at its threshold",
    }
