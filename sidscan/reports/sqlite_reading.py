"""Reads .db reports back, which anybody may have made: views, triggers, expressions of a database are code.

Only a process with limits calls this (`sidscan.isolation.report_worker`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sidscan.reports.reader import LONGEST_LINE, DamagedReport
from sidscan.reports.typed_rows import head_line, row_lines, wanted
from sidscan.util.files import real_path
from sidscan.util.plain_sqlite import harden

MODEL_NAMES = {"model": "name", "model_digest": "digest", "calibration": "calibration"}
"""Columns about a model, and what its table calls them."""
RUN_NAMES = ("runtime", "device", "precision", "effort", "sample")
"""Columns about the run, as its table calls them, too."""
_TABLES = ("images", "scores", "models", "run")
_PLAIN = {*_TABLES, "sqlite_master"}  # what is read
_CACHE = -8_192  # KiB


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A database whose tables are tables of values, and which runs nothing; errors of SQLite are damage."""
    try:
        address = f"{real_path(path).as_uri()}?mode=ro&immutable=1"  # no lock, no file beside it
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as database:
            _harden(database)
            _check_tables(database)
            database.set_authorizer(_allowed)
            yield database
    except (sqlite3.Error, OSError) as error:
        raise DamagedReport("SQLite can't read it") from error


def report_lines(database: sqlite3.Connection, columns: Collection[str], size: int) -> Iterator[bytes]:
    """The lines of the report, as `reports.typed_rows` has them.

    Args:
        columns: names of those that are read.
        size: bytes of the file.
    """
    (facts,) = database.execute("SELECT facts FROM run NOT INDEXED").fetchone()
    table = _Columns(database)
    names = table.names()
    sent = wanted(names, columns)
    yield head_line(names, sent, facts)
    yield from row_lines(([row.get(name) for name in sent] for row in table.rows(sent)), size)


class _Columns:
    """The columns of the view ``report``, without asking a view that somebody else may have made."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._images = _columns_of(database, "images")
        self._scores = _columns_of(database, "scores")[2:]
        models = _read(database, "models", ("name", *list(MODEL_NAMES.values())[1:]), "position").fetchall()
        self._prefixes = {name: f"{name}." if index else "" for index, (name, *_) in enumerate(models)}
        run = _read(database, "run", RUN_NAMES, "id").fetchone()
        self._constant = dict(zip(RUN_NAMES, run, strict=True))
        for prefix, facts in zip(self._prefixes.values(), models, strict=True):
            self._constant |= {f"{prefix}{name}": fact for name, fact in zip(MODEL_NAMES, facts, strict=True)}

    def names(self) -> list[str]:
        """All, those of the images first."""
        scores = [f"{prefix}{name}" for prefix in self._prefixes.values() for name in self._scores]
        return [*self._images, *self._constant, *(scores or self._scores)]

    def rows(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Cells by the names of columns, in the order of the images; those that are empty may lack."""
        of_images = ["id", *(name for name in names if name in self._images and name != "id")]
        constant = {name: self._constant[name] for name in names if name in self._constant}
        needs_scores = len(of_images) - 1 + len(constant) < len(names)
        scores: Iterator[Any] = iter(self._read_scores() if needs_scores else ())
        pending = next(scores, None)
        for cells in _read(self._database, "images", of_images, "id"):
            row = dict(zip(of_images, cells, strict=True)) | constant
            while pending is not None and pending[0] == row["id"]:
                prefix = self._prefixes[pending[1]]
                row |= {f"{prefix}{name}": cell for name, cell in zip(self._scores, pending[2:], strict=True)}
                pending = next(scores, None)
            yield row

    def _read_scores(self) -> sqlite3.Cursor:
        return _read(self._database, "scores", ("image", "model", *self._scores), "image, model")


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""').replace("\0", "") + '"'


def _read(database: sqlite3.Connection, table: str, names: Sequence[str], order: str) -> sqlite3.Cursor:
    """Cells of a table; no index is asked, which could state others than the table."""
    chosen = ", ".join(map(quoted, names))
    return database.execute(f"SELECT {chosen} FROM {table} NOT INDEXED ORDER BY {order}")  # noqa: S608  (names are ours, or quoted)


def _columns_of(database: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns.

    Raises:
        DamagedReport: one is computed when it is read.
    """
    columns = database.execute(f"PRAGMA table_xinfo({table})").fetchall()
    if any(hidden for *_, hidden in columns):
        raise DamagedReport("a column of it is computed")
    return [name for _, name, *_ in columns]


def _harden(database: sqlite3.Connection) -> None:
    """Switch off what reading a report does not need."""
    harden(database, LONGEST_LINE)
    # This process can't write files, as sorting would: `report` never needs it, other tables might.
    for setting in ("trusted_schema = OFF", "query_only = ON", "temp_store = MEMORY"):
        database.execute(f"PRAGMA {setting}")
    database.execute(f"PRAGMA cache_size = {_CACHE}")
    database.text_factory = _strict_text


def _check_tables(database: sqlite3.Connection) -> None:
    """Refuse what computes or calls something in the place of a table; a virtual one has no page."""
    kinds = {
        name: kind if root else "virtual"
        for kind, name, root in database.execute("SELECT type, name, rootpage FROM sqlite_master")
        if kind in ("table", "view")
    }
    if any(kinds.get(name) != "table" for name in _TABLES):
        raise DamagedReport("it lacks a table")


def _allowed(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """What a statement may do: read our tables and ask for their columns; call no function."""
    may = (
        action == sqlite3.SQLITE_SELECT
        or (action == sqlite3.SQLITE_READ and first in _PLAIN)
        or (action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo" and second in _TABLES)
    )
    return sqlite3.SQLITE_OK if may else sqlite3.SQLITE_DENY


def _strict_text(data: bytes) -> str:
    return data.decode("utf-8")
