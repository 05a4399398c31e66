"""Which part of a JPEG is decoded: the rows that are looked at, and no bit of them other than Pillow's.

Ten crops lie in three bands of 224 rows; the rest of a camera's picture would be decoded for nothing. What is
left out:

- Pixels of other rows (inverse transform, upsampling, colours), always. Bands begin and end with whole rows
  of MCUs: within one, libjpeg-turbo's skipping goes wrong at odd rows of narrow 4:2:0 pictures.
- Entropy decoding of other rows, only where restart markers allow it (`_thinned`): elsewhere, where a code
  begins is known only when all codes before it were read.

A file is followed to its end, below the last band too: else a picture that ends too early would pass for a
whole one. Of a centre crop that is nearly half of the time left. Columns are not left out, as
jpeg_crop_scanline could: the last block, bottom right, is looked at as well, and entropy decoding takes nine
tenths of that time. Files that are not as simple as `_frame` asks for, damaged ones, and those that would
gain little are left to Pillow, which decodes them, or says why not, as if there were no bands.
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

MIN_PIXELS_SAVED = 1_000_000  # pixels that are not decoded; fewer gain next to nothing
_BLOCK = 8  # rows and columns of a DCT block; bits per sample
# Sampling factors (horizontal, vertical) of the components for which identity is tested: 4:4:4, 4:2:2, 4:4:0,
# 4:2:0, 4:1:1, grey.
_SAMPLINGS = {((h, v), (1, 1), (1, 1)) for h, v in ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))} | {((1, 1),)}
_MODES = {1: "L", 3: "RGB"}  # by channels
_DHT, _DQT, _DRI, _COM, _SOS, _EOI, _RST0 = 0xC4, 0xDB, 0xDD, 0xFE, 0xDA, 0xD9, 0xD0
_PROGRESSIVE = 0xC2
_SUPPORTED_FRAMES = (0xC0, 0xC1, _PROGRESSIVE)  # SOF0 to SOF2: Huffman-coded
_IGNORED_SEGMENTS = (_DHT, _DQT, _COM, *range(0xE0, 0xF0))  # segments that say nothing of a picture's layout


@dataclass(frozen=True)
class DecodedRows:
    """Rows of a picture.

    Attributes:
        rows: which.
        pixels: (rows, width, channels), grey or RGB.
    """

    rows: range
    pixels: NDArray[np.uint8]


def decode_rows(image: Image.Image, data: bytes, rows: Sequence[range]) -> tuple[DecodedRows, ...] | None:
    """The rows that are asked for and those of the last block.

    Args:
        image: as Pillow opened it; it is not loaded.
        rows: within the picture.

    Returns:
        None where it is for Pillow to decode the picture.
    """
    if image.format not in ("JPEG", "MPO"):
        return None
    width, height = image.size
    frame = _parse_header(data)
    if frame is None or (frame.width, frame.height, _MODES[frame.channels]) != (width, height, image.mode):
        return None
    wanted = frame.aligned([*rows, range(height - 1, height)])
    saved = height - sum(len(band) for band in wanted)
    library = _library() if saved * width >= MIN_PIXELS_SAVED else None
    return None if library is None else _decode_ranges(library, data, frame, wanted)


def is_available() -> bool:
    """Whether this process can decode bands; finding out takes some milliseconds, once."""
    return _library() is not None


@dataclass(frozen=True)
class _Frame:
    """What the segments before a file's first scan say.

    Attributes:
        across, down: pixels of an MCU.
        scan: where coded data begin.
        interval: MCUs between restart markers where all that follows is one scan of all components; else 0.
    """

    width: int
    height: int
    channels: int
    across: int
    down: int
    scan: int = 0
    interval: int = 0

    def aligned(self, rows: Sequence[range]) -> list[range]:
        """Whole rows of MCUs that hold them, in order and apart."""
        apart: list[range] = []
        for one in sorted(rows, key=lambda each: each.start):
            start = one.start // self.down * self.down
            stop = min(-(-one.stop // self.down) * self.down, self.height)
            if apart and start <= apart[-1].stop:
                apart[-1] = range(apart[-1].start, max(stop, apart[-1].stop))
            else:
                apart.append(range(start, stop))
        return apart


def _parse_header(data: bytes) -> _Frame | None:
    """None for all but plain files: SOI, then segments one after the other (ITU-T T.81, annex B).

    libjpeg knows more kinds of them, but to hear that it refuses one costs a parked thread.
    """
    frame: _Frame | None = None
    progressive, interval = False, 0
    for marker, body, end in _segments(data):
        if marker in _SUPPORTED_FRAMES and frame is None:
            frame, progressive = _parse_frame(body), marker == _PROGRESSIVE
            if frame is None:
                return None
        elif marker == _DRI and len(body) == 2:
            interval = int.from_bytes(body, "big")
        elif marker == _SOS:
            if frame is None or not body or end >= len(data):
                return None
            alone = not progressive and body[0] == frame.channels
            return replace(frame, scan=end, interval=interval if alone else 0)
        elif marker not in _IGNORED_SEGMENTS:
            return None
    return None


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each, as long as one follows on the other."""
    place = 2
    while len(data) > place + 4 and data[place] == 0xFF:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield data[place + 1], data[place + 4 : end], end
        place = max(end, place + 4)


