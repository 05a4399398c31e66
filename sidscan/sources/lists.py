"""Lists: one path or URL per line, from a file or standard input."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import cast

from sidscan.errors import UsageError
from sidscan.records import Item, Kind
from sidscan.sources.paths import SIGNATURE_BYTES, has_signature
from sidscan.util.urls import mask_credentials

_MAX_NAME_BYTES = 1 << 16  # bytes


def read_names(source: str, null: bool = False) -> Iterator[str]:
    """Names in a list; blank lines and lines that start with ``#`` are left out, as is a byte order mark.

    Paths are bytes on most systems: a line that is not UTF-8 is kept through surrogate escapes.

    Args:
        null: names end in a NUL character instead of a line's end, and none is left out.

    Raises:
        UsageError: the list can't be read, or is none.
    """
    names = _names_by_null if null else _names_by_line
    if source == "-":
        if sys.stdin is None:
            raise UsageError("there is no standard input to read names from", "Use --list FILE.")
        yield from names(
            BufferedReader(cast(RawIOBase, sys.stdin.buffer))
        )  # which may be anything that reads
        return
    try:
        with Path(source).open("rb") as file:
            yield from names(file)
    except OSError as error:
        raise UsageError(
            f"can't read the list {source}: {error.strerror}", "Check the path after --list."
        ) from error


def is_url(name: str) -> bool:
    """Whether a name is fetched instead of opened."""
    return name.lower().startswith(("http://", "https://"))


def is_unsupported_url(name: str) -> bool:
    """Whether a name is an address that nothing here fetches, e.g. ``ftp://host/a.jpg``."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) is not None and not is_url(name)


def url_item(name: str) -> Item:
    """The item of a URL; it carries no stamp, since only fetching tells whether it changed.

    A user name or password is left out here, before anything is recorded; the fetch then refuses the rest.
    """
    return Item(mask_credentials(name), kind=Kind.URL)


def _check_head(head: bytes) -> None:
    """A picture named after --list by mistake would be half a million names."""
    if has_signature(head[:SIGNATURE_BYTES]):
        raise UsageError("the list is a picture", "Name pictures without --list.")
    if b"\0" in head and b"\n" not in head:
        raise UsageError(
            "the names in the list end in NUL characters, not with lines",
            "Read what `find -print0` writes with --null.",
        )


def _names_by_line(file: BufferedReader) -> Iterator[str]:
    _check_head(file.peek())
    for number, line in enumerate(file):
        name = os.fsdecode((line if number else line.removeprefix(codecs.BOM_UTF8)).rstrip(b"\r\n"))
        if name.strip() and not name.startswith("#"):
            yield name


def _names_by_null(file: BufferedReader) -> Iterator[str]:
    rest = b""
    while chunk := file.read(1 << 16):
        *names, rest = (rest + chunk).split(b"\0")
        yield from (os.fsdecode(name) for name in names if name)
        if len(rest) > _MAX_NAME_BYTES:
            raise UsageError("this is no list of names that end in NUL", "Leave --null out.")
    if rest:
        yield os.fsdecode(rest)
