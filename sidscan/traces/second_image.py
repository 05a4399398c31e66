"""A thumbnail or preview inside the file that shows another image than the file itself."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.decode import SourceImage
from sidscan.images.perceptual_hash import perceptual_hash, without_border
from sidscan.images.thumbnails import TURNS, thumbnail
from sidscan.provenance.metadata import Metadata
from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace
from sidscan.traces.previews import Preview, previews

SECOND_IMAGE = TraceKind(
    id="second_image",
    observed="a thumbnail or preview inside the file that shows another image than the file itself, or "
    "another part of it, by perceptual distance",
    place="thumbnails of EXIF, Photoshop (also in TIFF and PSD), JFXX and HEIC, previews that JPEG's index "
    "(MPF) names, and JPEGs up to 1 MiB beside the image of TIFF and of raw files like TIFF; not copies in "
    "TIFF that are no JPEG, nor previews of AVIF, CR3 and other raw files",
    who="editors that crop or change an image and leave the old thumbnail, programs that copy metadata from "
    "one file to another, cameras whose thumbnail shows more than the image",
    limits="It does not say which of both came first, or that somebody meant to mislead: crops and collages "
    "leave old thumbnails every day. To look: exiftool -b -ThumbnailImage FILE > small.jpg; -PreviewImage or "
    "-PhotoshopThumbnail takes out the others. It seldom sees a local change: other content in a quarter of "
    "the image, a frame or a narrow bar leave both much alike.",
)

THRESHOLD = 94  # bits of 256, measured by benchmarks/traces.py
_MOST_PREVIEWS, _MOST_PIXELS = 6, 16_000_000
_SIDE = 160  # pixels
_COLUMNS, _LEAST_CONTRAST = 64, 6.0  # pixels; grey levels
_SAME_ROWS, _SAME_ROWS_TURNED = 0.85, 0.95  # correlation; there are more ways to be alike by chance if turned
_SAME_ROWS_MOVED, _FARTHEST = 0.9, 4  # correlation; columns and rows of the small image
_LEAST_SIDE = 32  # of a thumbnail, without which it shows too little


@trace(SECOND_IMAGE)
def find(image: TracedImage) -> Iterator[Trace]:
    """One trace for each preview that shows something else."""
    for count, preview in enumerate(previews(image.data, image.metadata)):
        if count == _MOST_PREVIEWS:
            return
        small = decoded(preview)
        if small is None or rows_match(image.image.source, small):
            continue
        distance = least_distance(image.image.small, small, image.image.orientation)
        if distance is not None and distance > THRESHOLD:
            bits = f"{distance} of 256 bits differ, and more than {THRESHOLD} count"
            detail = f"the {preview.name}, {_size(preview)} pixels, shows something else: {bits}"
            yield SECOND_IMAGE.found(detail, preview.name, preview.offset)


def stored_image(found: Trace, data: bytes, metadata: Metadata) -> bytes:
    """What a trace was found of, in small, as it is stored (WebP); empty if it is not found again.

    Raises:
        Exception: whatever Pillow raises.
    """
    for preview in previews(data, metadata):
        if (preview.name, preview.offset) == (found.container, found.offset):
            image = Image.open(io.BytesIO(preview.data))
            image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            small = image.convert("RGB")
            small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            return thumbnail(small)
    return b""


def _size(preview: Preview) -> str:
    """Width and height, as they are stored."""
    width, height = Image.open(io.BytesIO(preview.data)).size
    return f"{width} x {height}"


def decoded(preview: Preview) -> Image.Image | None:
    """A preview in small, grey; None where it can't be decoded, is huge or tiny."""
    try:
        image = Image.open(io.BytesIO(preview.data), formats=("JPEG", "MPO"))
        if image.width * image.height > _MOST_PIXELS or min(image.size) < _LEAST_SIDE:
            return None
        image.draft("L", (_SIDE, _SIDE))
        small = image.convert("L")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    except Exception:  # Pillow raises almost anything on malformed files
        return None
    return small


def rows_match(source: SourceImage, preview: Image.Image) -> bool:
    """Whether the rows that were decoded anyway look like those of the preview.

    If they do, as in nearly all files, the image need not be reduced, and a large JPEG not be decoded again,
    which takes as long as decoding took. If they don't, the preview may show more, or less: that says nothing
    yet.
    """
    if source.image.mode not in ("L", "RGB"):
        return False
    ours = _own_rows(source)
    is_same = any(
        _correlation(ours, _rows_of(shape, source)) > least
        for shape, least in _shapes(preview, source.width / source.height)
    )
    return is_same or (bool(source.decoded_rows) and _moved_rows_match(ours, source, preview))


