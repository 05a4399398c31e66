"""Blocks of GIF (GIF89a): a header, colours, then extensions and images in blocks of up to 255 bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

EXTENSION, IMAGE = 0x21, 0x2C
_TRAILER = b"\x3b"


class Extension(NamedTuple):
    """An extension: its label, and where its blocks begin and end."""

    label: int
    body: int
    end: int


def extensions(data: bytes) -> Iterator[Extension]:
    """The extensions of a file, before, between and behind its images, as far as they can be followed."""
    for at, body, end in _blocks(data):
        if data[at] == EXTENSION:
            yield Extension(data[at + 1], body, end)


def block_content(data: bytes, start: int, end: int) -> bytes:
    """What blocks hold, joined."""
    parts = []
    while start < end and data[start]:
        parts.append(data[start + 1 : start + 1 + data[start]])
        start += 1 + data[start]
    return b"".join(parts)


def cut_block(data: bytes) -> Extension | None:
    """The extension or image within which a file ends, as far as it is there; None where none is cut.

    The label of an image is 0.
    """
    at = max((end for _, _, end in _blocks(data)), default=_first_block(data))
    if at >= len(data) or data[at] not in (EXTENSION, IMAGE):
        return None
    if data[at] == IMAGE:
        return Extension(0, at, len(data))
    return Extension(data[at + 1] if at + 1 < len(data) else -1, at + 2, len(data))


def colour_bytes(flags: int) -> int:
    """Bytes of the table of colours that a header's flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def end_of_blocks(data: bytes, offset: int) -> int | None:
    """Where blocks end; None where they don't before the file does."""
    while offset < len(data):
        if not data[offset]:
            return offset + 1
        offset += 1 + data[offset]
    return None


def end_of_gif(data: bytes) -> int | None:
    """Where a GIF ends, behind its trailer; None where it can't be followed to there."""
    end = max((end for _, _, end in _blocks(data)), default=0)
    return end + 1 if end and data[end : end + 1] == _TRAILER else None


def _blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Where each extension and image begins, and where its blocks begin and end."""
    at = _first_block(data)
    while at + 10 < len(data) and data[at] in (EXTENSION, IMAGE):
        body = at + 2 if data[at] == EXTENSION else at + 11 + colour_bytes(data[at + 9])
        end = end_of_blocks(data, body)
        if end is None:
            return
        yield at, body, end
        at = end


def _first_block(data: bytes) -> int:
    return 13 + colour_bytes(data[10]) if len(data) > 10 else len(data)
