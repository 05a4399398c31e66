"""Decoded pixels are those of the file: every format, unusual modes, and files that are refused."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from sample_images import encoded, exif_block, photo

from sidscan.images import decode as decode_module
from sidscan.images.decode import decode
from sidscan.images.errors import Truncated, UnsupportedImage
from sidscan.images.exif import read_exif
from sidscan.images.limits import TooManyPixels


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG", "AVIF"])
def test_every_format_gives_pillows_pixels(image_format: str) -> None:
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encoded(photo(300, 260), image_format, **options)
    source = decode(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[10:234, 20:244]
    assert source.format == image_format
    assert (source.width, source.height) == (300, 260)
    assert np.array_equal(source.window(20, 10, 224), expected)


def test_heic_is_read_with_the_extra() -> None:
    pytest.importorskip("pillow_heif")
    image = photo(300, 260)
    decode(encoded(image, "PNG"))  # registers the opener, which this test needs for encoding, too
    data = encoded(image, "HEIF", quality=95)
    source = decode(data)
    assert (source.format, source.width, source.height, source.flags) == ("HEIF", 300, 260, ())
    assert np.abs(source.window(0, 0, 224).astype(int) - np.asarray(image)[:224, :224]).mean() < 12


def test_heic_rotation_is_applied_by_its_decoder_and_flagged() -> None:
    pytest.importorskip("pillow_heif")
    decode(encoded(photo(8, 8), "PNG"))
    data = encoded(photo(300, 200), "HEIF", exif=exif_block())
    source = decode(data)
    assert (source.width, source.height, source.flags) == (200, 300, ("rotated_by_container",))
    assert read_exif(source, data)[0].orientation == 6


ORIENTATION = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00"  # an entry of EXIF, before its last byte


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stated", [1, 6], ids=["EXIF says 1", "EXIF says 6"])
def test_rotation_of_heic_follows_the_container_not_exif(orientation: int, stated: int) -> None:
    pytest.importorskip("pillow_heif")
    decode(encoded(photo(8, 8), "PNG"))
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(photo(300, 200), "HEIF", exif=exif.tobytes())
    place = data.index(ORIENTATION) + len(ORIENTATION)
    data = data[:place] + bytes([stated]) + data[place + 1 :]
    source = decode(data)
    assert source.flags == (("rotated_by_container",) if orientation > 1 else ())
    assert (source.width, source.height) == ((200, 300) if orientation > 4 else (300, 200))
    assert read_exif(source, data)[0].orientation == stated


@pytest.mark.parametrize("orientation", range(1, 9))
def test_no_rotation_of_avif_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(photo(120, 80), "AVIF", exif=exif)
    source = decode(data)
    assert (source.width, source.height, source.flags) == (120, 80, ())
    assert (read_exif(source, data)[0].orientation or 1) == orientation


def test_heic_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidscan.images.formats.heif_available", lambda: False)
    with pytest.raises(UnsupportedImage, match="pip install pillow-heif"):
        decode(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1")


def test_mpo_gives_its_first_image() -> None:
    first = photo(256, 256, 1)
    data = encoded(first, "MPO", save_all=True, append_images=[photo(256, 256, 2)], quality=95)
    source = decode(data)
    assert source.format == "MPO"
    assert source.flags == ("first_frame",)
    assert np.abs(source.window(0, 0, 224).astype(int) - np.asarray(first)[:224, :224]).mean() < 12


def test_animated_gif_gives_its_first_frame() -> None:
    frames = [photo(240, 240, seed).convert("P") for seed in (1, 2, 3)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    source = decode(data)
    assert source.flags == ("first_frame",)
    assert np.array_equal(source.window(0, 0, 224), np.asarray(frames[0].convert("RGB"))[:224, :224])


@pytest.mark.parametrize(
    ("mode", "image_format", "flag"),
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
def test_odd_modes_convert_as_pillow_does(mode: str, image_format: str, flag: str | None) -> None:
    image = photo(230, 230)
    converted = Image.frombytes("LAB", image.size, image.tobytes()) if mode == "LAB" else image.convert(mode)
    data = encoded(converted, image_format)
    source = decode(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[:224, :224]
    assert np.array_equal(source.window(0, 0, 224), expected)
    assert source.flags == ((flag,) if flag else ())


def test_a_window_of_a_palette_image_is_padded_with_black() -> None:
    image = photo(100, 100).convert("P")  # index 0 of its palette is not black
    window = decode(encoded(image, "PNG")).window(-62, -62, 224)
    assert not window[:62].any()
    assert not window[162:].any()
    assert np.array_equal(window[62:162, 62:162], np.asarray(image.convert("RGB")))


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 224 * 224).astype(np.uint16).reshape(224, 224)
    source = decode(encoded(Image.fromarray(values), "PNG"))
    assert source.flags == ("reduced_to_8_bit",)
    assert np.array_equal(source.window(0, 0, 224)[..., 0], (values >> 8).astype(np.uint8))


def _tiff_grey(values: np.ndarray, bits: int, white_is_zero: bool) -> bytes:
    """An uncompressed little-endian TIFF of 8- to 16-bit grey, written by hand (TIFF 6.0, section 4)."""
    height, width = values.shape
    if bits == 12:
        pairs = values.astype(np.uint32).reshape(-1, 2)
        joined = (pairs[:, 0] << 12) | pairs[:, 1]
        pixels = np.stack([joined >> 16, joined >> 8, joined], axis=-1).astype(np.uint8).tobytes()
    else:
        pixels = values.astype("<u2").tobytes()
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 0 if white_is_zero else 1), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(pixels))]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)
    return b"II*\x00" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize(("bits", "white_is_zero"), [(12, False), (16, False), (16, True)])
def test_deep_grey_tiffs_give_their_upper_8_bits(bits: int, white_is_zero: bool) -> None:
    values = np.linspace(0, 2**bits - 1, 224 * 224).astype(np.uint16).reshape(224, 224)
    source = decode(_tiff_grey(values, bits, white_is_zero))
    expected = (values >> (bits - 8)).astype(np.uint8)
    assert source.flags == ("reduced_to_8_bit",)
    assert np.array_equal(source.window(0, 0, 224)[..., 0], ~expected if white_is_zero else expected)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_deep_colour_pngs_are_flagged(channels: int) -> None:
    colour_type = {2: 4, 3: 2, 4: 6}[channels]
    values = np.random.default_rng(0).integers(0, 65536, (224, 224, channels), dtype=np.uint16)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 224, 224, 16, colour_type, 0, 0, 0)
    source = decode(_png((b"IHDR", header), (b"IDAT", zlib.compress(rows))))
    assert "reduced_to_8_bit" in source.flags
    assert ("alpha_dropped" in source.flags) == (channels in (2, 4))
    assert np.array_equal(source.window(0, 0, 224)[..., 0], (values[..., 0] >> 8).astype(np.uint8))


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
@pytest.mark.parametrize("key", ["transparency", "bit_depth", "original_orientation", "exif", "n_frames"])
def test_png_text_does_not_steer_the_decoder(mode: str, key: str) -> None:
    image = photo(224, 224).convert(mode)
    text = PngImagePlugin.PngInfo()
    text.add_text(key, "evil")
    data = encoded(image, "PNG", pnginfo=text)
    source = decode(data)
    assert source.flags == ()
    assert np.array_equal(source.window(0, 0, 224), np.asarray(image.convert("RGB")))
    assert read_exif(source, data)[0].orientation is None


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in (*chunks, (b"IEND", b"")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(np.full((8, 8), np.nan, np.float32), "not finite", id="NaN"),
        pytest.param(np.full((8, 8), np.inf, np.float32), "not finite", id="infinity"),
        pytest.param(
            np.full((8, 8), 1000, np.int32), "from 1000 to 1000 can't be reduced", id="32-bit range"
        ),
    ],
)
def test_pixels_that_cannot_become_8_bit_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(UnsupportedImage, match=message):
        decode(encoded(Image.fromarray(values), "TIFF"))


def test_32_bit_values_within_8_bits_are_read() -> None:
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    window = decode(encoded(Image.fromarray(values), "TIFF")).window(0, 0, 8)
    assert np.array_equal(window[..., 0], values.astype(np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"\xff", "not an image of a supported format", id="one byte"),
        pytest.param(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript or EPS file", id="EPS"
        ),
        pytest.param(
            b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing: a drawing has no pixels", id="SVG"
        ),
    ],
)
def test_files_that_are_not_images_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(UnsupportedImage, match=message):
        decode(data)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_truncated_images_raise(image_format: str) -> None:
    data = encoded(photo(300, 300), image_format)
    with pytest.raises(Truncated):
        decode(data[: len(data) * 2 // 3])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    ("share", "options"),
    [
        (0.2, {}),
        (0.5, {}),
        (0.9, {}),
        (0.5, {"subsampling": 0}),
        (0.1, {"progressive": True}),
        (0.3, {"progressive": True}),
        (0.3, {"progressive": True, "subsampling": 0}),
    ],
    ids=["a fifth", "half", "most", "4:4:4", "first scan", "progressive", "progressive 4:4:4"],
)
def test_truncation_with_a_proper_end_marker_is_flagged(
    share: float, options: dict[str, Any], mode: str
) -> None:
    whole = encoded(photo(300, 260).convert(mode), "JPEG", **options)
    assert "maybe_truncated" not in decode(whole).flags
    covered = whole[: int(len(whole) * share)].rstrip(b"\xff") + b"\xff\xd9"
    assert "maybe_truncated" in decode(covered).flags


def test_declared_size_bombs_raise_before_any_pixel_is_decoded() -> None:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    with pytest.raises(TooManyPixels, match="--max-pixels"):
        decode(_png((b"IHDR", header), (b"IDAT", zlib.compress(b""))))


def test_every_flag_is_explained_in_the_docs() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "reference" / "report-columns.md").read_text(
        encoding="utf-8"
    )
    flags = re.findall(r"^    ``(\w+)``", decode_module.__doc__ or "", flags=re.MULTILINE)
    assert len(flags) == 19
    assert [flag for flag in flags if f"| `{flag}` |" not in docs] == []


def test_pillows_warnings_never_reach_the_terminal(recwarn: pytest.WarningsRecorder) -> None:
    """Pillow warns of large images. Threads share the warning filters, so decoding must not change them."""
    before = list(warnings.filters)
    data = _png((b"IHDR", struct.pack(">IIBBBBB", 10_000, 9_500, 1, 0, 0, 0, 0)))
    with ThreadPoolExecutor(4) as pool:
        for task in [pool.submit(decode, data) for _ in range(8)]:
            assert task.exception() is not None
    assert warnings.filters == before
