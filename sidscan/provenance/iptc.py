"""IPTC-IIM (version 4.2): records of application 2, bare or in Photoshop's image resource 0x0404."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance.blocks import Block, BlockKind
from sidscan.provenance.fields import Field, Source, decode_text
from sidscan.provenance.image_resources import image_resources

_DATASETS = {
    40: "SpecialInstructions",
    80: "By-line",
    105: "Headline",
    110: "Credit",
    115: "Source",
    116: "CopyrightNotice",
    120: "Caption-Abstract",
}
_RESOURCE = 0x0404
_MOST_RECORDS = 4096


def read_iptc_fields(block: Block) -> Iterator[Field]:
    """The fields of a block of records, or of image resources."""
    if block.kind is BlockKind.IPTC:
        yield from _records(block, 0, block.data)
        return
    for number, start, content in image_resources(block.data):
        if number == _RESOURCE:
            yield from _records(block, start, content)


def _records(block: Block, start: int, data: bytes) -> Iterator[Field]:
    at = 0
    for _ in range(_MOST_RECORDS):
        if at + 5 > len(data) or data[at] != 0x1C:
            return
        record, dataset, size = data[at + 1], data[at + 2], int.from_bytes(data[at + 3 : at + 5], "big")
        at += 5
        if size & 0x8000:  # an extended dataset: the lower bits say how many bytes its length has
            count = size & 0x7FFF
            if count > 4:
                return
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
        if record == 2 and (name := _DATASETS.get(dataset)):
            value = decode_text(data[at : at + size]).strip("\x00 ")
            container = f"IPTC in {block.container}"
            yield Field(Source.IPTC, container, f"2:{dataset:02d} {name}", value, block.offset + start)
        at += size
