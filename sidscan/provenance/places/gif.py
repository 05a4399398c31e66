"""GIF: application extensions and comments (C2PA 2.1, section A.3.4; XMP part 3, section 1.1.2)."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.containers.gif import Extension, block_content, cut_block, extensions
from sidscan.provenance.blocks import CUT, ENDS_EARLY, Block, BlockKind, Budget, MetadataLimit, end
from sidscan.provenance.places import place

_APPLICATION, _COMMENT = 0xFF, 0xFE
_XMP_NAME, _C2PA_NAME = b"XMP DataXMP", b"C2PA_GIF"
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
    if cut := cut_block(data):
        yield _place_of_end(data, cut)


def _place_of_end(data: bytes, cut: Extension) -> Block:
    name = data[cut.body + 1 : cut.body + 12]
    is_application = cut.label == _APPLICATION and any(
        each.startswith(name[: len(each)]) for each in (_XMP_NAME, _C2PA_NAME)
    )
    if is_application or cut.label == _COMMENT:
        return end("GIF comment" if cut.label == _COMMENT else "GIF application extension", cut.body, CUT)
    return end("GIF", len(data), ENDS_EARLY)


def _application(data: bytes, extension: Extension, budget: Budget) -> Iterator[Block]:
    name, start = data[extension.body + 1 : extension.body + 12], extension.body + 12
    if name == _XMP_NAME:
        packet = budget.cut(data, start, max(extension.end - 1 - _XMP_TRAILER, start))
        yield Block(BlockKind.XMP, "GIF XMP", start, packet)
    elif name[:8] == _C2PA_NAME:
        budget.take(extension.end - start)
        yield Block(BlockKind.C2PA, "GIF C2PA_GIF", start, block_content(data, start, extension.end))
