"""Whether a file keeps its pixel values: by its format, else by the compression that it states."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sample_images import encoded, photo

from sidscan.config import ReadLimits
from sidscan.images.items import decode_item, decode_pillow, info_from_bytes
from sidscan.images.lossless import is_lossless
from sidscan.records import DecodedImage, Item

SMALL = photo(40, 30)
FRAMES: dict[str, Any] = {"save_all": True, "append_images": [photo(40, 30).rotate(90)]}


@pytest.mark.parametrize(
    ("image_format", "options", "expected"),
    [
        pytest.param("PNG", {}, True, id="PNG"),
        pytest.param("BMP", {}, True, id="BMP"),
        pytest.param("JPEG", {"quality": 100}, False, id="JPEG"),
        pytest.param("TIFF", {}, True, id="TIFF"),
        pytest.param("TIFF", {"compression": "tiff_lzw"}, True, id="TIFF, LZW"),
        pytest.param("TIFF", {"compression": "tiff_adobe_deflate"}, True, id="TIFF, Deflate"),
        pytest.param("TIFF", {"compression": "packbits"}, True, id="TIFF, PackBits"),
        pytest.param("TIFF", {"compression": "jpeg"}, False, id="TIFF, JPEG"),
        pytest.param("TIFF", {"big_tiff": True}, True, id="BigTIFF"),
        pytest.param("WEBP", {"lossless": True}, True, id="WebP, lossless"),
        pytest.param("WEBP", {"quality": 100}, False, id="WebP, lossy"),
        pytest.param("WEBP", {"lossless": True, "exif": b"Exif\0\0MM\0*"}, True, id="WebP, extended"),
        pytest.param("WEBP", {"quality": 80, "exif": b"Exif\0\0MM\0*"}, False, id="WebP, extended, lossy"),
        pytest.param("WEBP", {"lossless": True, **FRAMES}, True, id="WebP, animated"),
        pytest.param("WEBP", {"quality": 80, **FRAMES}, False, id="WebP, animated, lossy"),
        pytest.param("GIF", {}, None, id="GIF"),
        pytest.param("AVIF", {}, None, id="AVIF"),
    ],
)
def test_the_file_tells(image_format: str, options: dict[str, Any], expected: bool | None) -> None:
    data = encoded(SMALL, image_format, **options)
    _, decoded = decode_item(Item("a"), data, info_from_bytes(data), ReadLimits())
    assert isinstance(decoded, DecodedImage)
    assert decoded.facts.lossless is expected


def test_a_lossy_webp_with_transparency_is_lossy() -> None:
    image = SMALL.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    assert is_lossless("WEBP", encoded(image, "WEBP", quality=80)) is False


@pytest.mark.parametrize("compression", [34712, 50001], ids=["JPEG 2000", "WebP"])
def test_compression_that_can_be_either_is_not_known(compression: int) -> None:
    data = bytearray(encoded(SMALL, "TIFF"))
    tag = data.index(struct.pack("<HHI", 259, 3, 1)) + 8
    data[tag : tag + 2] = struct.pack("<H", compression)
    assert is_lossless("TIFF", bytes(data)) is None


@given(st.binary(max_size=80), st.sampled_from(["TIFF", "WEBP"]), st.booleans())
def test_bytes_of_any_kind_end(data: bytes, image_format: str, headed: bool) -> None:
    head = {"TIFF": b"II*\0\x08\0\0\0", "WEBP": b"RIFF\0\0\0\0WEBP"}[image_format] if headed else b""
    assert is_lossless(image_format, head + data) in (True, False, None)


def test_an_image_of_pillow_is_of_the_format_it_was_read_from() -> None:
    with Image.open(io.BytesIO(encoded(SMALL, "PNG"))) as opened:
        read = decode_pillow(Item("a"), opened, ReadLimits())
    made = decode_pillow(Item("b"), SMALL, ReadLimits())
    assert (read.facts.lossless, made.facts.lossless) == (True, None)
