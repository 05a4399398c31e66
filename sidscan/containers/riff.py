"""Chunks of RIFF files, such as WebP (RFC 9649, section 2.3): kind, length and body, padded to be even."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple


class RiffChunk(NamedTuple):
    """A chunk: its kind, and where its body begins and ends."""

    kind: bytes
    body: int
    end: int


def riff_chunks(data: bytes, with_cut: bool = False) -> Iterator[RiffChunk]:
    """The chunks of a file, as far as their lengths can be followed.

    Args:
        with_cut: whether the chunk follows within which the file ends.
    """
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        body, at = at + 8, at + 8 + size + size % 2
        if body + size > len(data):
            if with_cut:
                yield RiffChunk(kind, body, body + size)
            return
        yield RiffChunk(kind, body, body + size)
