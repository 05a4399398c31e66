"""Read lists: one path or URL per line, from a file, a pipe or standard input."""

from __future__ import annotations

import codecs
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import cast

from sidscan.errors import UsageError
from sidscan.records import Item, Kind
from sidscan.util.magic import identify
from sidscan.util.urls import mask_credentials

_MAX_NAME_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 16


def read_names(source: str, null: bool = False) -> Iterator[str]:
    """The names in a list, without blank lines, lines that start with ``#`` and a byte order mark.

    Paths are bytes on most systems, so a line that is not UTF-8 is kept through surrogate escapes.

    Args:
        source: a file, a pipe, or ``-`` for standard input.
        null: names end in a NUL character instead of a line's end, and every name counts.

    Raises:
        UsageError: the list can't be read, or the file is not a list.
    """
    split = _names_by_null if null else _names_by_line
    if source == "-":
        if sys.stdin is None:
            raise UsageError("standard input is closed, so no names can be read from it", "Use --list FILE.")
        # Standard input may have been replaced by an object that can only read.
        yield from split(BufferedReader(cast(RawIOBase, sys.stdin.buffer)))
        return
    try:
        _refuse_device(source)
        with Path(source).open("rb") as file:
            yield from split(file)
    except OSError as error:
        raise UsageError(
            f"can't read the list {source}: {error.strerror}", "Check the path after --list."
        ) from error


def check_stdin_named_once(sources: Sequence[str]) -> None:
    """Refuse to read standard input as two lists.

    Raises:
        UsageError: ``-`` is named twice.
    """
    if sources.count("-") > 1:
        raise UsageError("standard input can be read only once", "Give --list - once.")


def is_url(name: str) -> bool:
    """Whether a name is fetched instead of opened."""
    return name.lower().startswith(("http://", "https://"))


def is_unsupported_url(name: str) -> bool:
    """Whether a name is a URL that sidscan does not fetch, e.g. ``ftp://host/a.jpg``."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) is not None and not is_url(name)


def url_item(name: str) -> Item:
    """The item of a URL; it has no fingerprint, since only fetching shows whether it changed.

    A user name or password is masked here, before anything is recorded. The fetch then refuses the URL.
    """
    return Item(mask_credentials(name), kind=Kind.URL)


def _refuse_device(source: str) -> None:
    """Refuse devices, which may never end (/dev/zero). A pipe, a terminal and /dev/null are fine.

    Raises:
        UsageError: it is a device.
        OSError: it does not exist.
    """
    mode = os.stat(source).st_mode  # noqa: PTH116  (Path() would normalise the name)
    if stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not _is_harmless(source)):
        raise UsageError(f"can't read the list {source}: it is a device", "Name a file or a pipe.")


def _is_harmless(source: str) -> bool:
    """Whether a character device is the null device or standard input's terminal."""
    if Path(source).samefile(os.devnull):
        return True
    try:
        return os.path.samestat(os.stat(source), os.fstat(0)) and os.isatty(0)  # noqa: PTH116
    except OSError:  # standard input is closed
        return False


def _names_by_line(file: BufferedReader) -> Iterator[str]:
    _check_head(file.peek())
    for number, line in enumerate(file):
        name = os.fsdecode((line if number else line.removeprefix(codecs.BOM_UTF8)).rstrip(b"\r\n"))
        if name.strip() and not name.startswith("#"):
            yield name


def _check_head(head: bytes) -> None:
    """Refuse what is not a list: an image named after --list by mistake would be half a million names."""
    if (known := identify(head)) is not None:
        if known.kind.may_hold_images:
            raise UsageError(f"the list is {known.noun}", "Save the names as a text file, one per line.")
        raise UsageError("the list is an image", "Name images without --list.")
    if b"\0" in head and b"\n" not in head:
        raise UsageError(
            "the names in the list end in NUL characters, not with lines",
            "Read what `find -print0` writes with --null.",
        )


def _names_by_null(file: BufferedReader) -> Iterator[str]:
    rest = b""
    while chunk := file.read(_CHUNK_BYTES):
        *names, rest = (rest + chunk).split(b"\0")
        yield from (os.fsdecode(name) for name in names if name)
        if len(rest) > _MAX_NAME_BYTES:
            raise UsageError("the names in the list do not end in NUL characters", "Leave --null out.")
    if rest:
        yield os.fsdecode(rest)
