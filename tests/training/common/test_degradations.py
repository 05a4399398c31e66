"""Degradations: names, sizes, and pixels that repeat."""

from __future__ import annotations

import numpy as np
import pytest
from sample_images import photo

from sidscan.errors import UsageError
from sidscan.training.common.degradations import KINDS, Degradation, curve, parse_degradation, rng_of

NOT_THERE = (
    "jpeg",
    "jpeg-0",
    "jpeg-101",
    "jpeg-7.5",
    "jpeg-75-2",
    "resize-0",
    "blur-x",
    "noise-nan",
    "noise-0.00001",
    "rain-1",
)


@pytest.mark.parametrize("text", [*NOT_THERE, "shared-2048-85", "shared-2048-85-0", "shared-2048-0-1"])
def test_a_perturbation_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a perturbation"):
        parse_degradation(text)


def test_only_resizing_and_sharing_change_the_size() -> None:
    pixels = np.asarray(photo(60, 40))
    assert Degradation().apply(pixels) is pixels
    assert parse_degradation("resize-0.5").apply(pixels).shape == (20, 30, 3)
    assert parse_degradation("shared-30-75-2").apply(pixels).shape == (20, 30, 3)
    for text in ("jpeg-75", "blur-1.5", "noise-5", "shared-2048-85-1"):
        changed = parse_degradation(text).apply(pixels)
        assert changed.shape == pixels.shape
        assert (changed != pixels).any()
        assert parse_degradation(text).name == text


def test_a_second_upload_changes_pixels_again_and_once_is_a_jpeg() -> None:
    pixels = np.asarray(photo(60, 40))
    once, twice = (parse_degradation(f"shared-2048-75-{times}").apply(pixels) for times in (1, 2))
    assert (once == parse_degradation("jpeg-75").apply(pixels)).all()
    assert (once != twice).any()


def test_noise_belongs_to_the_bytes_and_has_the_sigma_of_its_name() -> None:
    grey, noise = np.full((200, 200, 3), 128, np.uint8), parse_degradation("noise-10")
    first, again, other = (noise.apply(grey, rng_of(data)) for data in (b"a", b"a", b"b"))
    assert (first == again).all()
    assert (first != other).any()
    assert (first.astype(float) - 128).std() == pytest.approx(10, rel=0.02)


def test_every_point_of_a_curve_is_called_as_it_is_read() -> None:
    points = [each for kind in KINDS for each in curve(kind)]
    assert [parse_degradation(each.name) for each in points] == points
    precise = parse_degradation("blur-1.23456789")
    assert (precise.name, precise.values) == ("blur-1.23457", (1.23457,))
