"""Metadata and later frames never cost an image; damage to its pixels still does."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from sample_images import encoded, exif_block, photo
from sample_tiffs import Page, samples, tiff

from sidscan.config import ReadLimits
from sidscan.images.decode import decode
from sidscan.images.errors import Truncated, UnsupportedImage
from sidscan.images.exif import read_exif
from sidscan.images.pixels_only import leads_to_pixels, pixels_only

LENIENT = ReadLimits(allow_truncated=True)
SIDE = 96
FRAMES = [photo(SIDE, SIDE, seed) for seed in range(3)]
MANY = {"save_all": True, "append_images": FRAMES[1:]}


def pixels(data: bytes, limits: ReadLimits = LENIENT) -> NDArray[np.uint8]:
    """All decoded pixels of a file, as RGB."""
    return np.asarray(decode(data, limits).image.convert("RGB"))


def chunk(kind: bytes, body: bytes, length: int | None = None, crc: int = 0) -> bytes:
    """A chunk of PNG, with another length or CRC than it has."""
    stated = len(body) if length is None else length
    return struct.pack(">I", stated) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ crc)


PNG = encoded(FRAMES[0], "PNG")
PNG_HEAD = 33  # bytes of signature and IHDR
BIG = zlib.compress(bytes(2 << 20))
BODIES = {
    "text over 1 MB": chunk(b"zTXt", b"prompt\0\0" + BIG),
    "international text over 1 MB": chunk(b"iTXt", b"workflow\0\1\0\0\0" + BIG),
    "profile over 1 MB": chunk(b"iCCP", b"icc\0\0" + BIG),
    "profile of an unknown compression": chunk(b"iCCP", b"icc\0\7xx"),
    "profile without a name's end": chunk(b"iCCP", b"icc"),
    "wrong CRC": chunk(b"pHYs", struct.pack(">IIB", 1, 1, 0), crc=1),
    "wrong CRC of an unknown chunk": chunk(b"prVt", b"anything", crc=1),
    "short sRGB": chunk(b"sRGB", b""),
    "short gAMA": chunk(b"gAMA", b"\0"),
    "short cHRM": chunk(b"cHRM", bytes(31)),
    "short pHYs": chunk(b"pHYs", bytes(4)),
    "short tRNS": chunk(b"tRNS", b"\0"),
    "length beyond the file": chunk(b"tEXt", b"a\0b", length=0x7FFFFFFF),
    "length too short": chunk(b"tEXt", b"a\0bcdef", length=2),
    "length too long": chunk(b"tEXt", b"a\0bcdef", length=30),
    "name that is none": chunk(b"t\xff\0t", b"a\0b"),
    "name like one that pixels need": chunk(b"iDAT", b"a\0b", crc=1),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_chunk_of_png_costs_no_image(body: bytes) -> None:
    data = PNG[:PNG_HEAD] + chunk(b"eXIf", exif_block()[6:]) + body + PNG[PNG_HEAD:]
    source = decode(data)
    assert source.flags == ("metadata_skipped",)
    assert np.array_equal(pixels(data), np.asarray(FRAMES[0]))
    assert read_exif(source, data)[0].make == "Acme"


@pytest.mark.parametrize("body", [BODIES["text over 1 MB"], BODIES["length too long"]])
def test_a_chunk_behind_the_pixels_costs_nothing(body: bytes) -> None:
    data = PNG[:-12] + body + PNG[-12:]
    assert np.array_equal(pixels(data), np.asarray(FRAMES[0]))
    assert "truncated" not in decode(data, LENIENT).flags


def test_exif_in_a_text_of_png_is_kept() -> None:
    block = exif_block()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n", zip=True)
    whole = encoded(FRAMES[0], "PNG", pnginfo=text)
    data = whole[:PNG_HEAD] + BODIES["wrong CRC"] + whole[PNG_HEAD:]
    source = decode(data)
    assert read_exif(source, data)[0].make == "Acme"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data.replace(b"PLTE", b"PLTe"), id="no palette"),
        pytest.param(lambda data: data[:20] + b"\xff" + data[21:], id="header"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut"),
    ],
)
def test_chunks_that_pixels_need_cost_the_image(damage: Callable[[bytes], bytes]) -> None:
    whole = encoded(FRAMES[0].quantize(200), "PNG")
    data = whole[:PNG_HEAD] + BODIES["wrong CRC"] + whole[PNG_HEAD:]
    assert decode(data).flags == ("metadata_skipped",)
    with pytest.raises(Exception, match=r"truncated|not an image|is damaged"):
        decode(damage(data))


@pytest.mark.parametrize("name", ["IHDR", "PLTE"])
def test_the_message_names_the_damaged_chunk(name: str) -> None:
    whole = encoded(FRAMES[0].quantize(200), "PNG")
    at = whole.index(name.encode()) + 8
    with pytest.raises(UnsupportedImage, match=f"the chunk {name}, which pixels need, is damaged"):
        decode(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])


def test_a_damaged_frame_of_png_costs_no_image() -> None:
    data = encoded(FRAMES[0], "PNG", **MANY)
    for name in (b"fcTL", b"fdAT", b"acTL"):
        at = data.index(name)
        damaged = data[: at + 4] + b"\xff" * 8 + data[at + 12 :]
        assert "first_frame" in decode(damaged).flags
        assert np.array_equal(pixels(damaged), np.asarray(FRAMES[0]))


def segment(marker: int, body: bytes, length: int | None = None) -> bytes:
    """A segment of JPEG, with another length than it has."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(body) if length is None else length) + body