def _parse_frame(body: bytes) -> _Frame | None:
    """From a frame header (T.81, B.2.2), where its sampling is one of `_SAMPLINGS`."""
    if len(body) < 6 or body[0] != _BLOCK or len(body) != 6 + 3 * body[5]:
        return None
    sampling = tuple((each >> 4, each & 15) for each in body[7::3])
    if sampling not in _SAMPLINGS:
        return None
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    return _Frame(width, height, body[5], _BLOCK * sampling[0][0], _BLOCK * sampling[0][1])


def _decode_ranges(
    library: libjpeg.LibJpeg, data: bytes, frame: _Frame, wanted: Sequence[range]
) -> tuple[DecodedRows, ...] | None:
    """Bands by that library."""
    data, warnings = (
        _drop_unneeded_data(data, frame, wanted) if frame.interval else (data, libjpeg.NO_WARNINGS)
    )
    pixels = library.rows(data, (frame.height, frame.width, frame.channels), wanted, warnings)
    if pixels is None:
        return None
    return tuple(DecodedRows(rows, part) for rows, part in zip(wanted, pixels, strict=True))


def _drop_unneeded_data(data: bytes, frame: _Frame, wanted: Sequence[range]) -> tuple[bytes, range]:
    """The file without the coded data of other rows, and how many warnings that makes.

    Decoders start anew at each restart marker, so that a segment's pixels depend on its own data alone. The
    markers stay: libjpeg warns of each empty segment and goes on behind it, and perhaps warns once more,
    after a run of them, of the bits that it made up. Rows of MCUs next to wanted ones are kept: chroma is
    interpolated across their edges. Where the markers up to the end are not exactly those that there should
    be, nothing is left out.
    """
    coded = np.frombuffer(data, np.uint8, offset=frame.scan)
    places = np.flatnonzero(coded[:-1] == 0xFF)
    places = places[coded[places + 1] != 0]
    across, down = -(-frame.width // frame.across), -(-frame.height // frame.down)  # MCUs
    count = -(-across * down // frame.interval)
    ends = places[:count]
    kinds = coded[ends + 1]
    due = np.append(_RST0 + np.arange(count - 1) % 8, _EOI)
    if not np.array_equal(kinds, due):
        return data, libjpeg.NO_WARNINGS
    kept = np.zeros(count, bool)
    for rows in wanted:
        first, last = max(rows.start // frame.down - 1, 0), min(-(-rows.stop // frame.down) + 1, down)
        kept[first * across // frame.interval : -(-last * across // frame.interval)] = True
    markers = np.stack([np.full_like(kinds, 0xFF), kinds], axis=-1).tobytes()
    begins = frame.scan + np.append(0, ends[:-1] + 2)
    pieces = [data[: frame.scan]]
    empty = runs = 0
    for first, last in pairwise([0, *(np.flatnonzero(np.diff(kept)) + 1), count]):
        if kept[first]:
            pieces.append(data[begins[first] : frame.scan + ends[last - 1] + 2])
        else:
            pieces.append(markers[2 * first : 2 * last])
            empty, runs = empty + int(last - first), runs + 1
    return b"".join(pieces), range(empty, empty + runs + 1)


@cache
def _library() -> libjpeg.LibJpeg | None:
    """Pillow's own, where it passes a trial: small pictures by it and by Pillow have the same pixels."""
    library = libjpeg.pillow_library()
    if library is None or not all(_matches_pillow(library, data) for data in _test_jpegs()):
        return None
    return library


def _matches_pillow(library: libjpeg.LibJpeg, data: bytes) -> bool:
    frame = _parse_header(data)
    whole = np.asarray(Image.open(io.BytesIO(data)))
    if frame is None:
        return False
    wanted = frame.aligned([range(40, 50), range(frame.height - 1, frame.height)])
    bands = _decode_ranges(library, data, frame, wanted)
    shape = (-1, frame.width, frame.channels)
    return bands is not None and all(
        np.array_equal(band.pixels, whole[band.rows.start : band.rows.stop].reshape(shape)) for band in bands
    )


def _test_jpegs() -> Iterator[bytes]:
    """Noise of an odd size in each of the ways that a picture may be coded."""
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
