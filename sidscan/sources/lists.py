"""Read lists: one path or URL per line, or a column of a table, from a file, a pipe or standard input."""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

from sidscan.errors import UsageError
from sidscan.records import Item, Kind
from sidscan.sources import tables
from sidscan.util.files import open_file
from sidscan.util.magic import FILE_FORMATS, identify
from sidscan.util.object_urls import is_object_url
from sidscan.util.urls import mask_credentials

_MAX_NAME_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 16
_BYTE_ORDER_MARKS = (  # UTF-32's first, since it starts as UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_MAY_BE_SPREADSHEETS = ("ZIP", "OLE")  # xlsx, ods and numbers; xls
PARQUET = next(known for known in FILE_FORMATS if known.name == "PARQUET")
_MARKUP = (b"<?xml", b"<!DOCTYPE", b"<!doctype", b"<html")


def read_names(source: str, null: bool = False, column: str | None = None) -> Iterator[str]:
    """The names in a list, without blank lines and lines that start with ``#``.

    It may be UTF-8, or UTF-16 as its first bytes say. Paths are bytes on most systems, so what is not UTF-8
    is kept through surrogate escapes.

    Args:
        source: a file, a pipe, or ``-`` for standard input.
        null: names end in a NUL character instead of a line's end, and every name counts.
        column: the list is a table, and this is the column with the names.

    Raises:
        UsageError: the list can't be read, the file is not a list, or it has no such column.
    """
    try:
        with _opened(source) as file:
            yield from _names_by_null(file) if null else _names_of_text(file, source, column)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the list {source} can't be read as {error.encoding.upper()}: {error.reason}",
            "Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise UsageError(f"can't read the list {source}: {error.strerror}", _check_path(source)) from error


def _check_path(source: str) -> str:
    if is_url(source) or is_object_url(source):
        return "Lists are read from a disk: copy it, and name the copy with --list."
    return "Check the path after --list."


def is_parquet(source: str) -> bool:
    """Whether a list is a Parquet file, by its first bytes; pipes are never one."""
    try:
        with open_file(source) as file:
            return identify(file.read(8)) is PARQUET
    except (OSError, ValueError):
        return False  # reading it says what is wrong


def no_column_named(source: str, columns: Sequence[str]) -> UsageError:
    """The error of a Parquet file as a list, of which no column was named."""
    return UsageError(
        f"the list {source} is a Parquet file with the columns {tables.shown_names(columns)}",
        "Name the one with paths, URLs or bytes: --list-column NAME.",
    )


@contextmanager
def _opened(source: str) -> Iterator[BufferedReader]:
    if source != "-":
        _refuse_device(source)
        with Path(source).open("rb") as file:
            yield file
        return
    if sys.stdin is None:
        raise UsageError("standard input is closed, so no names can be read from it", "Use --list FILE.")
    yield BufferedReader(_StandardInput(sys.stdin.buffer))


class _StandardInput(RawIOBase):
    """Standard input, whose lines are read as they come; it may be an object that can only `read`.

    The first part that is read has a whole line at least, since it says what the list is.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._has_line = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view, size = memoryview(buffer), 0
        while size < len(view) and (part := self._read(len(view) - size)):
            view[size : size + len(part)] = part
            size += len(part)
            self._has_line = self._has_line or b"\n" in part or b"\0" in part
            if self._has_line:
                break
        return size


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
    is_other = not is_url(name) and not is_object_url(name)
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name) is not None and is_other


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


def _names_of_text(file: BufferedReader, source: str, column: str | None) -> Iterator[str]:
    head = file.peek()
    encoding = _encoding(head)
    _check_head(head, encoding)
    start = head.decode(encoding, "replace")
    is_table = column is not None or tables.looks_like_table(source, start)
    # Old programs of Macs end lines with \r. Else that may be part of a name.
    newline = "" if is_table else "\r" if "\r" in start and "\n" not in start else "\n"
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    text = io.TextIOWrapper(file, _path_encoding(encoding), errors, newline)
    try:
        yield from tables.read_column(text, source, column) if is_table else _names_by_line(text)
    finally:
        text.detach()  # the file is closed by who opened it


def _names_by_line(text: io.TextIOWrapper) -> Iterator[str]:
    for line in text:
        name = line.rstrip("\r\n")
        if name.strip() and not name.startswith("#"):
            yield name


def _encoding(head: bytes) -> str:
    """What the first bytes say: a byte order mark, or NULs in every second place around the end of a line."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    if b"\n\0" in head and not head[0::2].count(0):
        return "utf-16-le"
    if b"\0\n" in head and not head[1::2].count(0):
        return "utf-16-be"
    return "utf-8"


def _path_encoding(encoding: str) -> str:
    """That of this system's paths, where a list has no byte order mark."""
    return sys.getfilesystemencoding() if encoding == "utf-8" else encoding


def _check_head(head: bytes, encoding: str) -> None:
    """Refuse what is not a list: an image named after --list by mistake would be half a million names."""
    known = identify(head)
    if known is not None and not known.kind.may_hold_images:
        raise UsageError("the list is an image", "Name images without --list.")
    if known is not None and known.name in _MAY_BE_SPREADSHEETS:
        raise UsageError(
            f"the list is {known.noun}, perhaps a spreadsheet, and not text",
            "Save the sheet as CSV, and name its column with --list-column NAME.",
        )
    if known is not None or head.startswith(_MARKUP):
        noun = known.noun if known is not None else "an XML or HTML document"
        raise UsageError(f"the list is {noun}", "Save the names as a text file, one per line.")
    if b"\0" in head and b"\n" not in head and encoding == "utf-8":
        raise UsageError(
            "the names in the list end in NUL characters, not with lines",
            "Read what `find -print0` writes with --null.",
        )


def _names_by_null(file: BufferedReader) -> Iterator[str]:
    rest = b""
    while chunk := file.read1(_CHUNK_BYTES):
        *names, rest = (rest + chunk).split(b"\0")
        yield from (os.fsdecode(name) for name in names if name)
        if len(rest) > _MAX_NAME_BYTES:
            raise UsageError("the names in the list do not end in NUL characters", "Leave --null out.")
    if rest:
        yield os.fsdecode(rest)
