"""Decoded rows equal Pillow's bit for bit; Pillow decodes every unusual file and raises its own errors."""

from __future__ import annotations

import ctypes
import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile
from sample_images import encoded, exif_block, photo

from sidscan.config import Crops, ReadLimits
from sidscan.containers.jpeg import end_of_jpeg
from sidscan.images import crops as image_crops
from sidscan.images import decode, exif, items, libjpeg, partial_jpeg
from sidscan.records import DecodedImage, ImageInfo, Item, Kind

pytestmark = pytest.mark.skipif(
    libjpeg.pillow_library() is None,
    reason="the libjpeg-turbo of this Pillow can't be called",
)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "4:1:1", "4:4:0", "grey")
CODINGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts by row": {"restart_marker_rows": 1},
    "restarts anywhere": {"restart_marker_blocks": 7},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 5},
}
# 4:1:1 made from 4:2:0, and 4:4:0 from 4:2:2: an MCU has as many blocks, and is twice as wide or high
RESHAPED = {"4:1:1": ("4:2:0", 0x41, 2, 0.5), "4:4:0": ("4:2:2", 0x12, 0.5, 2)}
FRAME = re.compile(rb"\xff[\xc0-\xc2]\x00[\x0b\x11]\x08")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Partial decoding of small images, too, with a fresh library in which no thread is parked."""
    monkeypatch.setattr(partial_jpeg, "MIN_PIXELS_SAVED", 1)
    partial_jpeg._library.cache_clear()
    yield
    partial_jpeg._library.cache_clear()


def jpeg(subsampling: str, width: int, height: int, seed: int = 0, **options: Any) -> bytes:
    """A JPEG, also with sampling factors that Pillow's encoder cannot write."""
    if subsampling == "grey":
        return encoded(photo(width, height, seed).convert("L"), "JPEG", **options)
    if subsampling not in RESHAPED:
        return encoded(photo(width, height, seed), "JPEG", subsampling=subsampling, **options)
    source, factors, wider, higher = RESHAPED[subsampling]
    width, height = -(-width // 32) * 32, -(-height // 32) * 32  # whole MCUs for both samplings
    data = encoded(
        photo(int(width / wider), int(height / higher), seed), "JPEG", subsampling=source, **options
    )
    return reframed(data, width, height, factors)


def reframed(data: bytes, width: int, height: int, factors: int) -> bytes:
    """Replace the size and the sampling factors of the first component in the header."""
    match = FRAME.search(data)
    assert match is not None
    changed, offset = bytearray(data), match.start()
    changed[offset + 5 : offset + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    changed[offset + 11] = factors
    return bytes(changed)


@dataclass(frozen=True)
class Outcome:
    """The parts of a decoded image that a scan uses."""

    error: str = ""
    flags: tuple[str, ...] = ()
    crops: bytes = b""
    exif: str = ""


def outcome(data: bytes, crops: Crops, rows: bool, **options: Any) -> Outcome:
    """Decode partially, or with Pillow alone."""
    limits = ReadLimits(crops=crops, **options)
    try:
        source = decode.decode(data, limits, partial(image_crops.needed_rows, crops=crops) if rows else None)
        crop_set = image_crops.crop(source, crops)
    except Exception as error:
        return Outcome(error=f"{type(error).__name__}: {error}")
    return Outcome("", source.flags, crop_set.pixels().tobytes(), repr(exif.read_exif(source, data)))


def assert_same(data: bytes, partially: bool | None = True, **options: Any) -> None:
    """Assert that both ways agree; ``partially`` states whether rows are skipped, None allows both."""
    for crops in ("ten", "center"):
        assert outcome(data, crops, rows=True, **options) == outcome(data, crops, rows=False, **options)
        if partially is not None:
            height = Image.open(io.BytesIO(data)).height
            opened = decode._open(data, ReadLimits())
            assert (
                partial_jpeg.decode_rows(opened, data, image_crops.needed_rows(height, crops)) is not None
            ) == partially


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_decoded_rows_have_pillows_pixels(subsampling: str, coding: str) -> None:
    rng = np.random.default_rng(len(subsampling) * 31 + len(coding))
    for quality in (8, 95):
        width, height = (int(side) for side in rng.integers((180, 700), (400, 1100)))
        assert_same(jpeg(subsampling, width, height, quality, quality=quality, **CODINGS[coding]))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_any_rows_of_any_size(subsampling: str, coding: str) -> None:
    rng = np.random.default_rng(len(subsampling) * 17 + len(coding))
    for seed in range(15):
        width, height = (int(side) for side in rng.integers((1, 40), (120, 300)))
        data = jpeg(subsampling, width, height, seed, **CODINGS[coding])
        whole = np.asarray(Image.open(io.BytesIO(data)))
        cuts = np.sort(rng.choice(len(whole), 4, replace=False))
        rows = [range(cuts[0], cuts[1]), range(cuts[2], cuts[3])]
        parts = partial_jpeg.decode_rows(Image.open(io.BytesIO(data)), data, rows)
        if parts is None:  # these rows equal those of the whole image
            continue
        assert (parts.rows[-1].rows.stop, parts.end) == (len(whole), len(data))
        for row in (*rows[0], *rows[1], len(whole) - 1):
            (part,) = (part for part in parts.rows if row in part.rows)
            assert np.array_equal(part.pixels[row - part.rows.start].squeeze(), whole[row].squeeze())


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_narrow_images_have_pillows_pixels(width: int) -> None:
    """Their chroma is not interpolated, and libjpeg-turbo skips incorrectly from the middle of an MCU row."""
    data = jpeg("4:2:0", width, 169)
    whole = np.asarray(Image.open(io.BytesIO(data)))
    for start in range(17, 150, 3):
        opened, rows = Image.open(io.BytesIO(data)), [range(start - 10, start), range(start + 2, start + 9)]
        parts = partial_jpeg.decode_rows(opened, data, rows)
        for part in parts.rows if parts else ():
            assert np.array_equal(part.pixels, whole[part.rows.start : part.rows.stop])


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
@pytest.mark.parametrize("scans", range(1, 11))
def test_a_progressive_image_that_lacks_scans(subsampling: str, scans: int) -> None:
    """libjpeg smooths blocks that have too few coefficients."""
    pieces = jpeg(subsampling, 240, 800, progressive=True).split(b"\xff\xda")
    data = b"\xff\xda".join(pieces[: scans + 1])
    tables = data.rfind(b"\xff\xc4")  # start of the next scan
    if tables + 2 + int.from_bytes(data[tables + 2 : tables + 4], "big") == len(data):
        data = data[:tables]
    assert_same(data if data.endswith(b"\xff\xd9") else data + b"\xff\xd9")


def test_the_last_block_is_checked_too() -> None:
    image = photo(300, 904)
    image.paste((128, 128, 128), (288, 888, 300, 904))
    data = encoded(image, "JPEG", subsampling=0, quality=100)
    assert outcome(data, "center", rows=True).flags == ("maybe_truncated",)
    assert_same(data)


@pytest.mark.parametrize("restarts", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 7}])
def test_coded_data_between_restart_markers_is_skipped(restarts: dict[str, int]) -> None:
    data = jpeg("4:2:0", 300, 2000, **restarts)
    header = partial_jpeg._parse_header(data)
    assert header is not None
    ranges = header.align([range(900, 1100), range(1999, 2000)])
    shortened, warnings, left_out = partial_jpeg._drop_unneeded_data(data, header, ranges)
    assert len(shortened) < 0.25 * len(data)
    assert warnings.start > 50
    assert len(shortened) + left_out == len(data)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("appended", [b"", b"\xff\xd9", bytes(70_001)], ids=["nothing", "EOI", "zeros"])
