"""Detached hash files: ``report.csv.sha256`` beside ``report.csv``, in the format of GNU sha256sum(1)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.util.files import open_file

_LARGEST = 1 << 24  # bytes; a hash file of many files is far smaller
_LINE = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.+)")
# A name with one of these is escaped, and its line starts with a backslash (GNU coreutils, "md5sum").
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}


def sums_path(report: Path) -> Path:
    """Where the hash of ``report`` belongs."""
    return report.with_name(f"{report.name}.sha256")


def sums_line(report: Path, sha256: str) -> bytes:
    """What the hash file of ``report`` holds; ``sha256sum -c`` accepts it in the report's folder."""
    name = os.fsencode(report.name)
    shown = re.sub(rb"[\\\n\r]", lambda match: _ESCAPES[match[0]], name)
    return (b"\\" if shown != name else b"") + sha256.encode() + b"  " + shown + b"\n"


def holds_one_sum(head: bytes) -> bool:
    """Whether a file that begins so holds one hash and nothing else, as `sums_line` makes it."""
    return head.endswith(b"\n") and _LINE.fullmatch(head[:-1]) is not None and b"\n" not in head[:-1]


def read_sums(path: Path, name: str) -> str:
    """The sha256 that a hash file states of the file called ``name``, hex.

    Raises:
        UsageError: it can't be read, or states no hash of that file.
    """
    try:
        with open_file(path) as file:
            lines = file.read(_LARGEST).splitlines()
    except OSError as error:
        raise UsageError(
            f"can't read the hash file {path}: {error.strerror}", "Check --hash-file."
        ) from error
    wanted = os.fsencode(name)
    for line in lines:
        match = _LINE.fullmatch(line)
        if match and os.path.basename(_unescaped(match)) == wanted:  # noqa: PTH119  (bytes)
            return match[2].decode()
    raise UsageError(
        f"{path} states no sha256 of {name}",
        "Name a file of `sha256sum` with --hash-file, or remove that one.",
    )


def _unescaped(line: re.Match[bytes]) -> bytes:
    if not line[1]:
        return line[3]
    originals = {shown: original for original, shown in _ESCAPES.items()}
    return re.sub(rb"\\.", lambda match: originals.get(match[0], match[0]), line[3])