def _moved_rows_match(ours: NDArray[np.float32], source: SourceImage, preview: Image.Image) -> bool:
    """Whether they look like rows of a preview from a moment before, when a phone was held a little aside."""
    scale = _COLUMNS / source.width
    size = (_COLUMNS, max(1, round(source.height * scale)))
    small = middle(preview, source.width / source.height).resize(size, Image.Resampling.BOX)
    moved = np.pad(np.asarray(small, np.float32), ((_FARTHEST, _FARTHEST), (0, 0)), mode="edge")
    rows = [round(each.start * scale) + np.arange(_small(each, source)[1]) for each in _ranges(source)]
    index, columns = np.minimum(np.concatenate(rows), size[1] - 1), _COLUMNS - 2 * _FARTHEST
    inner = ours[:, _FARTHEST:-_FARTHEST]
    return any(
        _correlation(inner, moved[index + down, right : right + columns]) > _SAME_ROWS_MOVED
        for down in range(2 * _FARTHEST + 1)
        for right in range(2 * _FARTHEST + 1)
    )


def _shapes(grey: Image.Image, shape: float) -> Iterator[tuple[Image.Image, float]]:
    """A preview cut to the image's shape and without bars, as it is and turned; how alike it must be."""
    within = None
    for turn in (None, *TURNS.values()):
        least = _SAME_ROWS if turn is None else _SAME_ROWS_TURNED
        yield middle(_transposed(grey, turn), shape), least
        within = within or without_border(grey)  # bars are the same ones, however an image is turned
        if within is not grey:
            yield _transposed(within, turn), least


def _transposed(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


def _own_rows(source: SourceImage) -> NDArray[np.float32]:
    """The decoded rows in small (rows, columns), grey."""
    step = max(1, source.width // (4 * _COLUMNS))
    if source.decoded_rows:
        bands = [each.pixels[::step, ::step] for each in source.decoded_rows]
        grey = Image.fromarray(np.concatenate(bands).squeeze()).convert("L")
        heights = [len(band) for band in bands]
    else:
        size = (-(-source.width // step), -(-source.height // step))
        grey = source.image.resize(size, Image.Resampling.NEAREST).convert("L")
        heights = [grey.height]
    return _joined(grey, pairwise(accumulate(heights, initial=0)), source)


def _rows_of(shape: Image.Image, source: SourceImage) -> NDArray[np.float32]:
    """The same rows of a preview."""
    scale = shape.height / source.height
    spans = ((rows.start * scale, min(rows.stop * scale, shape.height)) for rows in _ranges(source))
    return _joined(shape, spans, source)


def _joined(
    grey: Image.Image, spans: Iterable[tuple[float, float]], source: SourceImage
) -> NDArray[np.float32]:
    """Parts of an image from top to bottom (rows, columns), each as small as a range of rows becomes."""
    bands = [
        np.asarray(grey.resize(_small(rows, source), Image.Resampling.BOX, (0, top, grey.width, bottom)))
        for rows, (top, bottom) in zip(_ranges(source), spans, strict=True)
    ]
    return np.concatenate(bands).astype(np.float32)


def _ranges(source: SourceImage) -> list[range]:
    return [each.rows for each in source.decoded_rows] or [range(source.height)]


def _small(rows: range, source: SourceImage) -> tuple[int, int]:
    return _COLUMNS, max(1, round(len(rows) / source.width * _COLUMNS))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Pearson's; 0 where there is hardly any contrast."""
    ours, theirs = (one - one.mean()).ravel(), (other - other.mean()).ravel()
    squares = float(ours @ ours), float(theirs @ theirs)
    if min(squares) < _LEAST_CONTRAST**2 * one.size:
        return 0.0
    return float(ours @ theirs) / math.sqrt(squares[0] * squares[1])


def least_distance(main: Image.Image, preview: Image.Image, orientation: int | None) -> int | None:
    """How many of 256 bits differ, at least, over the ways in which a program may have made the preview.

    It may be stored as the camera held it, have bars, be turned or mirrored, or show the middle of the image.

    Args:
        main: turned as it is shown.

    Returns:
        None where one of both has too little detail.
    """
    distances = []
    for turned in _turned(preview, orientation):
        for one, other in _aligned(main, turned):
            ours, theirs = perceptual_hash(one), perceptual_hash(other)
            if not ours or not theirs:
                return None
            distances.append((int(ours, 16) ^ int(theirs, 16)).bit_count())
            if distances[-1] <= THRESHOLD:
                return distances[-1]
    return min(distances)


def _turned(preview: Image.Image, orientation: int | None) -> Iterator[Image.Image]:
    """As EXIF states it, as it is, then all other ways: programs turn an image and forget its thumbnail."""
    first = TURNS.get(orientation or 1)
    if first is not None:
        yield preview.transpose(first)
    yield preview
    for turn in TURNS.values():
        if turn is not first:
            yield preview.transpose(turn)


def _aligned(main: Image.Image, preview: Image.Image) -> Iterator[tuple[Image.Image, Image.Image]]:
    """Both as they are, then the one with the more of its sides cut to the other's shape."""
    yield main, preview
    ours, theirs = main.width / main.height, preview.width / preview.height
    if abs(ours / theirs - 1) > 0.02:
        yield main, middle(preview, ours)  # without bars
        yield middle(main, theirs), preview


def middle(image: Image.Image, shape: float) -> Image.Image:
    """The largest part of this shape (width / height) in the middle of an image."""
    width, height = min(image.width, image.height * shape), min(image.height, image.width / shape)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return image.crop((round(left), round(top), round(left + width), round(top + height)))
