"""What can't be used is found at the start, and nothing is left out in silence."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from masked_sets import dolos_like, save_mask
from numpy.typing import NDArray
from PIL import Image

from sidscan.errors import UsageError
from sidscan.training.datasets.rows import LabelledImage
from sidscan.training.localization.examples import choose_images, list_data_set
from sidscan.training.localization.masks import read_mask, soft_target, synthetic_region
from sidscan.training.localization.pixels import UnreadableFile, squashed
from sidscan.training.localization.survey import SurveyOptions, check_masks, survey


def images_of(data: Path, black_is_synthetic: bool | None = None) -> list[LabelledImage]:
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


SOFT = np.array([[0, 64, 128, 255]], np.uint8).repeat(4, axis=0)
BINARY = np.where(SOFT > 127, np.uint8(255), np.uint8(0))


def with_palette(colours: list[int], indices: NDArray[np.uint8] = BINARY // 255) -> Image.Image:
    image = Image.fromarray(indices).convert("P")
    image.putpalette(colours)
    image.putdata(indices.ravel().tolist())
    return image


def rgba(alpha: NDArray[np.uint8], grey: NDArray[np.uint8] = SOFT) -> Image.Image:
    return Image.fromarray(np.dstack([grey, grey, grey, alpha]))


OPAQUE = np.full_like(SOFT, 255)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(Image.fromarray(SOFT), SOFT, id="8 bits"),
        pytest.param(Image.fromarray(SOFT.astype(np.uint16) * 257), SOFT, id="16 bits, soft"),
        pytest.param(Image.fromarray(BINARY > 0), BINARY, id="1 bit"),
        pytest.param(with_palette([0, 0, 0, 255, 255, 255]), BINARY, id="palette"),
        pytest.param(with_palette([255, 255, 255, 0, 0, 0]), 255 - BINARY, id="palette, white first"),
        pytest.param(Image.fromarray(SOFT).convert("RGB"), SOFT, id="RGB"),
        pytest.param(Image.merge("LA", (Image.fromarray(SOFT), Image.fromarray(OPAQUE))), SOFT, id="LA"),
        pytest.param(rgba(OPAQUE), SOFT, id="opaque RGBA"),
        pytest.param(Image.fromarray(np.zeros_like(SOFT)), np.zeros_like(SOFT), id="black"),
    ],
)
def test_plain_masks_are_read_as_they_look(
    tmp_path: Path, stored: Image.Image, expected: NDArray[np.uint8]
) -> None:
    stored.save(tmp_path / "mask.png")
    image = LabelledImage(tmp_path, "a", True, "s", mask=tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(image), expected)
    np.testing.assert_array_equal(read_mask(replace(image, black_is_synthetic=True)), 255 - expected)


def test_soft_16_bit_masks_are_read_from_tiff_too(tmp_path: Path) -> None:
    Image.fromarray(SOFT.astype(np.uint16) * 257).save(tmp_path / "mask.tif")
    image = LabelledImage(tmp_path, "a", True, "s", mask=tmp_path / "mask.tif")
    np.testing.assert_array_equal(read_mask(image), SOFT)


@pytest.mark.parametrize(
    ("stored", "black", "message"),
    [
        pytest.param(Image.fromarray(BINARY // 255), False, "no value above 1: it is dark", id="classes"),
        pytest.param(Image.fromarray(BINARY // 2), True, "no value above 127: it is dark", id="half"),
        pytest.param(
            Image.fromarray(254 + BINARY // 255), True, "no value below 254: it is light", id="light"
        ),
        pytest.param(
            Image.fromarray(BINARY.astype(np.uint16)), False, "no value that shows", id="8 of 16 bits"
        ),
        pytest.param(with_palette([0, 0, 0, 128, 0, 0]), False, "is in colour", id="palette of classes"),
        pytest.param(Image.fromarray(np.dstack([SOFT, OPAQUE, SOFT])), False, "is in colour", id="RGB"),
        pytest.param(rgba(255 - BINARY), False, "has transparent pixels", id="RGBA"),
        pytest.param(rgba(SOFT, 0 * SOFT), False, "has transparent pixels", id="mask in the alpha channel"),
    ],
)
def test_masks_that_may_mean_several_things_are_refused(
    tmp_path: Path, stored: Image.Image, black: bool, message: str
) -> None:
    stored.save(tmp_path / "mask.png")
    image = LabelledImage(tmp_path, "a", True, "s", mask=tmp_path / "mask.png", black_is_synthetic=black)
    with pytest.raises(UnreadableFile, match=message) as caught:
        read_mask(image)
    assert str(tmp_path / "mask.png") in caught.value.message


def test_grey_masks_in_jpeg_are_not_taken_for_coloured_ones(tmp_path: Path) -> None:
    Image.fromarray(SOFT).convert("RGB").resize((64, 64)).save(tmp_path / "mask.jpg", quality=60)
    read = read_mask(LabelledImage(tmp_path, "a", True, "s", mask=tmp_path / "mask.jpg"))
    assert read[:, -8:].min() > 200


def test_masks_that_mark_nothing_are_counted_and_a_set_of_them_is_refused(data: Path) -> None:
    masks = sorted((data / "fake/ldm/masks/test").iterdir())
    empty = Image.fromarray(np.full((240, 240), 255, np.uint8))
    empty.save(masks[0])
    assert survey(images_of(data), SurveyOptions()).empty == 1
    for path in masks:
        empty.save(path)
    message = "the masks of ldm mark nothing: black counts as synthetic, and all of them are white"
    for stated in (False, True):
        with pytest.raises(UsageError, match=message):
            survey(images_of(data), SurveyOptions(polarity_stated=stated))
        with pytest.raises(UsageError, match=message):
            check_masks(images_of(data), stated)


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
        image = LabelledImage(tmp_path, "a", True, "s", mask=tmp_path / "mask.png", black_is_synthetic=black)
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