def test_libjpeg_says_where_the_image_ends(coding: str, appended: bytes) -> None:
    data = jpeg("4:2:0", 300, 900, **CODINGS[coding])
    parts = partial_jpeg.decode_rows(Image.open(io.BytesIO(data)), data + appended, [range(300, 400)])
    assert parts is not None
    assert parts.end == end_of_jpeg(data + appended) == len(data)


def test_the_end_is_that_of_the_file_itself() -> None:
    rows = partial(image_crops.needed_rows, crops="ten")
    data = encoded(photo(1500, 1800), "JPEG")
    damaged = data[:2] + b"\xff\xe1\xff\xf0broken" + data[2:]  # it is decoded without its metadata
    assert decode.decode(data + b"more", rows=rows).end == len(data)
    source = decode.decode(damaged, rows=rows)
    assert (bool(source.decoded_rows), source.end) == (True, None)


def test_metadata_is_that_of_the_whole_image() -> None:
    data = encoded(photo(300, 900), "JPEG", exif=exif_block())
    assert "Acme" in outcome(data, "ten", rows=True).exif
    assert_same(data)


def test_a_multi_image_file() -> None:
    data = encoded(photo(300, 900), "MPO", save_all=True, append_images=[photo(300, 900, 1)])
    assert outcome(data, "ten", rows=True).flags == ("first_frame",)
    assert_same(data)


