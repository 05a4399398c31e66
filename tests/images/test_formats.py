"""JPEG 2000, Photoshop and JPEG XL: pixels are the file's, or the row fails. Names change nothing."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sample_images import encoded, exif_block, photo
from sample_psds import (
    BITMAP,
    CMYK,
    DUOTONE,
    GREY,
    INDEXED,
    LAB,
    MULTICHANNEL,
    RGB,
    psd,
    resource,
    version_info,
)
from sample_raws import box

from sidscan.config import ReadLimits
from sidscan.images import jpeg2000, jpeg_xl
from sidscan.images.decode import decode
from sidscan.images.errors import FormatNotRead, Truncated, UnsupportedImage
from sidscan.images.exif import read_exif
from sidscan.images.limits import TooManyPixels
from sidscan.util.magic import FILE_FORMATS

PHOTO = np.asarray(photo(60, 50))
PALETTE = np.random.default_rng(1).permutation(768).reshape(3, 256).astype(np.uint8)
SAVED = {
    image_format: encoded(photo(60, 50), image_format, **options)
    for image_format, options in {
        "JPEG": {},
        "PNG": {},
        "WEBP": {"lossless": True},
        "TIFF": {},
        "BMP": {},
        "GIF": {},
        "AVIF": {},
        "JPEG2000": {},
    }.items()
} | {"PSD": psd(np.moveaxis(PHOTO, -1, 0))}


def rgb(data: bytes, name: str = "") -> NDArray[np.uint8]:
    return np.asarray(decode(data, name=name).image.convert("RGB"))


def planes(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, 30, 40), dtype=np.uint8)


def grey(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(plane[..., np.newaxis], 3, axis=-1)


@pytest.mark.parametrize("image_format", SAVED)
@given(suffix=st.sampled_from([suffix for known in FILE_FORMATS for suffix in known.suffixes] + ["", ".txt"]))
def test_a_wrong_name_changes_neither_pixels_nor_flags(image_format: str, suffix: str) -> None:
    data = SAVED[image_format]
    plain, named = decode(data), decode(data, name=f"a{suffix}")
    assert (named.format, named.flags) == (plain.format, plain.flags) == (image_format, ())
    assert np.array_equal(np.asarray(named.image), np.asarray(plain.image))


def saved_jpeg2000(image: Image.Image, **options: object) -> bytes:
    return encoded(image, "JPEG2000", irreversible=False, **options)


@pytest.mark.parametrize("codestream", [False, True])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_jpeg_2000_gives_its_samples(mode: str, codestream: bool) -> None:
    image = photo(60, 50).convert(mode)
    data = saved_jpeg2000(image, no_jp2=codestream)
    if (mode, codestream) == ("RGBA", True):
        with pytest.raises(FormatNotRead, match="4 components, whose colours nothing states"):
            decode(data)
        return
    source = decode(data)
    assert (source.format, source.flags) == ("JPEG2000", ("alpha_dropped",) if "A" in mode else ())
    assert np.array_equal(rgb(data), np.asarray(image.convert("RGB")))


def test_deep_grey_jpeg_2000_gives_its_upper_8_bits() -> None:
    values = np.linspace(0, 65535, 50 * 60).astype(np.uint16).reshape(50, 60)
    data = saved_jpeg2000(Image.fromarray(values))
    assert decode(data).flags == ("reduced_to_8_bit",)
    assert np.array_equal(rgb(data), grey((values >> 8).astype(np.uint8)))


def with_samples(
    bits: int, signed: bool = False, component: int = 0, steps: tuple[int, int] = (1, 1)
) -> bytes:
    """A JPEG 2000 of RGB whose header states other samples; nothing of it is decoded."""
    data = bytearray(saved_jpeg2000(photo(60, 50)))
    at = data.find(b"\xff\x4f\xff\x51") + 42 + 3 * component
    data[at : at + 3] = bytes((bits - 1 + 128 * signed, *steps))
    return bytes(data)


def with_colours(content: bytes, mode: str = "RGB") -> bytes:
    """A JPEG 2000 with another colour specification."""
    data = saved_jpeg2000(photo(60, 50).convert(mode))
    start = data.find(b"colr") - 4
    old_header = data.find(b"jp2h") - 4
    rest = data[start + int.from_bytes(data[start : start + 4], "big") :]
    header_end = old_header + int.from_bytes(data[old_header : old_header + 4], "big")
    body = data[old_header + 8 : start] + box(b"colr", content) + rest[: header_end - (len(data) - len(rest))]
    return data[:old_header] + box(b"jp2h", body) + data[header_end:]


def profile(colours: bytes) -> bytes:
    """A colour specification by the start of an ICC profile."""
    return b"\x02\x00\x00" + bytes(16) + colours + bytes(108)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(with_samples(16), "samples of 16 bits", id="deep colours"),
        pytest.param(with_samples(10, component=2), "samples of 10 bits", id="one deep component"),
        pytest.param(with_samples(4), "samples of 8 bits", id="shallow"),
        pytest.param(with_samples(8, signed=True), "signed samples", id="signed"),
        pytest.param(with_samples(8, component=1, steps=(2, 2)), "components of different sizes", id="steps"),
        pytest.param(with_colours(b"\x01\x00\x00\x00\x00\x00\x0e"), "the colour space 14", id="Lab"),
        pytest.param(with_colours(profile(b"Lab ")), "the colour space Lab", id="Lab by a profile"),
        pytest.param(with_colours(profile(b"CMYK"), "RGBA"), "the colour space CMYK", id="CMYK by a profile"),
        pytest.param(with_colours(profile(b"GRAY")), "3 components, whose colours", id="a profile of grey"),
    ],
)
def test_jpeg_2000_that_pillow_would_read_wrongly_fails(data: bytes, reason: str) -> None:
    with pytest.raises(FormatNotRead, match=f"a JPEG 2000 image with {reason}") as error:
        decode(data)
    assert error.value.format == "JPEG2000"


def test_jpeg_2000_with_a_profile_is_read() -> None:
    assert np.array_equal(rgb(with_colours(profile(b"RGB "))), PHOTO)


def palette_jpeg_2000(colours: NDArray[np.uint8], indices: NDArray[np.uint8], depth: int = 8) -> bytes:
    """A JPEG 2000 with a palette (ISO/IEC 15444-1, I.5.3.4 and I.5.3.5)."""
    codestream = saved_jpeg2000(Image.fromarray(indices), no_jp2=True)
    height, width = indices.shape
    size = height.to_bytes(4, "big") + width.to_bytes(4, "big")
    header = box(
        b"jp2h",
        box(b"ihdr", size, b"\x00\x01\x07\x07\x00\x00"),
        box(b"colr", b"\x01\x00\x00\x00\x00\x00\x10"),
        box(b"pclr", len(colours).to_bytes(2, "big"), b"\x03", bytes((depth - 1,)) * 3, colours.tobytes()),
        box(b"cmap", b"".join(bytes((0, 0, 1, column)) for column in range(3))),
    )
    brand = box(b"ftyp", b"jp2 ", bytes(4), b"jp2 ")
    return box(b"jP  ", b"\r\n\x87\n") + brand + header + box(b"jp2c", codestream)


def test_jpeg_2000_with_a_palette_gives_its_colours_or_fails() -> None:
    indices = np.random.default_rng(0).integers(0, 4, (50, 60), dtype=np.uint8)
    colours = PALETTE.T[:4]
    assert np.array_equal(rgb(palette_jpeg_2000(colours, indices)), colours[indices])
    repeated = colours.copy()
    repeated[1] = repeated[0]  # Pillow would merge them, and shift the colours behind them
    for data in (palette_jpeg_2000(repeated, indices), palette_jpeg_2000(colours, indices, depth=9)):
        with pytest.raises(FormatNotRead, match="a palette of an unusual kind"):
            decode(data)


@given(st.binary(max_size=300))
def test_any_header_of_jpeg_2000_is_looked_at_without_an_error(data: bytes) -> None:
    for head in (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51", b""):
        assert isinstance(jpeg2000.why_unreadable(head + data), str)
        assert jpeg2000.bits_per_sample(head + data) >= 1


def as_rgb(mode: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the colours (rows, columns, channels) of a Photoshop file look like; it stores inks as light."""
    if mode == GREY:
        return grey(pixels[..., 0])
    if mode == INDEXED:
        return np.asarray(PALETTE.T[pixels[..., 0]])
    return np.asarray(Image.fromarray(255 - pixels, "CMYK").convert("RGB")) if mode == CMYK else pixels


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize(("mode", "colours"), [(GREY, 1), (INDEXED, 1), (RGB, 3), (CMYK, 4), (LAB, 3)])
def test_photoshop_files_give_their_composite(mode: int, colours: int, extra: int, packed: bool) -> None:
    channels = planes(colours + extra)
    data = psd(channels, mode, PALETTE.tobytes() if mode == INDEXED else b"", version_info(True), packed)
    source = decode(data)
    flags = (("cmyk_converted",) if mode == CMYK else ()) + (("alpha_dropped",) if extra else ())
    assert (source.format, source.flags) == ("PSD", flags)
    assert (source.width, source.height) == (40, 30)
    pixels = np.moveaxis(channels[:colours], 0, -1)
    if mode == LAB:
        stored = np.asarray(source.image)  # Pillow gives a* and b* without the 128 that it keeps them with
        assert np.array_equal(stored ^ np.array((0, 128, 128), np.uint8), pixels)
        return
    assert np.array_equal(rgb(data), as_rgb(mode, pixels))


