"""What can't be used is found at the start, and nothing is left out in silence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from masked_sets import dolos_like, save_mask
from PIL import Image

from sidscan.errors import UsageError
from sidscan.training.localization.examples import MaskedImage
from sidscan.training.localization.layouts import choose_images, list_data_set
from sidscan.training.localization.pixels import (
    UnreadableFile,
    read_mask,
    soft_target,
    squashed,
    synthetic_region,
)
from sidscan.training.localization.survey import SurveyOptions, survey


def images_of(data: Path, black_is_synthetic: bool | None = None) -> list[MaskedImage]:
    return choose_images(list_data_set(data), "test", real=True, black_is_synthetic=black_is_synthetic)[0]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return dolos_like(tmp_path / "dolos", {"test": 3}, ("ldm",))


def test_areas_and_digests_of_all_images(data: Path) -> None:
    seen = survey(images_of(data), SurveyOptions())
    assert not seen.left_out
    assert [one.area is None for one in seen.images] == [False] * 3 + [True] * 3
    assert all(0.1 < one.area < 0.4 for one in seen.images if one.area is not None)
    first = seen.images[0]
    assert first.sha256 == hashlib.sha256(first.image.path.read_bytes()).hexdigest()


def test_masks_that_are_read_the_wrong_way_round_raise_suspicion(data: Path) -> None:
    inverted = images_of(data, black_is_synthetic=False)
    with pytest.raises(UsageError, match="the masks of ldm are probably read the wrong way round") as caught:
        survey(inverted, SurveyOptions())
    assert "in 3 of 3 masks" in caught.value.message
    assert "--synthetic-is black" in caught.value.remedy
    seen = survey(inverted, SurveyOptions(polarity_stated=True))
    assert all(one.area > 0.5 for one in seen.images if one.area is not None)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param("images/test/001-0.png", "001-0.png can't be read", id="image"),
        pytest.param("masks/test/001-0.png", "masks.test.001-0.png can't be read", id="mask"),
    ],
)
def test_a_damaged_file_stops_the_survey_or_is_named(data: Path, file: str, message: str) -> None:
    path = data / "fake/ldm" / file
    path.write_bytes(path.read_bytes()[:200])  # truncated: never repaired in silence
    with pytest.raises(UnreadableFile, match=message):
        survey(images_of(data), SurveyOptions())
    seen = survey(images_of(data), SurveyOptions(skip_unreadable=True))
    assert list(seen.left_out) == ["fake/ldm/images/test/001-0.png"]
    assert len(seen.images) == 5


def test_a_mask_of_another_size_is_refused_unless_it_is_accepted(data: Path) -> None:
    save_mask(np.eye(120, dtype=bool), data / "fake/ldm/masks/test/001-0.png", black_is_synthetic=True)
    with pytest.raises(UnreadableFile, match=r"001-0\.png is 120x120, its image 240x240"):
        survey(images_of(data), SurveyOptions())
    assert len(survey(images_of(data), SurveyOptions(resize_masks=True)).images) == 6


def test_a_mask_of_zeros_and_ones_is_refused_and_an_empty_one_is_not(data: Path) -> None:
    image = images_of(data)[0]
    assert image.mask is not None
    Image.fromarray(np.eye(240, dtype=np.uint8)).save(image.mask)
    with pytest.raises(UnreadableFile, match="has no value above 1: it is nearly black"):
        read_mask(image)
    Image.fromarray(np.zeros((240, 240), np.uint8)).save(image.mask)
    assert (read_mask(image) == 255).all()  # of Dolos: black is synthetic


def test_a_set_of_which_nothing_can_be_read_is_refused(data: Path) -> None:
    for path in (data / "fake/ldm/masks/test").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UsageError, match="no image with a mask can be read"):
        survey(images_of(data), SurveyOptions(skip_unreadable=True))


def test_masks_become_one_where_the_image_is_synthetic(tmp_path: Path) -> None:
    region = np.zeros((8, 8), bool)
    region[:, :4] = True
    for black in (False, True):
        save_mask(region, tmp_path / "mask.png", black_is_synthetic=black)
        image = MaskedImage(tmp_path, "a", tmp_path / "mask.png", "s", black_is_synthetic=black)
        np.testing.assert_array_equal(synthetic_region(read_mask(image)), region)


def test_targets_keep_soft_edges_and_regions_are_strict() -> None:
    mask = np.array([[0, 0, 255, 255]], np.uint8).repeat(4, axis=0)
    target = soft_target(mask, 8)
    assert target.dtype == np.float32
    assert ((target > 0) & (target < 1)).any()
    assert (target.min(), target.max()) == (0, 1)
    assert synthetic_region(np.array([[127, 128]], np.uint8)).tolist() == [[False, True]]


def test_squashing_equals_torchvisions_resize() -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    pixels = np.random.default_rng(0).integers(0, 256, (300, 517, 3), dtype=np.uint8)
    theirs = transforms.Resize((224, 224))(Image.fromarray(pixels))
    np.testing.assert_array_equal(squashed(pixels), np.asarray(theirs))