def test_rgb_without_colour_conversion() -> None:
    assert_same(encoded(photo(300, 900), "JPEG", keep_rgb=True))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(photo(300, 900).convert("CMYK"), "JPEG"), id="CMYK"),
        pytest.param(encoded(photo(300, 900), "PNG"), id="PNG"),
        pytest.param(encoded(photo(300, 230), "JPEG"), id="no row to skip"),
        pytest.param(
            encoded(photo(300, 900), "JPEG").replace(b"\xff\xc0", b"\xff\xff\xc0"), id="padded marker"
        ),
        pytest.param(encoded(photo(300, 900), "JPEG")[:-2], id="no end marker"),
        pytest.param(
            encoded(photo(300, 900), "JPEG")[:-2] + b"more than that" * 9 + b"\xff\xd9",
            id="trailing data",
        ),
    ],
)
def test_unusual_files_are_left_to_pillow(data: bytes) -> None:
    assert_same(data, partially=False)


def test_a_small_image_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert_same(encoded(photo(300, 900), "JPEG"), partially=False)
    assert_same(encoded(photo(5000, 900), "JPEG"))


@pytest.mark.parametrize("coding", CODINGS)
def test_truncated_images_fail_as_with_pillow(coding: str) -> None:
    data = jpeg("4:2:0", 230, 900, **CODINGS[coding])
    for share in np.linspace(0.02, 0.999, 12):
        short = data[: int(len(data) * share)]
        assert (
            "Error" in outcome(short, "ten", True).error or "Truncated" in outcome(short, "ten", True).error
        )
        assert_same(short, partially=None)
        assert_same(short.rstrip(b"\xff") + b"\xff\xd9", partially=None)  # pretends to be complete
        assert_same(short, partially=None, allow_truncated=True)


@pytest.mark.parametrize("coding", CODINGS)
def test_damaged_images_fail_as_with_pillow(coding: str) -> None:
    """Change, remove and insert bytes, in headers (which are short) as often as in coded data."""
    rng = np.random.default_rng(len(coding))
    library = partial_jpeg._library()
    assert library is not None
    whole = jpeg("4:2:0", 230, 750, quality=50, **CODINGS[coding])
    scan = whole.index(b"\xff\xda") + 14
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            offset = int(rng.integers(2, scan if rng.random() < 0.5 else len(data)))
            data[offset : offset + int(rng.integers(0, 3))] = rng.bytes(int(rng.integers(1, 3)))
        assert_same(bytes(data), partially=None)
        library.parked_threads = 0  # parked threads remain, and this test may park more


def bad_table(data: bytes) -> bytes:
    """Insert a Huffman table with too many codes, which Pillow ignores and at which libjpeg stops."""
    offset = data.index(b"\xff\xc4") + 5
    return data[:offset] + b"\xff" * 16 + data[offset + 16 :]


def count_parked() -> int:
    return sum(thread.name == "sidscan-libjpeg" for thread in threading.enumerate())


def test_an_error_of_libjpeg_parks_a_thread_up_to_a_limit() -> None:
    before, library = count_parked(), partial_jpeg._library()
    assert library is not None
    good = jpeg("4:2:0", 230, 900)
    for count in range(1, libjpeg.MAX_PARKED_THREADS + 3):
        assert "broken data stream" in outcome(bad_table(good), "ten", rows=True).error
        assert library.parked_threads == count_parked() - before == min(count, libjpeg.MAX_PARKED_THREADS)
        assert_same(good, partially=count < libjpeg.MAX_PARKED_THREADS)
    assert_same(bad_table(good), partially=False)


def test_a_parked_thread_holds_no_image() -> None:
    library = partial_jpeg._library()
    assert library is not None
    data = bad_table(jpeg("4:2:0", 230, 900))
    held = sys.getrefcount(data)
    assert library.decode_rows(data, (900, 230, 3), [range(900)]) is None
    assert (library.parked_threads, sys.getrefcount(data)) == (1, held)


