"""Decode only those rows of a JPEG that crops use, with the same pixels as Pillow's.

Ten crops lie in three ranges of 224 rows, so most rows of a camera's image would be decoded for nothing. This
leaves out:

- Pixels of other rows (inverse transform, upsampling, colours), always. Ranges begin and end with whole rows
  of MCUs: within one, libjpeg-turbo's skipping goes wrong at odd rows of narrow 4:2:0 images.
- Entropy decoding of other rows, only where restart markers allow it (`_drop_unneeded_data`). Elsewhere,
  where a code begins is known only when all codes before it were read.

A file is followed to its end, below the last range too: otherwise an image that ends too early would pass for
a complete one. For a centre crop that takes nearly half of the remaining time. Columns are not left out, as
jpeg_crop_scanline could: the last block, bottom right, is checked as well, and entropy decoding takes nine
tenths of that time. Pillow decodes all other files: those that are not as simple as `_parse_header` asks for,
damaged ones, and those that would gain little.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images import libjpeg

MIN_PIXELS_SAVED = 1_000_000  # to leave out fewer gains next to nothing
_WHOLE_SEQUENTIAL, _WHOLE_PROGRESSIVE = 9_000_000, 36_000_000  # pixels up to which a whole image is quicker
_BLOCK = 8  # rows and columns of a DCT block; bits per sample
# Sampling factors (horizontal, vertical) of the components for which identity is tested: 4:4:4, 4:2:2, 4:4:0,
# 4:2:0, 4:1:1, grey.
_SAMPLINGS = {((h, v), (1, 1), (1, 1)) for h, v in ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))} | {((1, 1),)}
_MODES = {1: "L", 3: "RGB"}  # by channels
_DHT, _DQT, _DRI, _COM, _SOS, _EOI, _RST0 = 0xC4, 0xDB, 0xDD, 0xFE, 0xDA, 0xD9, 0xD0
_PROGRESSIVE = 0xC2
_SUPPORTED_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)  # SOF0 to SOF2: Huffman-coded
_IGNORED_SEGMENTS = (_DHT, _DQT, _COM, *range(0xE0, 0xF0))  # they don't describe the image's layout


@dataclass(frozen=True)
class DecodedRows:
    """Some rows of an image.

    Attributes:
        rows: which rows.
        pixels: (rows, width, channels), grey or RGB.
    """

    rows: range
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class DecodedParts:
    """The rows of an image that were decoded.

    Attributes:
        end: where the image ends in its file, behind EOI.
    """

    rows: tuple[DecodedRows, ...]
    end: int


def decode_rows(image: Image.Image, data: bytes, rows: Sequence[range]) -> DecodedParts | None:
    """Decode the requested rows and those of the last block.

    Args:
        image: as Pillow opened it, not loaded.
        data: the file.
        rows: within the image.

    Returns:
        None where Pillow is to decode the image.
    """
    if image.format not in ("JPEG", "MPO"):
        return None
    width, height = image.size
    header = _parse_header(data)
    if header is None or (header.width, header.height, _MODES[header.channels]) != (
        width,
        height,
        image.mode,
    ):
        return None
    ranges = header.align([*rows, range(height - 1, height)])
    rows_saved = height - sum(len(aligned) for aligned in ranges)
    library = _library() if rows_saved * width >= MIN_PIXELS_SAVED else None
    return None if library is None else _decode_ranges(library, data, header, ranges)


def whole_is_quicker(image: Image.Image) -> bool:
    """Whether decoding a JPEG once takes less time than some of its rows and then a reduced image of it.

    Entropy decoding takes most of either, and two passes do it twice. In large images, the colours of all
    rows take longer still; progressive ones have all coefficients in memory at every pass.
    """
    most = _WHOLE_PROGRESSIVE if image.info.get("progressive") else _WHOLE_SEQUENTIAL
    return image.width * image.height <= most


def is_available() -> bool:
    """Whether this process can decode single rows; the first call tests that, in some milliseconds."""
    return _library() is not None


@dataclass(frozen=True)
class _Header:
    """What the segments before a file's first scan say.

    Attributes:
        mcu_width, mcu_height: pixels of an MCU.
        scan_offset: where coded data begin.
        restart_interval: MCUs between restart markers if one scan of all components follows; else 0.
    """

    width: int
    height: int
    channels: int
    mcu_width: int
    mcu_height: int
    scan_offset: int = 0
    restart_interval: int = 0

    def align(self, rows: Sequence[range]) -> list[range]:
        """The ranges of whole rows of MCUs that hold ``rows``, in order and disjoint."""
        aligned: list[range] = []
        for wanted in sorted(rows, key=lambda each: each.start):
            start = wanted.start // self.mcu_height * self.mcu_height
            stop = min(-(-wanted.stop // self.mcu_height) * self.mcu_height, self.height)
            if aligned and start <= aligned[-1].stop:
                aligned[-1] = range(aligned[-1].start, max(stop, aligned[-1].stop))
            else:
                aligned.append(range(start, stop))
        return aligned


def _parse_header(data: bytes) -> _Header | None:
    """None for all but plain files: SOI, then segments one after the other (ITU-T T.81, annex B).

    libjpeg knows more kinds of files, but finding out that it refuses one costs a parked thread.
    """
    header: _Header | None = None
    progressive, interval = False, 0
    for marker, body, end in _segments(data):
        if marker in _SUPPORTED_FRAMES and header is None:
            header, progressive = _parse_frame(body), marker == _PROGRESSIVE
            if header is None:
                return None
        elif marker == _DRI and len(body) == 2:
            interval = int.from_bytes(body, "big")
        elif marker == _SOS:
            if header is None or not body or end >= len(data):
                return None
            single_scan = not progressive and body[0] == header.channels
            return replace(header, scan_offset=end, restart_interval=interval if single_scan else 0)
        elif marker not in _IGNORED_SEGMENTS:
            return None
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each segment, as long as one directly follows the other."""
    offset = 2
    while len(data) > offset + 4 and data[offset] == 0xFF:
        end = offset + 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
        yield data[offset + 1], data[offset + 4 : end], end
        offset = max(end, offset + 4)