THUMBNAIL = encoded(photo(40, 30, 7), "JPEG")
SEGMENTS = {
    "short profile": segment(0xE2, b"ICC_PROFILE\0"),
    "short Adobe": segment(0xEE, b"Adobe\0"),
    "short JFIF": segment(0xE0, b"JFIF\0"),
    "length 0": segment(0xE5, b"", length=0),
    "length 1": segment(0xE5, b"", length=1),
    "length beyond the file": segment(0xE1, b"Exif\0\0" + bytes(99), length=0xFFFF),
    "length that ends within a thumbnail": segment(0xE1, b"Exif\0\0" + THUMBNAIL, length=200),
    "length that ends before a thumbnail": segment(0xE1, b"Exif\0\0" + THUMBNAIL, length=8),
    "length that ends within the next segment": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0", length=60),
    "marker that is none": b"\xff\x05" + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0")[2:],
    "marker of a frame": segment(0xC0, b"Exif\0\0MM\0*"),
    "marker of a scan": segment(0xDA, b"ICC_PROFILE\0\1\1abc"),
    "bytes between segments": b"\0" * 40,
}


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("part", SEGMENTS.values(), ids=SEGMENTS.keys())
def test_a_segment_of_jpeg_costs_no_image(part: bytes, mode: str, options: dict[str, object]) -> None:
    whole = encoded(FRAMES[0].convert(mode), "JPEG", exif=exif_block(), **options)
    data = whole[:20] + part + whole[20:]
    source = decode(data)
    assert set(source.flags) <= {"metadata_skipped"}
    assert np.array_equal(pixels(data), pixels(whole))
    if "metadata_skipped" in source.flags and part not in (SEGMENTS["length beyond the file"],):
        assert read_exif(source, data)[0].make in ("Acme", None)


def test_a_segment_that_ends_anywhere_in_its_thumbnail_costs_no_image() -> None:
    whole = encoded(FRAMES[0], "JPEG")
    marks = [at for at in range(len(THUMBNAIL)) if THUMBNAIL[at] == 0xFF or at < 30]
    for length in (8 + mark for mark in marks):
        data = whole[:20] + segment(0xE1, b"Exif\0\0" + THUMBNAIL, length) + whole[20:]
        assert decode(data).flags == ("metadata_skipped",)
        assert np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(whole))))


def test_a_thumbnail_without_an_end_changes_nothing() -> None:
    whole = encoded(FRAMES[0], "JPEG")
    data = whole[:20] + segment(0xE1, b"Exif\0\0" + THUMBNAIL[:-2]) + whole[20:]
    assert np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(whole))))


def test_colours_that_only_a_damaged_segment_states_cost_the_image() -> None:
    whole = encoded(FRAMES[0].convert("CMYK"), "JPEG")
    at = whole.index(b"\xff\xee")
    data = whole[:at] + segment(0xEE, b"Adobe\0") + whole[at + 16 :]
    with pytest.raises(Exception, match="not an image"):
        decode(data)


