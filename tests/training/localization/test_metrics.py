"""IoU, average precision and F1 of maps, against values by hand and slow second computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from sidscan.training.localization.metrics import (
    average_precision,
    best_f1,
    f1_at,
    iou,
    map_metrics,
    pixels_off_borders,
    resized_map,
)

NOTHING, ALL = np.zeros((4, 4), bool), np.ones((4, 4), bool)
HALF = np.arange(16).reshape(4, 4) < 8


@pytest.mark.parametrize(
    ("predicted", "synthetic", "expected"),
    [
        pytest.param(NOTHING, NOTHING, 100.0, id="both empty"),
        pytest.param(ALL, ALL, 100.0, id="equal"),
        pytest.param(ALL, HALF, 50.0, id="twice as large"),
        pytest.param(HALF, ~HALF, 0.0, id="apart"),
        pytest.param(NOTHING, ALL, 0.0, id="nothing found"),
    ],
)
def test_iou_in_percent(predicted: NDArray[np.bool_], synthetic: NDArray[np.bool_], expected: float) -> None:
    assert iou(predicted, synthetic) == pytest.approx(expected, abs=1e-6)


def test_a_pixel_at_one_half_does_not_count() -> None:
    probabilities = np.full((4, 4), 0.5, np.float32)
    assert map_metrics(probabilities, ALL).iou == pytest.approx(0, abs=1e-6)
    assert map_metrics(np.nextafter(probabilities, np.float32(1)), ALL).iou == pytest.approx(100)
    assert map_metrics(probabilities, NOTHING).iou == 100


def test_metrics_that_need_a_region_are_none_without_one() -> None:
    found = map_metrics(np.full((40, 40), 0.9, np.float32), np.zeros((40, 40), bool))
    assert (found.ap, found.f1_fixed, found.f1_best) == (None, None, None)


def test_average_precision_ranks_the_pixels_of_one_image() -> None:
    perfect = HALF.astype(np.float32) * 0.2  # all below the threshold, and still a perfect order
    assert average_precision(perfect, HALF) == 1
    assert average_precision(np.full((4, 4), 0.7, np.float32), HALF) == pytest.approx(0.5)


def test_f1_ignores_what_lies_near_the_border_of_a_region() -> None:
    synthetic = np.zeros((64, 64), bool)
    synthetic[16:48, 16:48] = True
    kept, inside = pixels_off_borders(synthetic)
    assert inside.sum() == (32 - 14) ** 2  # a square of 15 takes 7 pixels off each side
    assert (~kept).sum() == (32 + 10) ** 2 - (32 - 14) ** 2  # one of 11 adds 5
    wider = np.zeros((64, 64), np.float32)
    wider[11:53, 11:53] = 1  # five pixels too far on each side: all of them are ignored
    metrics = map_metrics(wider, synthetic)
    assert (metrics.f1_fixed, metrics.f1_best) == (1, 1)
    assert metrics.iou == pytest.approx(100 * 32**2 / 42**2)


def test_a_region_that_erosion_swallows_has_no_f1() -> None:
    synthetic = np.zeros((64, 64), bool)
    synthetic[30:40, 30:40] = True
    metrics = map_metrics(synthetic.astype(np.float32), synthetic)
    assert (metrics.iou, metrics.ap, metrics.f1_fixed, metrics.f1_best) == (100, 1, None, None)


@given(
    values=arrays(np.float32, 30, elements=st.sampled_from(np.linspace(0, 1, 7, dtype=np.float32).tolist())),
    inside=arrays(np.bool_, 30),
)
def test_f1_equals_sklearns_at_every_threshold(
    values: NDArray[np.float32], inside: NDArray[np.bool_]
) -> None:
    if not inside.any():
        assert (f1_at(values, inside, 0.5), best_f1(values, inside)) == (None, None)
        return
    by_threshold = [f1_score(inside, values > value, zero_division=0) for value in np.unique(values)]
    assert f1_at(values, inside, 0.5) == pytest.approx(f1_score(inside, values > 0.5, zero_division=0))
    assert best_f1(values, inside) == pytest.approx(max(by_threshold))


def test_a_map_is_resized_to_the_mask() -> None:
    ramp = np.linspace(0, 1, 8, dtype=np.float32)[None].repeat(8, axis=0)
    assert resized_map(ramp, 8, 8) is ramp
    smaller = resized_map(ramp, 4, 4)
    assert smaller.shape == (4, 4)
    # Antialiased halving weighs four neighbours 1, 3, 3, 1; in the middle of a ramp that is their mean.
    assert smaller[0, 1] == pytest.approx(ramp[0, 2:4].mean(), abs=1e-6)
    assert resized_map(np.full((8, 8), 0.25, np.float32), 30, 17) == pytest.approx(np.full((30, 17), 0.25))


def test_resizing_equals_torchvisions() -> None:
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms.functional")
    probabilities = np.random.default_rng(0).random((32, 32), dtype=np.float32)
    for height, width in ((20, 50), (13, 13), (64, 40)):
        theirs = transforms.resize(torch.from_numpy(probabilities)[None], [height, width], antialias=True)
        np.testing.assert_allclose(resized_map(probabilities, height, width), theirs[0].numpy(), atol=1e-6)
