"""Thumbnails: small, turned as EXIF states, of the image's own pixels, and never the price of a score."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from sidscan.config import ReadLimits
from sidscan.images import crops, decode, items
from sidscan.images.decode import SourceImage
from sidscan.images.thumbnails import SIDE, small_image
from sidscan.images.thumbnails import thumbnail as as_webp
from sidscan.records import DecodedImage, ImageInfo, Item

# Corners: top left red, top right green, bottom left blue, bottom right white.
QUARTERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
RED, GREEN, BLUE, WHITE = "red", "green", "blue", "white"
# EXIF 2.3, tag 0x0112: where the stored corners lie when the image is shown, in reading order
SHOWN = {
    1: (RED, GREEN, BLUE, WHITE),
    2: (GREEN, RED, WHITE, BLUE),
    3: (WHITE, BLUE, GREEN, RED),
    4: (BLUE, WHITE, RED, GREEN),
    5: (RED, BLUE, GREEN, WHITE),
    6: (BLUE, RED, WHITE, GREEN),
    7: (WHITE, GREEN, BLUE, RED),
    8: (GREEN, WHITE, RED, BLUE),
}


def thumbnail(source: SourceImage, data: bytes, orientation: int | None) -> bytes:
    return as_webp(small_image(source, data, orientation))


def quarters(width: int, height: int) -> Image.Image:
    return Image.fromarray(QUARTERS).resize((width, height), Image.Resampling.NEAREST)


def encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)  # type: ignore[arg-type]
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    return image.convert("RGB")


def corner_names(image: Image.Image) -> tuple[str, ...]:
    def name(pixel: tuple[int, ...]) -> str:
        bright = tuple(channel > 128 for channel in pixel)
        names: dict[tuple[bool, ...], str] = {
            (True, False, False): RED,
            (False, True, False): GREEN,
            (False, False, True): BLUE,
        }
        return names.get(bright, WHITE)

    width, height = image.size
    places = [(x, y) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return tuple(name(image.getpixel(place)) for place in places)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", [None, *SHOWN])
def test_a_thumbnail_is_turned_as_exif_states(orientation: int | None) -> None:
    data = encoded(quarters(600, 400), format="PNG")
    image = opened(thumbnail(decode.decode(data), data, orientation))
    assert image.size == ((SIDE, 107) if (orientation or 1) < 5 else (107, SIDE))
    assert corner_names(image) == SHOWN[orientation or 1]


def test_a_large_jpeg_of_which_only_rows_were_decoded_is_shown_whole() -> None:
    data = encoded(quarters(2400, 1800), format="JPEG", quality=90)
    source = decode.decode(data, ReadLimits(), partial(crops.needed_rows, crops="ten"))
    assert source.decoded_rows, "or the test shows nothing"
    assert corner_names(opened(thumbnail(source, data, 1))) == SHOWN[1]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_has_a_thumbnail(mode: str) -> None:
    image = quarters(900, 600).convert(mode)  # large enough to be reduced first
    data = encoded(image, format="TIFF" if mode == "CMYK" else "PNG")
    assert opened(thumbnail(decode.decode(data), data, None)).size == (SIDE, 107)


def test_what_is_transparent_shows_on_grey() -> None:
    data = encoded(Image.new("RGBA", (200, 200), (255, 0, 0, 0)), format="PNG")
    pixel = opened(thumbnail(decode.decode(data), data, None)).getpixel((80, 80))
    assert pixel == pytest.approx((160, 160, 160), abs=3)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (40, 30), (4000, 40), (40, 4000)])
def test_odd_sizes_have_a_thumbnail_that_is_not_larger(width: int, height: int) -> None:
    data = encoded(Image.new("RGB", (width, height)), format="PNG")
    small = opened(thumbnail(decode.decode(data), data, None))
    assert small.width <= min(width, SIDE)
    assert small.height <= min(height, SIDE)


def read(data: bytes, thumbnails: bool) -> DecodedImage:
    *_, result = items.decode_item(Item("a"), data, ImageInfo(), ReadLimits(thumbnails=thumbnails))
    assert isinstance(result, DecodedImage)
    return result


def test_thumbnails_are_made_only_if_asked_for_and_change_nothing_else() -> None:
    data = encoded(quarters(300, 200), format="JPEG")
    with_one, without = read(data, True), read(data, False)
    assert with_one.thumbnail
    assert without.thumbnail == b""
    assert with_one.facts == without.facts
    assert np.array_equal(with_one.crop_set.crops, without.crop_set.crops)


@pytest.mark.parametrize(
    ("size", "options", "partly"),
    [((2500, 2000), {}, False), ((4200, 3000), {}, True), ((4200, 3000), {"progressive": True}, False)],
    ids=["5 megapixels", "12", "12, progressive"],
)
def test_a_jpeg_is_decoded_twice_only_where_that_is_quicker(
    size: tuple[int, int], options: dict[str, object], partly: bool
) -> None:
    data, rows = encoded(quarters(*size), format="JPEG", **options), partial(crops.needed_rows, crops="ten")
    quick = decode.decode(data, ReadLimits(), rows)
    source = decode.decode(data, ReadLimits(thumbnails=True), rows)
    assert (bool(quick.decoded_rows), bool(source.decoded_rows)) == (True, partly)
    assert np.array_equal(crops.crop(source, "ten").crops, crops.crop(quick, "ten").crops)


def test_an_image_without_thumbnail_keeps_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    data = encoded(quarters(300, 200), format="PNG")
    expected = read(data, False)
    monkeypatch.setattr(items, "thumbnail", fail)
    result = read(data, True)
    assert replace(result, crop_set=expected.crop_set) == expected


def test_an_image_that_its_container_turned_is_not_turned_again() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(quarters(320, 240), format="HEIF", exif=exif.tobytes())
    result = read(data, True)
    assert result.facts.exif.orientation == 6
    assert "rotated_by_container" in result.facts.flags
    assert corner_names(opened(result.thumbnail)) == SHOWN[6]