@pytest.mark.parametrize(
    ("marker", "name"), [(0xDB, "quantisation"), (0xC4, "codes"), (0xC0, "frame"), (0xDD, "restarts")]
)
def test_segments_that_pixels_need_cost_the_image(marker: int, name: str) -> None:
    """Where one of them is lost beside damaged metadata, nothing else is taken for it."""
    whole = encoded(FRAMES[0], "JPEG", restart_marker_blocks=3, quality=60, optimize=True)
    at = whole.index(bytes([0xFF, marker]))
    data = whole[:2] + SEGMENTS["short profile"] + whole[2 : at + 1] + b"\x02" + whole[at + 2 :]
    with pytest.raises(Exception, match=r"not an image|broken|truncated|cannot"):
        decode(data)


def test_a_damaged_index_of_frames_in_jpeg_costs_no_image() -> None:
    whole = encoded(FRAMES[0], "MPO", **MANY)
    at = whole.index(b"MPF\0")
    data = whole[: at + 8] + b"\xff" * 12 + whole[at + 20 :]
    assert np.array_equal(pixels(data), pixels(whole))
    for length in range(0, 1000, 97):
        jumped = whole[: at - 2] + struct.pack(">H", length) + whole[at:]
        assert np.array_equal(pixels(jumped), pixels(whole))


GIF = encoded(FRAMES[0].quantize(64), "GIF", comment=b"a comment", save_all=True, append_images=FRAMES[1:])


@pytest.mark.parametrize("share", [0.34, 0.36, 0.4, 0.5, 0.7, 0.9, 0.99])
def test_a_gif_that_ends_behind_its_first_frame_costs_nothing(share: float) -> None:
    first = len(encoded(FRAMES[0].quantize(64), "GIF", comment=b"a comment"))
    for end in (first + 1, first + 4, first + 9, int(first + share * (len(GIF) - first))):
        assert np.array_equal(pixels(GIF[:end]), pixels(GIF))
        assert "truncated" not in decode(GIF[:end], LENIENT).flags


@pytest.mark.parametrize("value", [0, 1, 5, 30, 120, 255])
def test_an_extension_of_gif_costs_no_image(value: int) -> None:
    at = GIF.index(b"a comment") - 1
    data = GIF[:at] + bytes([value]) + GIF[at + 1 :]
    assert np.array_equal(pixels(data), pixels(GIF))
    assert "metadata_skipped" in decode(data).flags


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 80}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("name", [b"ICCP", b"EXIF", b"XMP "])
@pytest.mark.parametrize("length", [0, 3, 1000, 0xFFFFFFFF])
def test_a_chunk_of_webp_costs_no_image(
    name: bytes, length: int, mode: str, options: dict[str, object]
) -> None:
    image = FRAMES[0].convert(mode)
    if mode == "RGBA":
        image.putalpha(FRAMES[1].convert("L"))
    whole = encoded(image, "WEBP", exif=exif_block(), icc_profile=b"p" * 90, xmp=b"x" * 80, **options)
    at = whole.index(name, 30) + 4
    data = whole[:at] + struct.pack("<I", length) + whole[at + 4 :]
    source = decode(data)
    assert np.array_equal(pixels(data), pixels(whole))
    assert ("alpha_dropped" in source.flags) == ((mode == "RGBA" and "lossless" in options) or mode == "RGBA")


def test_a_damaged_frame_of_webp_costs_no_image() -> None:
    whole = encoded(FRAMES[0], "WEBP", lossless=True, **MANY)
    at = whole.index(b"ANMF", whole.index(b"ANMF") + 4)
    for damaged in (whole[:at] + b"\xff" * 200 + whole[at + 200 :], whole[: at + 50], whole[: at + 3]):
        assert "first_frame" in decode(damaged).flags
        assert np.array_equal(pixels(damaged), pixels(whole))


def test_a_webp_that_lacks_bytes_of_its_pixels_is_truncated() -> None:
    whole = encoded(FRAMES[0], "WEBP", lossless=True, exif=exif_block())
    middle = len(whole) // 2
    with pytest.raises(Truncated):
        decode(whole[:middle] + whole[middle + 6 :])


