"""Whether a report may be replaced: only what its own run wrote there last is, byte for byte.

A report that somebody edited, that a spreadsheet saved again, or that another run wrote is somebody's work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

from sidscan.errors import OutputError, UsageError
from sidscan.reports import sha256sums
from sidscan.util.files import content_sha256

Recorded = Callable[[Path], Collection[str] | None]
"""The sha256 of what a run last wrote to a file; None if its record does not say (`RunRecord`)."""

_REPLACE = "choose another --out, or replace it with --overwrite."


def nothing_recorded(_: Path) -> Collection[str]:
    """What the record of a new run says."""
    return ()


def check_before(report: Path, hashed: bool, recorded: Recorded, recognised: Callable[[Path], bool]) -> None:
    """Check before a scan that a report and its hash file may be replaced.

    Args:
        hashed: whether the hash file is written, too.
        recognised: whether a file looks as if sidscan had written it.

    Raises:
        OutputError: one of them holds something else than this run wrote.
    """
    path = _foreign(report, hashed, recorded)
    if path is None:
        return
    if recorded(path):
        raise OutputError(
            f"{path} was changed after sidscan wrote it; it is left alone",
            f"Rename it to keep it and run the same command again; or {_REPLACE}",
        )
    if not recognised(path):
        raise OutputError(
            f"{path} is there and was not written by sidscan; it is left alone",
            f"{_REPLACE[0].upper()}{_REPLACE[1:]}",
        )
    if recorded(path) is None:
        raise OutputError(
            f"{path} has no hash in the record, which an earlier version of sidscan wrote; it is left alone",
            f"Rename it to keep it and run the same command again; or {_REPLACE}",
        )
    raise OutputError(
        f"{path} belongs to another run; it is left alone", f"{_REPLACE[0].upper()}{_REPLACE[1:]}"
    )


def check_last(report: Path, hashed: bool, recorded: Recorded, new: str) -> None:
    """The same check right before the report is replaced by bytes with the sha256 ``new``.

    Raises:
        OutputError: somebody changed one of them while the scan ran.
    """
    path = _foreign(report, hashed, recorded, new)
    if path is not None:
        raise OutputError(
            f"{path} was changed while this scan ran; it is left alone",
            "Nothing is lost: rename it and run the same command again, or with --overwrite, or with the "
            "same --journal and another --out.",
        )


def _foreign(report: Path, hashed: bool, recorded: Recorded, new: str | None = None) -> Path | None:
    """The report or its hash file, if it holds something else than this run wrote or is about to write."""
    content, known = content_sha256(report), recorded(report)
    if known is None:
        known = _stated(report)  # the record is older than such notes
    known = {*known, *([new] if new else [])}
    if content is not None and content not in known:
        return report
    sums = sha256sums.sums_path(report)
    if not hashed or (content := content_sha256(sums)) is None:
        return None
    lines = {sha256_hex(sha256sums.sums_line(report, sha256)) for sha256 in known}
    return None if content in {*lines, *(recorded(sums) or ())} else sums


def _stated(report: Path) -> Collection[str]:
    """The sha256 that the hash file beside a report states."""
    try:
        return (sha256sums.read_sums(sha256sums.sums_path(report), report.name),)
    except UsageError:
        return ()


def sha256_hex(data: bytes) -> str:
    """The sha256 of bytes, hex."""
    return hashlib.sha256(data).hexdigest()
