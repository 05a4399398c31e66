"""Each input once, though several folders and lists may name it: for more names than memory holds."""

from __future__ import annotations

import hashlib
import heapq
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from sidscan.distributed.slices import decode_item, encode_item
from sidscan.journal.identity import identity_of
from sidscan.records import Item

_PARTS = 256
_NAMED = struct.Struct(
    ">16sQQ?"
)  # hash of what is named, number of the line, its offset, whether it is skipped
_REPEATED = struct.Struct(">QQ")  # number of a line; offset of the line that counts instead, or _DROPPED
_DROPPED = (1 << 64) - 1


def unique(items: Iterable[Item], folder: str | None) -> Iterator[Item]:
    """Every input once, where it was named first, as `Journal.register_inputs` would have it.

    An input that a walk skipped (a link, for example) is read if it is also named. Else it is what it was
    when it was named first.

    All inputs go through temporary files: they are parted by the hash of what they name, and the names of
    one part are compared in memory.

    Args:
        folder: what relative names start from; None if that is unknown.
    """
    with tempfile.TemporaryDirectory(prefix="sidscan-plan-") as scratch, ExitStack() as stack:
        lines = stack.enter_context((Path(scratch) / "lines").open("w+b"))
        parts = [
            stack.enter_context((Path(scratch) / f"part-{number}").open("w+b")) for number in range(_PARTS)
        ]
        for number, item in enumerate(items):
            named = os.fsencode(identity_of(item.name, item.kind, folder))
            digest = hashlib.blake2b(named, digest_size=16).digest()
            parts[digest[0]].write(_NAMED.pack(digest, number, lines.tell(), bool(item.skip)))
            lines.write(encode_item(item))
        for part in parts:
            _note_repeated(part)
        yield from _once(lines, heapq.merge(*map(_repeated, parts)))


def _note_repeated(part: BinaryIO) -> None:
    """Replace what a part holds by its repeated inputs."""
    part.seek(0)
    first: dict[bytes, int] = {}
    skipped = set[bytes]()  # so far
    repeated: dict[int, int] = {}
    for digest, number, offset, is_skipped in _NAMED.iter_unpack(part.read()):
        if digest not in first:
            first[digest] = number
            if is_skipped:
                skipped.add(digest)
            continue
        repeated[number] = _DROPPED
        if digest in skipped and not is_skipped:
            skipped.remove(digest)
            repeated[first[digest]] = offset
    part.seek(0)
    part.truncate()
    part.writelines(_REPEATED.pack(*each) for each in sorted(repeated.items()))
    part.seek(0)


def _repeated(part: BinaryIO) -> Iterator[tuple[int, int]]:
    while packed := part.read(_REPEATED.size):
        number, offset = _REPEATED.unpack(packed)
        yield number, offset


def _once(lines: BinaryIO, repeated: Iterator[tuple[int, int]]) -> Iterator[Item]:
    """The inputs in their order: all lines but the repeated ones."""
    lines.seek(0)
    upcoming, instead = next(repeated, (-1, 0))
    for number, line in enumerate(iter(lines.readline, b"")):
        item = decode_item(line)
        if number == upcoming:
            if instead != _DROPPED:
                yield _as_named_again(item, lines, instead)
            upcoming, instead = next(repeated, (-1, 0))
        else:
            yield item


def _as_named_again(item: Item, lines: BinaryIO, offset: int) -> Item:
    """The input by its first name, with what the naming that has it read says."""
    back = lines.tell()
    lines.seek(offset)
    named = decode_item(lines.readline())
    lines.seek(back)
    return Item(item.name, item.kind, named.fingerprint)
