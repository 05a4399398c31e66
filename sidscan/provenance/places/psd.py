"""Photoshop's PSD and PSB: image resources with XMP, IPTC and EXIF (Photoshop File Formats)."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance.blocks import CUT, CUT_BEFORE, NOT_FOLLOWED, Block, BlockKind, Budget, end
from sidscan.provenance.image_resources import resource_spans, section_of_psd
from sidscan.provenance.places import place

_KINDS = {0x0404: BlockKind.IPTC, 0x0422: BlockKind.EXIF, 0x0424: BlockKind.XMP}


@place(rb"8BPS\x00[\x01\x02]")
def read_psd(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of the image resources."""
    start, stop = section_of_psd(data)
    if start > len(data):
        yield end("PSD", len(data), CUT_BEFORE)
        return
    read_to = start
    for number, body, body_end in resource_spans(data, start, min(stop, len(data))):
        if kind := _KINDS.get(number):
            problem = CUT if body_end > len(data) else ""
            content = budget.cut(data, body, min(body_end, stop))
            yield Block(kind, f"PSD resource {number:#06x}", body, content, problem=problem)
        read_to = body_end + (body_end - body) % 2
    if stop > len(data):
        yield end("PSD", len(data), CUT_BEFORE)
    elif read_to < stop:
        yield end("PSD", read_to, NOT_FOLLOWED)