def test_a_process_with_a_parked_thread_can_exit() -> None:
    code = (
        "import sys; from sidscan.images import libjpeg; data = sys.stdin.buffer.read(); "
        "library = libjpeg.pillow_library(); rows = library.decode_rows(data, (900, 230, 3), [range(900)]); "
        "print(rows, library.parked_threads)"
    )
    data = bad_table(jpeg("4:2:0", 230, 900))
    ended = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout.split(), ended.stderr) == (0, [b"None", b"1"], b"")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_memory_errors_are_those_of_pillow() -> None:
    code = (
        "import resource, sys; from functools import partial\n"
        "from sidscan.images import crops, decode, partial_jpeg\n"
        "data = sys.stdin.buffer.read(); decode.warm_up(); limit = int(sys.argv[1]) << 20\n"
        "held = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + limit, held + limit))\n"
        "for rows in (partial(crops.needed_rows, crops='ten'), None):\n"
        "    try: print(decode.decode(data, rows=rows).format)\n"
        "    except Exception as error: print(repr(error))\n"
        "print(partial_jpeg._library().parked_threads)\n"
    )
    data = encoded(photo(3000, 2000), "JPEG", progressive=True)
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # as in worker processes
    for limit in (0, 8):
        command = [sys.executable, "-c", code, str(limit)]
        ended = subprocess.run(command, input=data, capture_output=True, timeout=60, env=environment)
        assert ended.stdout.split() == [b"MemoryError()", b"MemoryError()", b"0"]
        assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_library_without_the_functions_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libjpeg, "_pillow_module", lambda: ctypes.CDLL(None))
    assert libjpeg.pillow_library() is None
    assert not partial_jpeg.is_available()
    assert_same(jpeg("4:2:0", 230, 900), partially=False)


@pytest.mark.parametrize("release", [None, "2.1.4", "unknown"])
def test_another_libjpeg_is_not_used(release: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.features.version_feature", lambda _: release)
    assert libjpeg.pillow_library() is None


@pytest.mark.parametrize("version", [62, 80])
def test_a_library_with_another_interface_is_not_used(version: int) -> None:
    """libjpeg reports the mismatch itself, before it touches any data."""
    library = libjpeg.pillow_library()
    assert library is not None
    if library.version == version:
        assert partial_jpeg.is_available()
        return
    library.version = version
    assert library.decode_rows(jpeg("4:2:0", 230, 900), (900, 230, 3), [range(900)]) is None
    assert library.parked_threads == 1


def test_a_library_that_decodes_other_pixels_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    decode_rows = libjpeg.LibJpeg.decode_rows

    def off_by_one(self: libjpeg.LibJpeg, *arguments: Any) -> Any:
        decoded = decode_rows(self, *arguments)
        if decoded is not None:
            decoded[0][0][3, 4, 0] ^= 1
        return decoded

    monkeypatch.setattr(libjpeg.LibJpeg, "decode_rows", off_by_one)
    assert not partial_jpeg.is_available()
    assert_same(jpeg("4:2:0", 230, 900), partially=False)


def test_without_threads_images_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert partial_jpeg.is_available()

    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    assert_same(jpeg("4:2:0", 230, 900), partially=False)


def test_limits_are_checked_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_jpeg, "decode_rows", lambda *_: pytest.fail("decoded"))
    assert outcome(jpeg("4:2:0", 230, 900), "ten", rows=True, max_pixels=1000).error.startswith(
        "TooManyPixels"
    )


def test_images_are_partially_decoded() -> None:
    assert partial_jpeg.is_available()
    item = Item("photo.jpg", Kind.FILE)
    data = jpeg("4:2:0", 230, 900)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded by Pillow"))
        partial_result = next(items.decode_item(item, data, ImageInfo(), ReadLimits()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partial_jpeg, "decode_rows", lambda *_: None)
        whole = next(items.decode_item(item, data, ImageInfo(), ReadLimits()))
    assert isinstance(partial_result, DecodedImage)
    assert isinstance(whole, DecodedImage)
    assert partial_result.facts == whole.facts
    assert np.array_equal(partial_result.crop_set.crops, whole.crop_set.crops)