def _parse_frame(body: bytes) -> _Header | None:
    """From a frame header (T.81, B.2.2), if its sampling is one of `_SAMPLINGS`."""
    if len(body) < 6 or body[0] != _BLOCK or len(body) != 6 + 3 * body[5]:
        return None
    sampling = tuple((each >> 4, each & 15) for each in body[7::3])
    if sampling not in _SAMPLINGS:
        return None
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    return _Header(width, height, body[5], _BLOCK * sampling[0][0], _BLOCK * sampling[0][1])


def _decode_ranges(
    library: libjpeg.LibJpeg, data: bytes, header: _Header, ranges: Sequence[range]
) -> DecodedParts | None:
    data, warnings, left_out = (
        _drop_unneeded_data(data, header, ranges)
        if header.restart_interval
        else (data, libjpeg.NO_WARNINGS, 0)
    )
    decoded = library.decode_rows(data, (header.height, header.width, header.channels), ranges, warnings)
    if decoded is None:
        return None
    pixels, end = decoded
    parts = tuple(DecodedRows(rows, part) for rows, part in zip(ranges, pixels, strict=True))
    return DecodedParts(parts, end + left_out)


def _drop_unneeded_data(data: bytes, header: _Header, ranges: Sequence[range]) -> tuple[bytes, range, int]:
    """The file without the coded data of other rows, the warnings libjpeg then gives, bytes left out.

    Decoders start anew at each restart marker, so that a segment's pixels depend on its own data alone. The
    markers stay: libjpeg warns of each empty segment and goes on behind it. After a run of them it may warn
    once more, of the bits that it made up. Rows of MCUs next to the ranges are kept, because chroma is
    interpolated across their edges. If the markers up to the end are not exactly the expected ones, nothing
    is left out.
    """
    coded = np.frombuffer(data, np.uint8, offset=header.scan_offset)
    marker_offsets = np.flatnonzero(coded[:-1] == 0xFF)
    marker_offsets = marker_offsets[coded[marker_offsets + 1] != 0]
    mcu_columns, mcu_rows = -(-header.width // header.mcu_width), -(-header.height // header.mcu_height)
    count = -(-mcu_columns * mcu_rows // header.restart_interval)
    ends = marker_offsets[:count]
    kinds = coded[ends + 1]
    expected = np.append(_RST0 + np.arange(count - 1) % 8, _EOI)
    if not np.array_equal(kinds, expected):
        return data, libjpeg.NO_WARNINGS, 0
    needed = np.zeros(count, bool)
    for rows in ranges:
        first = max(rows.start // header.mcu_height - 1, 0) * mcu_columns
        last = min(-(-rows.stop // header.mcu_height) + 1, mcu_rows) * mcu_columns
        needed[first // header.restart_interval : -(-last // header.restart_interval)] = True
    markers = np.stack([np.full_like(kinds, 0xFF), kinds], axis=-1).tobytes()
    begins = header.scan_offset + np.append(0, ends[:-1] + 2)
    pieces = [data[: header.scan_offset]]
    empty = runs = 0
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(needed)) + 1), count]):
        if needed[first]:
            pieces.append(data[begins[first] : header.scan_offset + ends[last - 1] + 2])
        else:
            pieces.append(markers[2 * first : 2 * last])
            empty, runs = empty + int(last - first), runs + 1
    shortened = b"".join(pieces)
    left_out = header.scan_offset + int(ends[-1]) + 2 - len(shortened)
    return shortened, range(empty, empty + runs + 1), left_out


@cache
def _library() -> libjpeg.LibJpeg | None:
    """Pillow's own library, if small test images have the same pixels by it and by Pillow."""
    library = libjpeg.pillow_library()
    if library is None or not all(_matches_pillow(library, data) for data in _test_jpegs()):
        return None
    return library


def _matches_pillow(library: libjpeg.LibJpeg, data: bytes) -> bool:
    header = _parse_header(data)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    if header is None:
        return False
    ranges = header.align([range(40, 50), range(header.height - 1, header.height)])
    decoded = _decode_ranges(library, data, header, ranges)
    shape = (-1, header.width, header.channels)
    return (
        decoded is not None
        and decoded.end == len(data)
        and all(
            np.array_equal(part.pixels, expected[part.rows.start : part.rows.stop].reshape(shape))
            for part in decoded.rows
        )
    )


def _test_jpegs() -> Iterator[bytes]:
    """Noise of an odd size, coded in each of the supported ways."""
    noise = (np.arange(131 * 37 * 3, dtype=np.uint32) * np.uint32(2654435761) >> 24).astype(np.uint8)
    image = Image.fromarray(noise.reshape(131, 37, 3))
    for mode, options in (
        ("RGB", {"subsampling": 0}),
        ("RGB", {"subsampling": 1}),
        ("RGB", {"subsampling": 2}),
        ("RGB", {"subsampling": 2, "progressive": True}),
        ("RGB", {"subsampling": 2, "restart_marker_blocks": 2}),
        ("L", {}),
    ):
        buffer = io.BytesIO()
        image.convert(mode).save(buffer, "JPEG", **options)
        yield buffer.getvalue()