def test_photoshop_lab_is_converted_from_d50() -> None:
    """L* 50.2, a* 72, b* 0 is sRGB 222, 35, 123 (ICC profile connection space, Bradford adaptation)."""
    channels = np.full((3, 30, 40), 128, np.uint8)
    assert np.array_equal(rgb(psd(channels, LAB))[0, 0], (119, 119, 119))
    channels[1] = 200
    assert np.abs(rgb(psd(channels, LAB))[0, 0].astype(int) - (222, 35, 123)).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(psd(planes(3), resources=version_info(False)), "no composite image", id="layers alone"),
        pytest.param(psd(planes(3).astype(np.uint16)), "samples of 16 bits", id="16 bits"),
        pytest.param(psd(planes(1) // 255, BITMAP, depth=1), "samples of 1 bits", id="bitmap"),
        pytest.param(psd(planes(3), MULTICHANNEL), "the colour mode 7", id="multichannel"),
        pytest.param(psd(planes(1), DUOTONE, b"inks"), "the colour mode 8", id="duotone"),
        pytest.param(psd(planes(1), INDEXED), "a palette of an unusual size", id="no palette"),
    ],
)
def test_photoshop_files_without_pixels_that_can_be_read_fail(data: bytes, reason: str) -> None:
    with pytest.raises(FormatNotRead, match=reason) as error:
        decode(data)
    assert str(error.value).startswith("a Photoshop image (PSD) with ")


