"""Where a scan keeps its results when neither --out FILE nor --journal FILE says so: the user's cache folder.

One record for the same inputs, named from the same folder. The same command continues it, and the first
report in a file starts from it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sidscan.cli import checks
from sidscan.config import ScanConfig
from sidscan.errors import OutputError
from sidscan.journal.identity import current_folder
from sidscan.journal.kept import kept_results_folder
from sidscan.reports.output_files import lock_file, locked
from sidscan.util.files import atomic_write, can_lock
from sidscan.util.terminal import Echo

_OLDEST = 90 * 24 * 60 * 60  # seconds; older records are removed
_SUFFIX = ".journal"


class _NoRecord(Exception):
    """Why results can't be kept in the cache folder."""


@contextmanager
def with_record(config: ScanConfig, echo: Echo) -> Iterator[ScanConfig]:
    """The configuration with a record, in the cache folder if it names none; nobody else uses that meanwhile.

    Where there can be none, ``echo`` says why, and the results are kept in memory. A record that is named and
    not there yet begins with what the cache folder has of the same inputs.
    """
    if config.journal is not None:
        _start_from_cache(config, config.journal, echo)
        yield config
        return
    with ExitStack() as stack:
        try:
            path = _record_of(config)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not can_lock(path.parent):
                raise _NoRecord("the cache folder can't lock files")
            _remove_old(path.parent)
            stack.enter_context(locked(path))
        except (_NoRecord, OSError, OutputError) as error:
            echo(f"results are kept in memory only: {str(error).splitlines()[0]}")
            yield config
            return
        written = (*checks.journal_files(path), lock_file(path))
        yield replace(config, journal=path, outputs=(*config.outputs, *written))


def _start_from_cache(config: ScanConfig, journal: Path, echo: Echo) -> None:
    if config.fresh or journal.exists():
        return
    with suppress(_NoRecord, OSError, OutputError, sqlite3.Error):  # without it, the images are scored again
        path = _record_of(config)
        if path.exists():
            with locked(path):
                _copy_record(path, journal)
            echo(f"starting from the results of an earlier scan without --out, kept in the cache: {path}")


def _copy_record(path: Path, journal: Path) -> None:
    """Copy a record whole or not at all; what a killed scan left half written is taken back first.

    Raises:
        OSError, sqlite3.Error: it is damaged, or can't be written.
    """
    with (
        atomic_write(journal) as partial,
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(partial)) as copy,
    ):
        copy.execute("PRAGMA journal_mode=OFF")  # no second file that a failure would leave
        source.backup(copy)
        if copy.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the record in the cache is damaged")


def _record_of(config: ScanConfig) -> Path:
    """The record of these inputs.

    Raises:
        _NoRecord: there can be none.
    """
    if config.private:
        raise _NoRecord("--private leaves nothing in the cache folder")
    if "-" in config.lists:
        raise _NoRecord("the names come from standard input")
    folder = kept_results_folder()
    if folder is None:
        raise _NoRecord("this user has no home folder")
    named = json.dumps([current_folder() or "", config.inputs, config.lists])
    return folder / f"{hashlib.sha256(named.encode('ascii')).hexdigest()[:16]}{_SUFFIX}"


def _remove_old(folder: Path) -> None:
    """Remove records that no scan has written for long, so that the folder does not grow for ever."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _OLDEST:
                path.unlink()
