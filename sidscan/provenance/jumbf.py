"""JUMBF (ISO/IEC 19566-5): boxes with labels that hold other boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidscan.containers.isobmff import Box, boxes

_UUID_BYTES, _HAS_LABEL = 16, 0x02
_LONGEST_LABEL = 512


@dataclass(frozen=True, slots=True)
class SuperBox:
    """A box of the kind jumb: its label, and where the boxes in it begin and end."""

    label: str
    body: int
    end: int


def super_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[SuperBox]:
    """The labelled boxes directly within a range; others are passed over."""
    for box in boxes(data, start, end):
        if box.kind == b"jumb" and (found := _super_box(data, box)):
            yield found


def content_boxes(data: bytes, parent: SuperBox) -> Iterator[Box]:
    """The boxes that hold what a labelled box is about, e.g. of the kinds cbor and json."""
    return boxes(data, parent.body, parent.end)


def _super_box(data: bytes, box: Box) -> SuperBox | None:
    description = next(boxes(data, box.body, box.end), None)
    if description is None or description.kind != b"jumd":
        return None
    flags_at = description.body + _UUID_BYTES
    if flags_at >= description.end or not data[flags_at] & _HAS_LABEL:
        return SuperBox("", description.end, box.end)
    label_end = data.find(b"\x00", flags_at + 1, min(flags_at + 1 + _LONGEST_LABEL, description.end))
    if label_end < 0:
        return None
    label = data[flags_at + 1 : label_end].decode("utf-8", "replace")
    return SuperBox(label, description.end, box.end)
