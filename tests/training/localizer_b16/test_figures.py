"""Figures: thresholds come from other folds; alarms from photographs of other folds."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from sidscan.training.localizer_b16.agreement import AT_HALF, THRESHOLDS, agreement
from sidscan.training.localizer_b16.figures import fold_alarms, photograph_figures, tuned_thresholds
from sidscan.training.localizer_b16.photographs import (
    DRAWN,
    SUSPECTS,
    PhotographResult,
    alarm_level,
    drawn,
    stand_for,
    suspects,
)
from sidscan.training.localizer_b16.results import Result
from sidscan.training.windows.corpus import FOLDS, Window


def test_agreement_at_every_threshold() -> None:
    synthetic = np.zeros((16, 16), bool)
    synthetic[:8] = True
    values = np.where(synthetic, 0.72, 0.33).astype(np.float32)
    found = agreement(values, synthetic)
    assert found["iou"] is not None
    assert [round(iou, 3) for iou in found["iou"]] == [0.5] * 6 + [1.0] * 8 + [0.0] * 5
    assert found["marked"][AT_HALF] == 0.5
    assert found["ap"] == 1.0


@pytest.mark.parametrize(("synthetic", "iou"), [(False, None), (True, 1.0)], ids=["none", "all"])
def test_whole_images_have_no_average_precision(synthetic: bool, iou: float | None) -> None:
    values = np.full((8, 8), 0.9 if synthetic else 0.1, np.float32)
    found = agreement(values, np.full((8, 8), synthetic))
    assert found["ap"] is None
    assert (found["iou"][AT_HALF] if found["iou"] else None) == iou


def photographs(count: int) -> list[Window]:
    return [Window(f"{i}.jpg", False, "web", f"owner/{i}", "MIT") for i in range(count)]


def test_one_photograph_in_a_hundred_exceeds_the_alarm() -> None:
    values = np.arange(300) / 300
    alarm = alarm_level(values, photographs(300))
    assert (values > alarm).sum() == 3


def read(contrast: float, marked: float = 0.0, again: float | None = None) -> PhotographResult:
    shares = [marked] * len(THRESHOLDS)
    overlapping = None if again is None else {"contrast": again, "marked": shares}
    return {"apart": {"contrast": contrast, "marked": shares}, "overlapping": overlapping}  # type: ignore[typeddict-item]


def test_photographs_that_are_read_again_stand_for_all() -> None:
    first = [read(float(i), again=float(i)) for i in range(500)]
    apart = [each["apart"] for each in first]
    chosen, lot = suspects(apart), drawn(apart)
    assert (len(chosen), len(lot)) == (SUSPECTS, DRAWN)
    assert not set(chosen) & set(lot)
    assert 499 in chosen
    results = [each if i in {*chosen, *lot} else read(float(i)) for i, each in enumerate(first)]
    counts = stand_for(results)
    assert counts.sum() == pytest.approx(500)
    assert set(counts[chosen]) == {1.0}
    assert not counts[[i for i in range(500) if i not in {*chosen, *lot}]].any()


def test_the_alarm_of_a_fold_is_set_by_the_others() -> None:
    images = photographs(500)
    folds = [i % FOLDS for i in range(500)]
    unlike = [2.0 if fold == 2 else 0.0 for fold in folds]  # one fold is unlike the others
    results = [read(contrast, marked=0.1, again=contrast) for contrast in unlike]
    alarms = fold_alarms(images, results, folds)
    assert alarms[0] == alarms[1] == [2.0, 2.0, 0.0, 2.0, 2.0]
    everything = photograph_figures(images, results, folds, alarms)[-1]
    assert (everything["kind"], everything["images"], everything["repositories"]) == ("all", 500, 500)
    assert (everything["apart"], everything["marked"]) == (0.2, 0.1)
    assert everything["interval"] == [0.1673, 0.2373]
    assert (everything["again"], everything["again_alarms"]) == (500, 100)


def result(fold: int, best: float) -> Result:
    iou = [1 - abs(threshold - best) for threshold in THRESHOLDS]
    return {
        "kind": "inserted",
        "area": 0.05,
        "number": fold,
        "condition": "JPEG 95",
        "fold": fold,
        "repos": [],
        "side": 560,
        "synthetic": 0.05,
        "contrast": 1.0,
        "maps": {"m": {"marked": [0.0] * len(THRESHOLDS), "iou": iou, "ap": 0.5}},
    }


def test_thresholds_are_chosen_on_other_folds() -> None:
    results = [
        result(0, 0.9),
        *(result(fold, 0.2) for fold in range(1, FOLDS)),
        *(result(fold, 0.2) for fold in range(1, FOLDS)),
    ]
    chosen = [THRESHOLDS[index] for index in tuned_thresholds(results, "m")]
    assert chosen[0] == 0.2
