"""GIF: application extensions and comments (C2PA 2.1, section A.3.4; XMP part 3, section 1.1.2)."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers.gif import Extension, block_content, extensions
from sidscan.provenance.blocks import Block, BlockKind, Budget, MetadataLimit
from sidscan.provenance.places import place

_APPLICATION, _COMMENT = 0xFF, 0xFE
_XMP_TRAILER = 257  # bytes that lead readers of blocks to the end of an XMP packet, which is not in blocks
_MOST_EXTENSIONS = 1 << 17


@place(rb"GIF8[79]a")
def read_gif(data: bytes, budget: Budget) -> Iterator[Block]:
    """Blocks of all extensions."""
    for count, extension in enumerate(extensions(data)):
        if count == _MOST_EXTENSIONS:
            raise MetadataLimit
        if extension.label == _COMMENT:
            budget.take(extension.end - extension.body)
            text = block_content(data, extension.body, extension.end)
            yield Block(BlockKind.TEXT, "GIF comment", extension.body, text, "comment")
        elif extension.label == _APPLICATION and data[extension.body] == 11:
            yield from _application(data, extension, budget)


def _application(data: bytes, extension: Extension, budget: Budget) -> Iterator[Block]:
    name, start = data[extension.body + 1 : extension.body + 12], extension.body + 12
    if name == b"XMP DataXMP":
        packet = budget.cut(data, start, max(extension.end - 1 - _XMP_TRAILER, start))
        yield Block(BlockKind.XMP, "GIF XMP", start, packet)
    elif name[:8] == b"C2PA_GIF":
        budget.take(extension.end - start)
        yield Block(BlockKind.C2PA, "GIF C2PA_GIF", start, block_content(data, start, extension.end))
