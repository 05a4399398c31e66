"""The cascade that training chooses, and that it decides as a scan does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sidscan.models.cascade import Cascade
from sidscan.models.detector_info import DetectorInfo
from sidscan.records import CropSet
from sidscan.scoring.cascade import Cascades
from sidscan.scoring.crop_logits import CropLogits
from sidscan.training.rine_b16.cascade import KEPT, choose_cascade, run_cascade

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("centre", "others", "crops", "logit"),
    [
        (-3.0, 5.0, 1, -3.0),
        (-2.0, -2.0, 5, -2.0),  # at the bound
        (4.0, 4.0, 5, 4.0),
        (0.5, 0.5, 10, 0.5),
        (-1.0, 0.0, 10, -0.2),
    ],
)
def test_decisions(centre: float, others: float, crops: int, logit: float) -> None:
    logits = np.full((1, 10), others)
    logits[:, [4, 9]] = centre
    outcome = run_cascade(logits, 0.0, Cascade(centre=2.0, mirrors=1.0))
    assert outcome.crops.tolist() == [crops]
    assert outcome.logits[0] == pytest.approx(logit)


def test_the_chosen_cascade_keeps_detections_and_saves_crops() -> None:
    synthetic = np.arange(2000) % 4 == 0
    level = np.where(synthetic, 2.0, -3.0) + RNG.normal(0, 1.5, 2000)
    logits = level[:, None] + RNG.normal(0, 0.7, (2000, 10))
    cascade = choose_cascade(logits, synthetic, 0.5)
    outcome = run_cascade(logits, 0.5, cascade)
    found = synthetic & (logits.mean(axis=1) >= 0.5)
    assert (outcome.logits >= 0.5)[found].mean() >= KEPT
    assert outcome.crops[~synthetic].mean() < 3
    cheaper = Cascade(centre=cascade.centre - 0.05, mirrors=cascade.mirrors)
    assert (run_cascade(logits, 0.5, cheaper).logits >= 0.5)[found].mean() < KEPT


def test_it_decides_as_a_scan_does() -> None:
    cascade, threshold = Cascade(centre=1.0, mirrors=0.5), 0.25
    logits = RNG.normal(0, 1.5, (300, 10)).astype(np.float32)
    detector = DetectorInfo("d", "", 0.5, {}, {}, cascade=cascade)
    pixels = np.zeros((300, 1, 1, 3), np.uint8)
    pixels[:, 0, 0, :2] = np.stack(np.divmod(np.arange(300), 256), axis=1)

    def look_up(crops: CropSet) -> NDArray[np.float32]:
        values = crops.crops[:, 0, 0].astype(int)
        return np.array(
            [[logits[values[i, 0] * 256 + values[i, 1], values[i, 2]]] for i, _ in crops.order], np.float32
        )

    scanned = CropLogits(look_up)
    views = []
    for image in pixels:
        crops = np.repeat(image[None], 10, axis=0)
        crops[:, 0, 0, 2] = np.arange(10)
        views.append(scanned.add(CropSet(crops, tuple((index, False) for index in range(10)))))
    by_scan = Cascades([detector], [threshold]).logits(scanned, views)
    outcome = run_cascade(logits.astype(np.float64), threshold, cascade)
    assert [len(each) for each in by_scan] == outcome.crops.tolist()
    assert {1, 5, 10} == set(outcome.crops.tolist())
    np.testing.assert_allclose([each.mean() for each in by_scan], outcome.logits, rtol=1e-5, atol=1e-6)


def test_without_a_detection_there_is_no_cascade() -> None:
    with pytest.raises(ValueError, match="0 detections"):
        choose_cascade(np.zeros((4, 10)), np.ones(4, bool), 1.0)


def test_crops_that_agree_need_no_more() -> None:
    logits = np.repeat(np.linspace(-5, 5, 100)[:, None], 10, axis=1)
    assert choose_cascade(logits, np.ones(100, bool), 0.0).centre == 0