def test_resources_of_photoshop_are_followed() -> None:
    others = resource(1005, b"odd") + resource(1039, bytes(20))
    with pytest.raises(FormatNotRead, match="no composite image"):
        decode(psd(planes(3), resources=others + version_info(False)))
    assert np.array_equal(rgb(psd(planes(3), resources=others)), np.moveaxis(planes(3), 0, -1))


@pytest.mark.parametrize("packed", [False, True])
def test_a_photoshop_file_that_was_cut_is_truncated(packed: bool) -> None:
    data = psd(planes(3), packed=packed)
    with pytest.raises(Truncated):
        decode(data[: len(data) // 2])


class JxlBits:
    """The header of a JPEG XL codestream, written by hand (ISO/IEC 18181-1, annex D)."""

    def __init__(self, *fields: tuple[int, int]) -> None:
        value = position = 0
        for content, width in fields:
            value |= content << position
            position += width
        self.data = b"\xff\x0a" + value.to_bytes(position // 8 + 20, "little")


LARGE = ((0, 1), (1, 2), (480 - 1, 13), (0, 3), (1, 2), (640 - 1, 13))  # 640 x 480 by explicit lengths
NO_EXTRA = (0, 1)  # no orientation, preview or animation
ANIMATED = ((1, 1), (0, 3), (0, 1), (0, 1), (1, 1), (0, 2), (0, 2), (0, 2), (0, 1))
DEPTH_8, DEPTH_12 = ((0, 1), (0, 2)), ((0, 1), (2, 2))
NO_CHANNELS = ((1, 1), (0, 2))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param((*LARGE, (1, 1)), (640, 480, 8, False), id="all defaults"),
        pytest.param(((1, 1), (7, 5), (1, 3), (1, 1)), (64, 64, 8, False), id="small and square"),
        pytest.param(((1, 1), (9, 5), (7, 3), (1, 1)), (160, 80, 8, False), id="small, two to one"),
        pytest.param(
            (*LARGE, (0, 1), NO_EXTRA, *DEPTH_12, *NO_CHANNELS), (640, 480, 12, False), id="12 bits"
        ),
        pytest.param(
            (*LARGE, (0, 1), *ANIMATED, *DEPTH_8, *NO_CHANNELS), (640, 480, 8, True), id="animation"
        ),
    ],
)
def test_the_header_of_jpeg_xl(fields: tuple[tuple[int, int], ...], expected: tuple[int, ...]) -> None:
    codestream = JxlBits(*fields).data
    signature = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl ", bytes(4), b"jxl ")
    parts = box(b"jxlp", bytes(4), codestream[:5]) + box(b"jxlp", b"\x80\x00\x00\x01", codestream[5:])
    for data in (codestream, signature + box(b"jxlc", codestream), signature + parts):
        header = jpeg_xl.read_header(data)
        assert (header.width, header.height, header.bits, header.animated) == expected


FLOATS = (*LARGE, (0, 1), NO_EXTRA, (1, 1))
BLACK = (*LARGE, (0, 1), NO_EXTRA, *DEPTH_8, (1, 1), (1, 2), (0, 1), (2, 2), (2, 4))  # type 4: CMYK's black


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(JxlBits(*FLOATS).data, "floating-point samples", id="floats"),
        pytest.param(JxlBits(*BLACK).data, "channels other than grey, RGB and alpha", id="CMYK"),
        pytest.param(b"\xff\x0a\x01", "ends in its header", id="cut"),
        pytest.param(b"\x00\x00\x00\x0cJXL \r\n\x87\n", "without an image", id="empty container"),
    ],
)
def test_jpeg_xl_of_other_kinds_fails(data: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_xl, "is_available", lambda: True)
    with pytest.raises(UnsupportedImage, match=message):
        decode(data)


