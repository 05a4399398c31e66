"""The record that a person names, by itself or by a report of its run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.journal.reading import find_records, is_database
from sidscan.reports import reader
from sidscan.util.files import open_file

_SUFFIX = ".journal"


def record_path(named: Path) -> Path:
    """The record that is named, or that lies beside a report that is named.

    Raises:
        UsageError: there is none.
    """
    if (named / "run.json").is_file():
        raise UsageError(
            f"{named} is a run of shards", f"Write its reports: sidscan collect {named} --out report.csv."
        )
    with suppress(OSError, ValueError):  # opening it says what is wrong
        if named.exists() and is_database(named) and not is_report(named):
            return named
        beside = Path(f"{named}{_SUFFIX}")
        if beside.exists():
            return beside
        if is_report(named):
            return _record_of(named)
    return named


def is_report(named: Path) -> bool:
    """Whether a file is a report of sidscan, as far as its name or its first bytes tell.

    Raises:
        OSError: it can't be read.
    """
    if not named.is_file() or named.suffix.lower() == ".xlsx":
        return named.is_file()
    with open_file(named) as file:
        return reader.format_of_file(file) is not None


def refuse_runs(inputs: Iterable[str]) -> None:
    """Refuse folders of runs as inputs: a walk would find journals there, and no image.

    Raises:
        UsageError: one is named.
    """
    for name in inputs:
        if _is_run(Path(name)):
            raise UsageError(
                f"{name} is a run of shards, and not a folder of images",
                f"Scan what it has left: sidscan scan --run {name}. Write its reports: "
                f"sidscan collect {name} --out report.csv. All else needs the images themselves.",
            )


def _is_run(folder: Path) -> bool:
    with suppress(OSError, ValueError):
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return isinstance(facts, dict) and {"format", "id", "options"} <= facts.keys()
    return False


def names_record(name: str) -> bool:
    """Whether an input is a record or a report, and not an image, a folder or a URL."""
    with suppress(OSError, ValueError):
        return Path(name).is_file() and (is_database(Path(name)) or is_report(Path(name)))
    return False


def _record_of(report: Path) -> Path:
    """The only record that knows a report.

    Raises:
        UsageError: there is none, or several do.
    """
    records = find_records(report)
    if len(records) == 1:
        return records[0]
    why = "several records name it" if records else "its record is not there"
    raise UsageError(
        f"{report} is a report, and {why}",
        f"Name the record: it lies beside the first --out of the scan, and ends in {_SUFFIX}. Of a run of "
        "shards: sidscan collect RUN.",
    )
