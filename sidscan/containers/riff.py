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


def riff_chunks(data: bytes) -> Iterator[RiffChunk]:
    """The chunks of a file, as far as their lengths can be followed."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        body, at = at + 8, at + 8 + size + size % 2
        if body + size > len(data):
            return
        yield RiffChunk(kind, body, body + size)
