"""Views of windows: crops of one size, drawn from a window's name and a number alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_images import photo

from sidscan.training.rine_b16.views import centre_view, random_view, upload_view
from sidscan.training.windows.corpus import Window


@pytest.fixture
def window(tmp_path: Path) -> Window:
    photo(256, 256).save(tmp_path / "w.png")
    photo(900, 700).save(tmp_path / "whole.png")
    return Window("w.png", True, "flux", "owner/name", "MIT", tmp_path)


@pytest.mark.parametrize("original", ["", "whole.png"])
def test_a_view_is_a_crop_and_does_not_change(window: Window, original: str) -> None:
    window = replace(window, original=original)
    views = [random_view(window, number) for number in (1, 2, 1)]
    assert {view.shape for view in views} == {(224, 224, 3)}
    assert np.array_equal(views[0], views[2])
    assert not np.array_equal(views[0], views[1])


def test_a_view_depends_on_the_name_of_the_window(window: Window) -> None:
    photo(256, 256).save(window.corpus / "other.png")
    first, other = (random_view(each, 1) for each in (window, replace(window, file="other.png")))
    assert not np.array_equal(first, other)


def test_an_original_fills_the_view_also_where_it_shrinks(window: Window) -> None:
    """A window of 256 px has a black border when it becomes much smaller; a region of 640 px never has."""
    window = replace(window, original="whole.png")
    borders = [random_view(window, number)[0].max() for number in range(30)]
    assert min(borders) > 0


def test_an_upload_keeps_the_size_of_the_image(window: Window) -> None:
    """Its crop is one of the image, mirrored or not, exactly or as JPEG; both happen, and neither repeats."""
    photo(228, 228).save(window.corpus / window.file)
    pixels = np.asarray(photo(228, 228)).astype(int)
    places = np.lib.stride_tricks.sliding_window_view(pixels, (224, 224), axis=(0, 1))
    errors = []
    for number in range(16):
        view = upload_view(window, number)
        assert view.shape == (224, 224, 3)
        assert np.array_equal(view, upload_view(window, number))
        errors.append(
            min(
                np.abs(places[top, left] - turned.transpose(2, 0, 1)).mean()
                for turned in (view, view[:, ::-1])
                for top in range(5)
                for left in range(5)
            )
        )
    assert min(errors) == 0
    assert 0 < max(errors) < 12
    assert len({upload_view(window, number).tobytes() for number in range(16)}) == 16


def test_an_upload_comes_from_the_whole_image(window: Window) -> None:
    whole = replace(window, original="whole.png")
    assert not np.array_equal(upload_view(window, 1), upload_view(whole, 1))


def test_the_centre_is_padded_like_a_scan() -> None:
    pixels = np.full((100, 301, 3), 7, np.uint8)
    view = centre_view(pixels)
    assert view.shape == (224, 224, 3)
    assert (view[62:162] == 7).all()
    assert not view[:62].any()
    assert not view[162:].any()
