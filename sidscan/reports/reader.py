"""Reports, read back: which inputs they name, and which hashes they state. Streaming, for a million rows."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sidscan.errors import UsageError
from sidscan.reports.csv_escape import unescape_cell

_LONGEST_LINE = 1 << 26  # bytes; a row with all EXIF that a reader keeps is far shorter
_BOM = b"\xef\xbb\xbf"
_CSV_START = b"path,status,error_stage,error_class,error_message,"
_JSON_START = re.compile(rb'\{"run": \{"sidscan_version": "')
_JSONL_START = re.compile(
    rb'\{"path": "(?:[^"\\]|\\.)*", "path_bytes": (?:null|"[0-9a-f]*"), "kind": "[a-z]+", "st'
)
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One input, as a report has it.

    Attributes:
        name: path or URL; bytes that are not UTF-8 as surrogate escapes, as `os.fsdecode` makes them.
        sha256: of the bytes that were read, hex; None where reading failed.
        saved_as: file that keeps the bytes of a URL, if one does.
    """

    name: str
    sha256: str | None
    saved_as: str | None = None


class DamagedReport(ValueError):
    """A row is not as sidscan writes it."""


def format_of(head: bytes) -> str | None:
    """What a file that begins so is: ``csv``, ``json``, ``jsonl``, or None for no report of sidscan."""
    if head.removeprefix(_BOM).startswith(_CSV_START):
        return "csv"
    if _JSON_START.match(head):
        return "json"
    return "jsonl" if _JSONL_START.match(head) else None


def rows(file: BinaryIO, kind: str, path: Path) -> Iterator[ReportRow]:
    """All rows of a report, in order, from its start.

    Raises:
        UsageError: the report is damaged, or was rewritten by something else.
    """
    file.seek(0)
    position = 0
    try:
        for row in _READERS[kind](_lines(file)):
            position += 1
            yield row
    # ValueError: not UTF-8, no JSON, Damaged; RecursionError: JSON without end of nesting
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        why = str(error) if isinstance(error, DamagedReport) else "it is not as sidscan writes it"
        raise UsageError(
            f"{path} is damaged behind row {position}: {why}", "Take the report as the scan wrote it."
        ) from error


def _csv_rows(lines: Iterator[str]) -> Iterator[ReportRow]:
    csv.field_size_limit(_LONGEST_LINE)
    table = csv.reader(lines, strict=True)
    header = next(table)
    path, sha256, saved_as = (header.index(name) for name in ("path", "sha256", "saved_as"))
    for cells in table:
        if len(cells) != len(header):
            raise DamagedReport(f"it has {len(cells)} cells, not {len(header)}")
        yield ReportRow(
            unescape_cell(cells[path]),
            _checked(cells[sha256] or None),
            unescape_cell(cells[saved_as]) or None,
        )


def _json_rows(lines: Iterator[str]) -> Iterator[ReportRow]:
    counts, found = json.loads(next(lines) + "]}")["counts"], 0
    for line in lines:
        if line.rstrip() == "]}":
            break
        yield _of_tree(json.loads(line.rstrip().removesuffix(",")))
        found += 1
    else:
        raise DamagedReport("it ends early")
    stated = counts["scored"] + counts["failed"] + counts["skipped"]
    if found != stated:
        raise DamagedReport(f"it has {found} findings and states {stated}")
    if next(lines, None) is not None:
        raise DamagedReport("something follows its end")


def _jsonl_rows(lines: Iterator[str]) -> Iterator[ReportRow]:
    for line in lines:
        yield _of_tree(json.loads(line))


_READERS: dict[str, Callable[[Iterator[str]], Iterator[ReportRow]]] = {
    "csv": _csv_rows,
    "json": _json_rows,
    "jsonl": _jsonl_rows,
}


def _of_tree(tree: dict[str, Any]) -> ReportRow:
    raw = tree["path_bytes"]
    name = tree["path"] if raw is None else os.fsdecode(bytes.fromhex(raw))
    if not isinstance(name, str):
        raise DamagedReport("a path is no text")
    saved_as = (tree["facts"]["response"] or {}).get("saved_as")
    if not isinstance(saved_as, str | None):
        raise DamagedReport("a path is no text")
    return ReportRow(name, _checked(tree["facts"]["sha256"]), saved_as)


def _checked(sha256: str | None) -> str | None:
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise DamagedReport("a sha256 is not 64 hexadecimal digits")
    return sha256


def _lines(file: BinaryIO) -> Iterator[str]:
    """Lines of UTF-8 text; a report's last one is whole."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n"):
            raise DamagedReport("it ends early" if len(line) < _LONGEST_LINE else "a line is endless")
        yield (line if number else line.removeprefix(_BOM)).decode("utf-8")
        number += 1
