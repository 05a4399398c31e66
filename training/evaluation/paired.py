"""Several detectors on the same images: tests of differences, and which images only one of them finds.

The test is that of DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated
receiver operating characteristic curves", Biometrics 44 (1988); placements by ranks as Sun and Xu, IEEE
Signal Processing Letters 21 (2014), compute them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_IMAGE = ["set", "label", "path"]  # what two detectors' rows are paired by


@dataclass(frozen=True)
class DeLong:
    """A test whether two detectors have the same AUROC.

    Attributes:
        difference: AUROC of the first minus that of the second, a fraction.
        error: standard error of the difference.
        p: two-sided p-value; NaN where the error is 0 and the difference is not.
    """

    difference: float
    error: float
    p: float

    @property
    def low(self) -> float:
        """Lower bound of the 95 % interval."""
        return self.difference - 1.959963984540054 * self.error

    @property
    def high(self) -> float:
        """Upper bound of the 95 % interval."""
        return self.difference + 1.959963984540054 * self.error


@dataclass(frozen=True)
class PairedTest:
    """Two detectors on the images of a set that both have scored."""

    set: str
    first: str
    second: str
    real: int
    synthetic: int
    result: DeLong


@dataclass(frozen=True)
class Agreement:
    """One detector among others, over distinct images that all of them have scored.

    Attributes:
        found, flagged: synthetic and real images above the threshold.
        only_found, only_flagged: those that no other detector has above it.
        only_missed: synthetic images that all others have above it.
    """

    model: str
    synthetic: int
    real: int
    found: int
    only_found: int
    only_missed: int
    flagged: int
    only_flagged: int


def delong(real: tuple[Floats, Floats], synthetic: tuple[Floats, Floats]) -> DeLong:
    """Compare two detectors.

    Args:
        real, synthetic: scores of the first and of the second detector, (n,) each, of the same images in the
            same order; at least two images of each label.
    """
    above_real = [_placements(s, r) for r, s in zip(real, synthetic, strict=True)]
    below_synthetic = [1 - _placements(r, s) for r, s in zip(real, synthetic, strict=True)]
    difference = float(above_real[0].mean() - above_real[1].mean())
    variance = sum(
        float(np.var(one[0] - one[1], ddof=1)) / len(one[0]) for one in (above_real, below_synthetic)
    )
    error = math.sqrt(max(variance, 0.0))
    if error == 0:
        return DeLong(difference, error, 1.0 if difference == 0 else math.nan)
    return DeLong(difference, error, math.erfc(abs(difference) / error / math.sqrt(2)))


def paired_tests(scores: pd.DataFrame) -> list[PairedTest]:
    """DeLong's test for each pair of detectors and each set, in the order of the table of scores.

    Rows without a path can't be paired; sets with fewer than two images of a label have no test.
    """
    return [
        test
        for key in dict.fromkeys(scores["set"])
        for test in _of_set(str(key), _by_model(scores[scores["set"] == key]))
    ]


def agreement(scores: pd.DataFrame, threshold: float) -> list[Agreement]:
    """What each detector finds that the others do not; empty unless several have scored the same images."""
    wide = _calls(scores, threshold)
    if wide is None:
        return []
    synthetic = wide.index.get_level_values("label") == "synthetic"
    count = wide.sum(axis=1)
    return [
        Agreement(
            model=str(model),
            synthetic=int(synthetic.sum()),
            real=int((~synthetic).sum()),
            found=int((wide[model] & synthetic).sum()),
            only_found=int((wide[model] & synthetic & (count == 1)).sum()),
            only_missed=int((~wide[model] & synthetic & (count == wide.shape[1] - 1)).sum()),
            flagged=int((wide[model] & ~synthetic).sum()),
            only_flagged=int((wide[model] & ~synthetic & (count == 1)).sum()),
        )
        for model in wide
    ]


def only_one(scores: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Images that only one of several detectors has above the threshold: set, label, path, model."""
    wide = _calls(scores, threshold, by=_IMAGE)
    images: pd.DataFrame = pd.DataFrame(columns=[*_IMAGE, "model"])
    if wide is not None:
        lone = wide[wide.sum(axis=1) == 1]
        models = lone.idxmax(axis=1).to_numpy() if len(lone) else []
        images = lone.index.to_frame(index=False).assign(model=models)
    return images


def _calls(scores: pd.DataFrame, threshold: float, by: list[str] | None = None) -> pd.DataFrame | None:
    """Whether each detector (column) has each image (row) above the threshold; None without several."""
    wide = _by_model(scores, "score", by or ["label", "path"])
    calls: pd.DataFrame = wide > threshold
    return None if wide.shape[1] < 2 or wide.empty else calls


def _by_model(scores: pd.DataFrame, values: str = "", by: list[str] | None = None) -> pd.DataFrame:
    """One row for each image that all detectors have scored, one column for each detector."""
    scored = scores[(scores["error"] == "") & (scores["path"] != "")]
    rank = values or ("logit" if scored["logit"].notna().all() else "score")
    rows = scored.drop_duplicates([*(by or _IMAGE), "model"], keep="last")
    wide = rows.set_index([*(by or _IMAGE), "model"])[rank].unstack("model")
    models = [model for model in dict.fromkeys(scores["model"]) if model in wide]
    complete: pd.DataFrame = wide[models].dropna()
    return complete


def _of_set(key: str, wide: pd.DataFrame) -> Iterator[PairedTest]:
    synthetic = wide.index.get_level_values("label") == "synthetic"
    if min(synthetic.sum(), (~synthetic).sum()) < 2:
        return
    for first, second in combinations(wide, 2):
        both = [wide[name].to_numpy(np.float64) for name in (first, second)]
        result = delong((both[0][~synthetic], both[1][~synthetic]), (both[0][synthetic], both[1][synthetic]))
        counts = int((~synthetic).sum()), int(synthetic.sum())
        yield PairedTest(key, str(first), str(second), *counts, result)


def _placements(values: Floats, others: Floats) -> Floats:
    """For each value the share of the others below it; ties count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left")
    share: Floats = (below + np.searchsorted(ordered, values, "right")) / (2 * len(others))
    return share
