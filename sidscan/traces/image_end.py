"""Where an image ends within its file, by the lengths and end marks of its format."""

from __future__ import annotations

from typing import NamedTuple

from sidscan.containers.gif import end_of_gif
from sidscan.containers.isobmff import boxes
from sidscan.containers.jpeg import end_of_jpeg
from sidscan.containers.png import SIGNATURE, png_chunks

_JP2 = b"\x00\x00\x00\x0c"
_NOT_THE_IMAGE = (b"mpvd", b"sefd")  # video of a motion photo; Samsung's fields: boxes of the file, not of it
_RIFF_HEAD, _CRC_BYTES = 8, 4
_MOST_BOXES = 4096


class ImageEnd(NamedTuple):
    """Where an image ends, and what ends it there."""

    at: int
    mark: str


def image_end(data: bytes, jpeg_end: int | None = None) -> ImageEnd | None:
    """The end of the image that a file begins with; None where its format states none, or it is damaged.

    Args:
        jpeg_end: where a JPEG ends, if its decoder said that.
    """
    at, mark = None, ""
    if data.startswith(b"\xff\xd8\xff"):
        at, mark = jpeg_end or end_of_jpeg(data), "behind JPEG EOI"
    elif data.startswith(SIGNATURE):
        at, mark = _end_of_png(data), "behind PNG IEND"
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        at, mark = _end_of_riff(data), "behind the RIFF chunk"
    elif data.startswith(b"GIF8"):
        at, mark = end_of_gif(data), "behind the GIF trailer"
    elif data[4:8] == b"ftyp" or data.startswith(_JP2):
        at, mark = end_of_boxes(data), "behind the image's boxes"
    return None if at is None or at > len(data) else ImageEnd(at, mark)


def end_of_boxes(data: bytes, start: int = 0) -> int | None:
    """Where the boxes of one file end: before a second one, and before boxes that are not its image's."""
    end, has_type = None, False
    for count, box in enumerate(boxes(data, start)):
        is_other = box.kind in _NOT_THE_IMAGE or (has_type and box.kind == b"ftyp")
        has_type |= box.kind == b"ftyp"  # the second box, where a signature precedes it
        if is_other or count == _MOST_BOXES or not box.kind.isascii() or b"\x00" in box.kind:
            break
        end = box.end
    return end


def _end_of_png(data: bytes) -> int | None:
    return next((chunk.end + _CRC_BYTES for chunk in png_chunks(data) if chunk.kind == b"IEND"), None)


def _end_of_riff(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "little")
    return _RIFF_HEAD + size + size % 2