@pytest.mark.parametrize("following", [1, 8, 10**6, 2**31, 2**32 - 2])
@pytest.mark.parametrize("deflate", [False, True])
def test_a_page_of_tiff_that_is_not_there_costs_nothing(following: int, deflate: bool) -> None:
    values = samples(30, 40, 3)
    data = tiff(Page(values, deflate=deflate))
    data = data[:-4] + struct.pack("<I", following)
    assert decode(data).flags == ("first_frame",)
    assert np.array_equal(pixels(data), values)


@pytest.mark.parametrize("kind", [0, 2, 5, 7, 12, 99])
@pytest.mark.parametrize("count", [0, 1, 1000, 2**32 - 1])
def test_a_field_of_tiff_costs_no_image(kind: int, count: int) -> None:
    values = samples(30, 40, 3)
    data = tiff(Page(values, {305: [1], 700: [1], 34665: [9], 34675: [1]}))
    for tag in (305, 700, 34665, 34675):
        at = data.index(struct.pack("<HH", tag, 3))
        damaged = data[: at + 2] + struct.pack("<HII", kind, count, 2**32 - 8) + data[at + 12 :]
        assert np.array_equal(pixels(damaged), values)


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_metadata_of_boxes_cost_no_image(image_format: str) -> None:
    pytest.importorskip("pillow_heif")
    decode(PNG)  # registers the opener
    profile = b"p" * 128
    whole = encoded(FRAMES[0], image_format, exif=exif_block(), xmp=b"<x/>", icc_profile=profile)
    expected = pixels(whole)
    for name in (b"Exif\0", b"mime", b"prof"):
        at = whole.find(name)
        if at >= 0:
            data = whole[:at] + b"\0" * 4 + whole[at + 4 :]
            assert np.array_equal(pixels(data), expected)
    data = whole + struct.pack(">I", 10**6) + b"free"
    assert np.array_equal(pixels(data), expected)


def test_a_damaged_sequence_of_avif_costs_no_image() -> None:
    whole = encoded(FRAMES[0], "AVIF", speed=10, **MANY)
    at = whole.index(b"moov")
    for damaged in (
        whole[: at - 4] + b"\xff" * 4 + whole[at:],
        whole[:at] + b"\0\0\0\0" + whole[at + 4 :],
        whole[: at + 4] + b"\xff" * 60 + whole[at + 64 :],
    ):
        assert "first_frame" in decode(damaged).flags
        assert np.array_equal(pixels(damaged), pixels(whole))


WHOLE = {
    "PNG": PNG,
    "JPEG": encoded(FRAMES[0], "JPEG"),
    "GIF": encoded(FRAMES[0].quantize(64), "GIF"),
    "WEBP": encoded(FRAMES[0], "WEBP", lossless=True),
    "TIFF": encoded(FRAMES[0], "TIFF"),
    "AVIF": encoded(FRAMES[0], "AVIF", speed=10),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_image_that_lacks_a_part_still_fails(name: str, share: float) -> None:
    data = WHOLE[name]
    with pytest.raises(Exception, match=r"(?i)truncated|not an image|ends|decoder|missing|layout"):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE.keys())
def test_whole_files_lead_to_their_pixels(data: bytes) -> None:
    assert leads_to_pixels(data)
    assert decode(data).flags == ()


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_any_damage_gives_a_result_or_an_ordinary_error(name: str, chance: st.DataObject) -> None:
    data = bytearray(WHOLE[name])
    for _ in range(chance.draw(st.integers(1, 4))):
        data[chance.draw(st.integers(0, min(len(data), 400) - 1))] = chance.draw(st.integers(0, 255))
    cut = bytes(data[: chance.draw(st.integers(0, len(data)))])
    leads_to_pixels(cut)
    kept = pixels_only(cut)
    assert kept is None or kept.flags


def test_large_text_is_not_unpacked_without_end() -> None:
    """Protection against bombs stays: such texts are left out, not read."""
    bomb = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(50 << 20)))
    data = PNG[:PNG_HEAD] + bomb + PNG[PNG_HEAD:]
    source = decode(data)
    text = source.image.info.get("Raw profile type exif", "")
    assert len(text) <= 1 << 20
    with pytest.raises(ValueError, match="too large"):
        Image.open(io.BytesIO(data))
