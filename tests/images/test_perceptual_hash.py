"""The perceptual hash: nearly the same for copies, empty for what has no detail, and asked for."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps
from sample_images import scene

from sidscan.config import ReadLimits
from sidscan.images import items
from sidscan.images.decode import source_from_pillow
from sidscan.images.perceptual_hash import SIDE, bit_order, perceptual_hash, without_border
from sidscan.images.thumbnails import small_image
from sidscan.records import DecodedImage, ImageInfo, Item


def hash_of(image: Image.Image, orientation: int | None = None) -> str:
    return perceptual_hash(small_image(source_from_pillow(image), b"", orientation))


def distance(one: str, other: str) -> int:
    """Bits that differ."""
    assert one
    assert other
    return (int(one, 16) ^ int(other, 16)).bit_count()


def saved_as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


@pytest.mark.parametrize(
    ("copy", "most"),
    [
        pytest.param(lambda image: image, 0, id="itself"),
        pytest.param(lambda image: saved_as_jpeg(image, 50), 6, id="saved as JPEG"),
        pytest.param(lambda image: image.resize((240, 180)), 6, id="half as large"),
        pytest.param(lambda image: image.resize((700, 525)), 6, id="enlarged"),
        pytest.param(lambda image: image.convert("L"), 3, id="grey"),
        pytest.param(lambda image: image.point(lambda value: value * 0.8), 6, id="darker"),
        pytest.param(lambda image: ImageOps.expand(image, 20, "white"), 40, id="framed"),
    ],
)
def test_copies_have_nearly_the_same_hash(copy, most) -> None:  # type: ignore[no-untyped-def]
    assert distance(hash_of(scene(1)), hash_of(copy(scene(1)))) <= most


@given(st.integers(0, 3), st.tuples(*[st.integers(0, 30)] * 4), st.sampled_from(list(Image.Transpose)))
def test_a_border_is_the_same_however_an_image_is_turned(
    noise: int, widths: tuple[int, int, int, int], turn: Image.Transpose
) -> None:
    image = ImageOps.expand(scene(noise, 90, 60), widths, fill="white").convert("L")
    assert without_border(image.transpose(turn)).tobytes() == without_border(image).transpose(turn).tobytes()


def test_the_hash_is_the_same_on_every_machine() -> None:
    """Whole numbers: a change here means that hashes of earlier reports find nothing any more."""
    pixels = (np.add.outer(np.arange(96) ** 2, np.arange(64) ** 3) * 2654435761 >> 7) % 256
    assert (
        perceptual_hash(Image.fromarray(pixels.astype(np.uint8)))
        == "7b01ee934719380c2fa3b474d113cd3c71fc9390dab8fc76a381f6349dcfdb93"
    )


def test_other_images_differ_in_about_half_of_the_bits() -> None:
    hashes = [hash_of(scene(seed)) for seed in range(40)]
    distances = [distance(one, other) for i, one in enumerate(hashes) for other in hashes[:i]]
    assert min(distances) > 80
    assert np.mean(distances) == pytest.approx(127.5, abs=3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_turned_by_exif_has_the_hash_of_one_turned_for_good(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene(2)
    stored.info["exif"] = exif.tobytes()
    assert distance(hash_of(scene(2), orientation), hash_of(ImageOps.exif_transpose(stored))) <= 3


def blank(draw: object = None) -> Image.Image:
    return Image.new("RGB", (300, 400), "white")


def gradient() -> Image.Image:
    return Image.linear_gradient("L").resize((300, 200)).convert("RGB")


def disc() -> Image.Image:
    image = blank()
    ImageDraw.Draw(image).ellipse((100, 150, 200, 250), fill="black")
    return image


def nearly_white() -> Image.Image:
    noise = np.random.default_rng(3).normal(250, 1, (400, 300)).clip(0, 255).astype(np.uint8)
    return saved_as_jpeg(Image.fromarray(noise), 80)


@pytest.mark.parametrize("make", [blank, gradient, disc, nearly_white])
def test_an_image_without_detail_has_an_empty_hash(make) -> None:  # type: ignore[no-untyped-def]
    assert hash_of(make()) == ""


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 300), (300, 2), (3, 3), (17, 33)])
def test_odd_sizes(width: int, height: int) -> None:
    assert re.fullmatch("([0-9a-f]{64})?", hash_of(scene(4, width, height)))


def test_bits_stand_in_squares_the_lowest_frequencies_first() -> None:
    order = bit_order()
    assert sorted(order) == list(range(SIDE * SIDE))
    rows, columns = np.divmod(order[:64], SIDE)
    assert (rows.max(), columns.max()) == (7, 7)
    assert order[0] == 0, "the mean brightness, whose bit is 0"


def test_a_border_without_a_sharp_edge_stays() -> None:
    """A dark sky is no border: a brighter copy would lose other rows."""
    image = scene(5)
    dark = Image.fromarray((np.asarray(image) * np.linspace(0, 1, 360)[:, None, None]).astype(np.uint8))
    brighter = dark.point(lambda value: min(255, int(value * 1.3)))
    assert distance(hash_of(dark), hash_of(brighter)) <= 12


def read(data: bytes, limits: ReadLimits) -> DecodedImage:
    *_, result = items.decode_item(Item("a"), data, ImageInfo(), limits)
    assert isinstance(result, DecodedImage)
    return result


@pytest.mark.parametrize("thumbnails", [True, False])
def test_hashes_are_made_only_if_asked_for_and_change_nothing_else(thumbnails: bool) -> None:
    file = io.BytesIO()
    scene(6).save(file, "PNG")
    without = read(file.getvalue(), ReadLimits(thumbnails=thumbnails))
    with_one = read(file.getvalue(), ReadLimits(thumbnails=thumbnails, find_copies=True))
    assert without.facts.perceptual_hash is None
    assert with_one.facts == replace(without.facts, perceptual_hash=hash_of(scene(6)))
    assert with_one.thumbnail == without.thumbnail


def test_a_large_jpeg_of_which_only_rows_were_decoded_has_the_hash_of_the_whole() -> None:
    image, file = scene(7, 2400, 1800), io.BytesIO()
    image.save(file, "JPEG", quality=90)
    result = read(file.getvalue(), ReadLimits(find_copies=True))
    assert distance(str(result.facts.perceptual_hash), hash_of(image)) <= 3
