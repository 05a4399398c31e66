"""Pixels are those of the file: every format, odd modes, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from pictures import encoded, exif_block, photo
from PIL import Image

from sidscan.readers import exif
from sidscan.readers.decode import UnsupportedPicture, decode


@pytest.mark.parametrize("picture_format", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG", "AVIF"])
def test_every_format_gives_pillows_pixels(picture_format: str) -> None:
    options = {"lossless": True} if picture_format == "WEBP" else {}
    data = encoded(photo(300, 260), picture_format, **options)
    picture = decode(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[10:234, 20:244]
    assert picture.format == picture_format
    assert (picture.width, picture.height) == (300, 260)
    assert np.array_equal(picture.window(20, 10, 224), expected)


def test_heic_is_read_with_the_extra() -> None:
    pytest.importorskip("pillow_heif")
    image = photo(300, 260)
    decode(encoded(image, "PNG"))  # registers the opener, which the test's own encoding needs too
    data = encoded(image, "HEIF", quality=95)
    picture = decode(data)
    assert (picture.format, picture.width, picture.height, picture.flags) == ("HEIF", 300, 260, ())
    assert np.abs(picture.window(0, 0, 224).astype(int) - np.asarray(image)[:224, :224]).mean() < 12


def test_heic_rotation_is_applied_by_its_decoder_and_flagged() -> None:
    pytest.importorskip("pillow_heif")
    decode(encoded(photo(8, 8), "PNG"))
    data = encoded(photo(300, 200), "HEIF", exif=exif_block())
    picture = decode(data)
    assert (picture.width, picture.height, picture.flags) == (200, 300, ("rotated_by_container",))
    assert exif.read(picture, data)[0].orientation == 6


def test_heic_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidscan.readers.decode._heif_available", lambda: False)
    with pytest.raises(UnsupportedPicture, match=r"pip install 'sidscan\[heic\]'"):
        decode(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1")


def test_mpo_shows_its_first_picture() -> None:
    first = photo(256, 256, 1)
    data = encoded(first, "MPO", save_all=True, append_images=[photo(256, 256, 2)], quality=95)
    picture = decode(data)
    assert picture.format == "MPO"
    assert picture.flags == ("first_frame",)
    assert np.abs(picture.window(0, 0, 224).astype(int) - np.asarray(first)[:224, :224]).mean() < 12


def test_animated_gif_shows_its_first_frame() -> None:
    frames = [photo(240, 240, seed).convert("P") for seed in (1, 2, 3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    picture = decode(data)
    assert picture.flags == ("first_frame",)
    assert np.array_equal(picture.window(0, 0, 224), np.asarray(frames[0].convert("RGB"))[:224, :224])


@pytest.mark.parametrize(
    ("mode", "picture_format", "flag"),
    [
        pytest.param("1", "PNG", None, id="bilevel"),
        pytest.param("L", "PNG", None, id="grey"),
        pytest.param("P", "PNG", None, id="palette"),
        pytest.param("LA", "PNG", "alpha_dropped", id="grey with alpha"),
        pytest.param("RGBA", "PNG", "alpha_dropped", id="alpha"),
        pytest.param("CMYK", "JPEG", "cmyk_converted", id="cmyk"),
        pytest.param("LAB", "TIFF", None, id="lab"),
    ],
)
def test_odd_modes_convert_as_pillow_does(mode: str, picture_format: str, flag: str | None) -> None:
    image = photo(230, 230)
    converted = Image.frombytes("LAB", image.size, image.tobytes()) if mode == "LAB" else image.convert(mode)
    data = encoded(converted, picture_format)
    picture = decode(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[:224, :224]
    assert np.array_equal(picture.window(0, 0, 224), expected)
    assert picture.flags == ((flag,) if flag else ())


def test_a_window_of_a_palette_picture_is_padded_with_black() -> None:
    image = photo(100, 100).convert("P")  # index 0 of its palette is not black
    window = decode(encoded(image, "PNG")).window(-62, -62, 224)
    assert not window[:62].any()
    assert not window[162:].any()
    assert np.array_equal(window[62:162, 62:162], np.asarray(image.convert("RGB")))


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 224 * 224).astype(np.uint16).reshape(224, 224)
    picture = decode(encoded(Image.fromarray(values), "PNG"))
    assert picture.flags == ("reduced_to_8_bit",)
    assert np.array_equal(picture.window(0, 0, 224)[..., 0], (values >> 8).astype(np.uint8))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.full((8, 8), np.nan, np.float32), "not finite", id="NaN"),
        pytest.param(np.full((8, 8), np.inf, np.float32), "not finite", id="infinity"),
        pytest.param(np.full((8, 8), 1000, np.int32), "from 1000 to 1000 have no defined", id="32-bit range"),
    ],
)
def test_pixels_without_an_8_bit_reading_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(UnsupportedPicture, match=message):
        decode(encoded(Image.fromarray(values), "TIFF"))


def test_32_bit_samples_within_8_bits_are_read() -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    window = decode(encoded(Image.fromarray(values), "TIFF")).window(0, 0, 8)
    assert np.array_equal(window[..., 0], values.astype(np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\xff", "not a picture of a supported format", id="one byte"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture", id="EPS"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture", id="SVG"),
    ],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedPicture, match=message):
        decode(data)


@pytest.mark.parametrize("picture_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_truncated_pictures_raise(picture_format: str) -> None:
    data = encoded(photo(300, 300), picture_format)
    with pytest.raises(Exception):  # noqa: B017, PT011  (each codec has its own class)
        decode(data[: len(data) * 2 // 3])


def test_declared_size_bombs_raise_before_any_pixel_is_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(Image.DecompressionBombError):
        decode(bomb)
