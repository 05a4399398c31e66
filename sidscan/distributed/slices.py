"""Slices: parts of the planned inputs, and where one ends and the next begins.

A slice ends after an input whose name's hash says so, never after a set number of inputs. So one new file
moves one border at most, and all other slices stay what they were.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sidscan.records import Item, Kind
from sidscan.util.member_names import split_member_name

ID_LENGTH = 32  # hex digits of a digest that stand in the names of files


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the planned inputs.

    Attributes:
        digest: of its inputs: names, kinds, fingerprints, and why some are not read; hex.
        inputs: how many there are.
        starts: slices of earlier plans that share inputs with it; results of their journals may still hold.
    """

    digest: str
    inputs: int
    starts: tuple[str, ...] = ()


def encode_item(item: Item) -> bytes:
    """An input as one line of JSON; bytes of a name that are no text are escaped."""
    fields = (item.name, item.kind.value, item.fingerprint, item.skip)
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def decode_item(line: bytes) -> Item:
    """The inverse of `encode_item`."""
    name, kind, fingerprint, skip = json.loads(line)
    return Item(name, Kind(kind), fingerprint, skip)


def digest_of(items: Iterable[Item]) -> str:
    """What a slice of these inputs is called."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(encode_item(item))
    return digest.hexdigest()[:ID_LENGTH]


def write_slice(items: Sequence[Item], path: Path) -> None:
    """Write the inputs of a slice; equal slices are equal files."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.writelines(map(encode_item, items))


def read_slice(path: Path) -> Iterator[Item]:
    """The inputs of a slice, in their order."""
    with gzip.open(path) as lines:
        yield from map(decode_item, lines)


def cut(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut inputs into slices of about ``size`` of them, and at most twice as many.

    Members of one archive stay in one slice, unless there are more than that.
    """
    source, most = iter(items), 2 * size
    waiting: list[Item] = []
    while True:
        waiting += islice(source, most - len(waiting))
        if not waiting:
            return
        length = _length(waiting, size)
        yield waiting[:length]
        waiting = waiting[length:]


def _length(waiting: Sequence[Item], size: int) -> int:
    """How many of the inputs that wait are the next slice; fewer than twice ``size`` wait only at the end."""
    last = next((at for at, item in enumerate(waiting) if _hash(item.name) % size == 0), None)
    if last is None:
        if len(waiting) < 2 * size:
            return len(waiting)
        # The lowest hash of many is found again, whatever comes in before or behind it.
        last = min(range(size // 2, len(waiting)), key=lambda at: (_hash(waiting[at].name), at))
    return _without_cutting_archives(waiting, last, 2 * size)


def _without_cutting_archives(waiting: Sequence[Item], last: int, most: int) -> int:
    archive = _archive_of(waiting[last])
    if archive is None:
        return last + 1
    first = end = last
    while end < len(waiting) and _archive_of(waiting[end]) == archive:
        end += 1
    if end < len(waiting) or len(waiting) < most:
        return end
    while first and _archive_of(waiting[first - 1]) == archive:
        first -= 1
    return first or last + 1  # in the next slice, where it may fit; it does not fit in any


def _archive_of(item: Item) -> str | None:
    """The archive of a member; None for what is none."""
    parts = split_member_name(item.name) if item.kind is Kind.MEMBER else None
    return parts[0] if parts else None


def _hash(name: str) -> int:
    """A number that depends on the name alone."""
    return int.from_bytes(
        hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