def test_jpeg_xl_is_checked_against_the_limits_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_xl, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "imagecodecs", SimpleNamespace())
    with pytest.raises(TooManyPixels):
        decode(JxlBits(*LARGE, (1, 1)).data, ReadLimits(max_pixels=1000))


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_jpeg_xl_gives_its_upper_8_bits(channels: int, bits: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    ramp = np.add.outer(np.arange(50) * 7, np.arange(60) * 3)
    values = np.stack([ramp * (index + 1) % (1 << bits) for index in range(channels)], axis=-1)
    values = values.astype(np.uint8 if bits == 8 else np.uint16).squeeze()
    data = imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits)
    source = decode(data)
    assert source.format == "JXL"
    assert set(source.flags) == {
        *(("reduced_to_8_bit",) if bits > 8 else ()),
        *(("alpha_dropped",) if channels in (2, 4) else ()),
    }
    assert np.array_equal(np.asarray(source.image), (values >> (bits - 8)).astype(np.uint8))
    with pytest.raises(Truncated):
        decode(data[: len(data) // 2])


def test_an_animated_jpeg_xl_gives_its_first_frame() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    frames = np.stack([np.asarray(photo(60, 50, seed)) for seed in (1, 2)])
    source = decode(imagecodecs.jpegxl_encode(frames, lossless=True))
    assert source.flags == ("first_frame",)
    assert np.array_equal(np.asarray(source.image), frames[0])


@pytest.mark.parametrize("compressed", [False, True])
def test_jpeg_xl_is_not_turned_and_its_exif_is_read_or_flagged(compressed: bool) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    buffer = io.BytesIO()
    photo(60, 50).save(buffer, "JPEG", quality=95)
    data = imagecodecs.jpegxl_encode_jpeg(buffer.getvalue())
    data += box(b"brob", b"Exif", b"brotli") if compressed else box(b"Exif", bytes(4), exif_block()[6:])
    source = decode(data)
    assert (source.width, source.height) == (60, 50)
    assert np.abs(np.asarray(source.image).astype(int) - np.asarray(Image.open(buffer))).mean() < 2
    exif, flags = read_exif(source, data)
    assert (exif.orientation, flags) == ((None, ("exif_unreadable",)) if compressed else (6, ()))
