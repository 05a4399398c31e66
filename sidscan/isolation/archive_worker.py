"""A process of `sidscan.isolation.archives`: it lists archives and reads members for its parent."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

from sidscan.archives import parquet
from sidscan.archives.entries import ArchiveEntry, ArchiveError
from sidscan.archives.reading import list_entries, open_member
from sidscan.isolation.frames import Frame
from sidscan.isolation.protocol import WorkerOptions
from sidscan.isolation.serving import serve
from sidscan.util.files import open_file
from sidscan.util.magic import identify_name
from sidscan.util.own_maps import is_map_name

_MOST_ENTRIES = 256  # in one frame
_MOST_CHARACTERS = 1 << 16  # of names in one frame, unless one name has more
_MOST_NAME = 100  # characters of a column's name in a message
_METADATA = ("._", "__MACOSX/")  # in names of what macOS adds to archives


def main() -> None:
    """Answer tasks until standard input ends. The argument is `WorkerOptions` as JSON."""
    options = WorkerOptions.from_json(sys.argv[1])
    max_bytes = options.limits.max_bytes
    serve(
        lambda task: _answer(task.head, max_bytes),
        options.memory_limit,
        seconds=lambda task: cast(float, task.head["seconds"]),
    )


def _answer(task: Any, max_bytes: int) -> Iterator[Frame]:
    try:
        if task["do"] == "list":
            yield from _list(task["name"], task["most"])
        elif task["do"] == "rows":
            yield from _rows(task["name"], task["columns"])
        elif task["do"] == "columns":
            yield _columns(task["name"])
        elif task["do"] == "column":
            yield _column(task["name"], task["column"])
        elif task["do"] == "texts":
            yield from _texts(task["name"], task["column"])
        elif task["do"] == "hash":
            yield from _hash(task["name"])
        else:
            yield from _read(task["name"], task["fingerprint"], max_bytes)
    except MemoryError:
        yield _failure(
            "MemoryError", "it takes more memory than there is; raise the limit with --memory-limit"
        )
    except (ArchiveError, OSError) as error:
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        yield _failure(type(error).__name__, message)


def _failure(error: str, message: str) -> Frame:
    return Frame({"error": error, "message": message})


def _wants_head(name: str) -> bool:
    """Whether a member's name leaves open what it is, as for the files of a folder."""
    known = identify_name(name)
    is_image = known is not None and not known.kind.may_hold_images
    return not is_image or is_map_name(name) or any(part in name for part in _METADATA)


def _list(path: str, most: int) -> Iterator[Frame]:
    """The entries, at most ``most``; how many more there are is said in one for the archive."""
    batch: list[ArchiveEntry] = []
    count, characters = 0, 0
    for entry in list_entries(path, _wants_head):
        count += bool(entry.name)
        if entry.name and count > most:
            continue
        batch.append(entry)
        characters += len(entry.name)
        if len(batch) == _MOST_ENTRIES or characters > _MOST_CHARACTERS:
            yield _entries_frame(batch)
            batch, characters = [], 0
    if count > most:
        words = f"{count - most:,} of its {count:,} members were not read; raise the limit with --max-members"
        batch.append(ArchiveEntry("", problem=words))
    yield _entries_frame(batch)
    yield Frame({"listed": count})


def _columns(path: str) -> Frame:
    """The names of the first columns of a Parquet file."""
    with open_file(path) as file:
        names = parquet.Table(file).columns[:_MOST_ENTRIES]
        return Frame({"columns": [name[:_MOST_NAME] for name in names]})


def _column(path: str, name: str) -> Frame:
    """The exact name of a column of a Parquet file, and whether it holds bytes."""
    with open_file(path) as file:
        table = parquet.Table(file)
        column = table.find_column(name)
        index = table.columns.index(column)
        if not (table.holds_bytes(index) or table.holds_text(index)):
            raise ArchiveError(
                f"has neither text nor bytes in the column {column!r}; {table.shown_columns()}"
            )
        return Frame({"column": column, "bytes": table.holds_bytes(index)})


def _texts(path: str, column: str) -> Iterator[Frame]:
    """The texts of a column of a Parquet file."""
    with open_file(path) as file:
        table = parquet.Table(file)
        batch: list[str] = []
        characters = 0
        for text in table.texts(table.columns.index(column)):
            batch.append(text[:_MOST_CHARACTERS])
            characters += len(batch[-1])
            if len(batch) == _MOST_ENTRIES or characters > _MOST_CHARACTERS:
                yield Frame({"texts": batch}, last=False)
                batch, characters = [], 0
        yield Frame({"texts": batch})


def _rows(path: str, columns: Sequence[str]) -> Iterator[Frame]:
    """The cells of some columns of a Parquet file, row by row."""
    with open_file(path) as file:
        table = parquet.Table(file)
        names = [table.find_column(name) for name in columns]
        batch: list[list[str]] = []
        characters = 0
        for row in table.rows(names):
            batch.append([text[:_MOST_CHARACTERS] for text in row])
            characters += sum(map(len, batch[-1]))
            if len(batch) == _MOST_ENTRIES or characters > _MOST_CHARACTERS:
                yield Frame({"rows": batch}, last=False)
                batch, characters = [], 0
        yield Frame({"rows": batch})


def _entries_frame(entries: Sequence[ArchiveEntry]) -> Frame:
    rows = [
        [each.name, str(each.span) if each.span else "", each.problem, len(each.head)] for each in entries
    ]
    return Frame({"entries": rows}, b"".join(each.head for each in entries), last=False)


def _read(name: str, fingerprint: str, max_bytes: int) -> Iterator[Frame]:
    member = open_member(name, fingerprint)
    if member.span.size > max_bytes:
        yield _failure("TooLarge", f"larger than {max_bytes} bytes; raise the limit with --max-bytes")
        return
    for part in member.read():
        yield Frame({"part": len(part)}, part, last=False)
    yield Frame({"modified_at": member.span.modified_at})


def _hash(name: str) -> Iterator[Frame]:
    digest = hashlib.sha256()
    for part in open_member(name).read():
        digest.update(part)
    yield Frame({"sha256": digest.hexdigest()})
