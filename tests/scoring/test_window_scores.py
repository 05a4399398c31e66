"""All windows of an image become one score map per detector."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sidscan.errors import ImageError
from sidscan.models.abstention import Abstention
from sidscan.models.detector_info import DetectorInfo
from sidscan.records import CropSet
from sidscan.runtimes import RuntimeInfo
from sidscan.scoring.evidence import sigmoid
from sidscan.scoring.window_scores import score_windows


class Redness:
    """Logits are the red of a window's first pixel, its negative, and what a probe would say."""

    info = RuntimeInfo("test", "cpu", "fp32")
    batch, at_once, devices = 40, 1, 1
    detectors: tuple[DetectorInfo, ...] = (
        DetectorInfo("red", "d1", 0.5, {}, {}),
        DetectorInfo("minus-red", "d2", 0.25, {}, {}, Abstention(detail=0.5)),
    )

    def __init__(self) -> None:
        self.calls: list[int] = []

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        self.calls.append(len(crops.order))
        red = crops.pixels()[:, 0, 0, 0].astype(np.float32)
        red[red == 255] = np.nan
        return np.stack([red, -red, 99 + red], axis=1)

    def abandon(self) -> None:
        pass


def image(width: int, height: int) -> NDArray[np.uint8]:
    """Half of it is noise, half is black; two pixels at the beginnings of windows are red."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, width // 2 :] = np.random.default_rng(0).integers(0, 99, (height, width - width // 2, 3))
    pixels[0, ::64] = 0
    pixels[0, 0], pixels[0, width - 224] = (3, 0, 0), (2, 0, 0)
    return pixels


def test_each_window_has_a_score_where_it_lies() -> None:
    runtime, done = Redness(), list[int]()
    red, minus_red = score_windows(
        image(448, 224), runtime, (0.7, 0.2), 256, batch=3, orientation=6, made_by="t", done=done.append
    )
    assert (red.lefts, red.tops) == ((0, 64, 128, 192, 224), (0,))
    assert red.scores == ((round(sigmoid(3), 4), 0.5, 0.5, 0.5, round(sigmoid(2), 4)),)
    assert (red.highest, red.above, red.windows, red.stride) == ((round(sigmoid(3), 4), 0, 0), 2, 5, (64, 0))
    assert (red.model, red.digest, red.threshold, red.side) == ("red", "d1", 0.7, 224)
    assert (minus_red.model, minus_red.digest, minus_red.threshold) == ("minus-red", "d2", 0.2)
    assert (red.orientation, red.made_by) == (6, "t")
    assert done == runtime.calls == [3, 2]


def test_windows_without_the_detail_that_the_model_needs_count_nowhere() -> None:
    red, minus_red = score_windows(image(448, 224), Redness(), (0.7, 0.2), 256, batch=40)
    assert red.flat == ((False,) * 5,), "a single pixel differs in the first"
    assert minus_red.flat == ((True, True, False, False, False),)
    assert minus_red.highest == (0.5, 128, 0)
    assert minus_red.in_words() == (
        "highest 0.500 at x 128, y 0; 2 of 3 (66.7 %) reach the threshold 0.200; "
        "2 too flat to judge, not counted"
    )


def test_a_plain_image_has_nothing_to_judge() -> None:
    red, _ = score_windows(np.full((300, 300, 3), 7, np.uint8), Redness(), (0.7, 0.2), 256, batch=40)
    assert (red.highest, red.above) == (None, 0)
    assert red.in_words() == "all windows are too flat to judge"
    assert red.grid_in_words() == "9 windows of 224 x 224 pixels, every 64 px across and 64 px down"


def test_a_small_image_is_one_padded_window() -> None:
    red, _ = score_windows(image(226, 40)[:, :200], Redness(), (0.7, 0.2), 256, batch=40)
    assert (red.lefts, red.tops, red.stride) == ((-12,), (-92,), (0, 0))
    assert red.grid_in_words() == "1 window of 224 x 224 pixels"


def test_values_that_are_not_finite_give_no_map() -> None:
    pixels = image(448, 224)
    pixels[0, 64] = 255
    with pytest.raises(ImageError, match="not a finite number; no map is shown"):
        score_windows(pixels, Redness(), (0.7, 0.2), 256, batch=40)
