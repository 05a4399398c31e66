"""Crops and scores of windows; tests/models/families/test_mini.py compares them with a scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sample_images import photo

from sidscan.training.windows.window_score import LOGIT, SMALLER_SIDE, ten_crops, window_score

PIXELS = np.asarray(photo(300, 260))


@pytest.mark.parametrize(("mirror_invariant", "needed"), [(False, 10), (True, 5)])
def test_the_crops_an_encoder_has_to_read(mirror_invariant: bool, needed: int) -> None:
    _, crops, indices = ten_crops(PIXELS, mirror_invariant)
    assert crops.shape == (needed, 3, 224, 224)
    assert (len(indices), len(set(indices))) == (10, needed)


def test_a_score_is_the_mean_of_ten_logits() -> None:
    crop_set, _, _ = ten_crops(PIXELS, mirror_invariant=False)
    score = window_score(torch.tensor([1.0, 3.0] * 5), crop_set, PIXELS)
    assert (score.logit, score.spread, score.side) == (2.0, 1.0, 260)
    assert 0 < score.detail <= 1
    assert (score[LOGIT], score[SMALLER_SIDE]) == (2.0, 260)
