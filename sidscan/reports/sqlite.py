"""SQLite: a report to query, for datasette and sqlite3. It is not the record of a run, which is private.

Tables ``images``, ``scores``, ``models``, ``run`` and ``sessions``; a view ``report`` has the columns of the
CSV report. Lists are JSON, times are texts (ISO 8601), yes and no are 1 and 0.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sidscan.records import RunHeader, RunRecord, ScanResult, SessionRecord
from sidscan.reports.base import REPORT_FORMAT_NUMBER, FormatOptions, binary_format
from sidscan.reports.columns import NUMBER_COLUMN, ColumnType, ReportColumn, Value, choose_columns
from sidscan.reports.json import ijson_text, printable
from sidscan.reports.reader import PATH_BYTES
from sidscan.reports.sqlite_reading import MODEL_NAMES, opened, quoted, report_lines
from sidscan.reports.typed_rows import TypedFormat, head_text, path_bytes, plain

_SIGNATURE = b"SQLite format 3\0"
_APPLICATION_ID = b"SIDS"  # in SQLite's header, where file(1) looks for it
_AT_APPLICATION_ID = slice(68, 72)
_BATCH = 1_000  # rows that are written at once
_LARGEST_INTEGER = 2**63 - 1
SQLITE_TYPES: dict[ColumnType, str] = {
    "text": "TEXT",
    "integer": "INTEGER",
    "real": "REAL",
    "boolean": "INTEGER",
    "time": "TEXT",
    "texts": "TEXT",
    "integers": "TEXT",
}
"""What columns are declared as. SQLite keeps a value that does not fit as it is."""
_INDEXES = (("images", "path"), ("images", "sha256"), ("scores", "score"))
_RUN = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 1), report_format INTEGER, sidscan_version TEXT, started TEXT,
    finished TEXT, model_choice TEXT, model_provenance TEXT, runtime TEXT, device TEXT, precision TEXT,
    crops TEXT, effort TEXT, sample TEXT, inputs TEXT, lists TEXT, private INTEGER, enumerated INTEGER,
    scored INTEGER, failed INTEGER, skipped INTEGER, shown TEXT, facts TEXT
);
CREATE TABLE models (
    name TEXT PRIMARY KEY, position INTEGER UNIQUE, digest TEXT, calibration TEXT
) WITHOUT ROWID;
"""


@binary_format("db")
class SqliteReport(TypedFormat):
    """One database, written in one go. The same record gives the same bytes, by the same SQLite."""

    has_columns = True

    def __init__(self, columns: tuple[str, ...] = ()) -> None:
        self._columns = columns

    def configured(self, options: FormatOptions) -> SqliteReport:
        """The format with some columns."""
        return SqliteReport(options.columns)

    def write(self, record: RunRecord, path: Path, final: Path) -> None:  # noqa: ARG002
        """Write the tables batch by batch, then the indexes."""
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # Nothing has to survive a crash: the file has a temporary name until it is complete.
            database.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA user_version = "
                f"{REPORT_FORMAT_NUMBER}; "
                f"PRAGMA application_id = {int.from_bytes(_APPLICATION_ID, 'big')}; BEGIN"
            )
            try:
                _Writer(database, record, self._columns).write()
                database.execute("COMMIT")
            except sqlite3.OperationalError as error:  # e.g. the disk is full
                raise OSError(None, str(error)) from error

    def owns(self, head: bytes, file: BinaryIO) -> bool:  # noqa: ARG002
        """By the number of an application in SQLite's header."""
        return head.startswith(_SIGNATURE) and head[_AT_APPLICATION_ID] == _APPLICATION_ID

    def unpacked(self, file: BinaryIO, path: Path, columns: Collection[str]) -> Iterator[bytes]:
        """Row by row."""
        with opened(path) as database:
            yield from report_lines(database, columns, file.seek(0, os.SEEK_END))


class _Writer:
    """Writes the tables of a report."""

    def __init__(self, database: sqlite3.Connection, record: RunRecord, names: tuple[str, ...]) -> None:
        self._database, self._record, self._header = database, record, record.header()
        self._columns = choose_columns(self._header, names)
        self._images = [each for each in self._columns if each.of == "image" and each.name != NUMBER_COLUMN]
        self._has_path = any(column.name == "path" for column in self._images)
        self._scores = {
            model.name: [each for each in self._columns if each.of == "score" and each.model == model.name]
            for model in self._header.models
        }
        chosen = [_bare(column) for columns in self._scores.values() for column in columns]
        self._score_names = list(dict.fromkeys(chosen))

    def write(self) -> None:
        self._create()
        _write_run(self._database, self._record)
        results, number = self._record.results(), 0
        while part := list(islice(results, _BATCH)):
            numbered = list(enumerate(part, number + 1))
            self._insert("images", map(self._image, numbered))
            if self._score_names:
                self._insert("scores", (row for entry in numbered for row in self._scores_of(*entry)))
            number += len(part)
        for table, column in _INDEXES:
            if column in (self._score_names if table == "scores" else map(_bare, self._images)):
                self._database.execute(f"CREATE INDEX {table}_{column} ON {table} ({column})")
        self._create_view()

    def _create(self) -> None:
        declared = [f"{_quoted(column.name)} {SQLITE_TYPES[column.type]}" for column in self._images]
        if self._has_path:
            position = [column.name for column in self._images].index("path")
            declared.insert(position + 1, f"{PATH_BYTES} BLOB")
        for statement in _RUN.split(";"):
            self._database.execute(statement)
        sessions = ", ".join(f"{field.name} {_session_type(field.name)}" for field in fields(SessionRecord))
        self._database.execute(f"CREATE TABLE sessions (id INTEGER PRIMARY KEY, {sessions})")
        images = ", ".join(("id INTEGER PRIMARY KEY", *declared))
        self._database.execute(f"CREATE TABLE images ({images})")
        types = {_bare(column): column.type for columns in self._scores.values() for column in columns}
        scores = "".join(f", {name} {SQLITE_TYPES[types[name]]}" for name in self._score_names)
        self._database.execute(
            "CREATE TABLE scores (image INTEGER REFERENCES images (id), "
            f"model TEXT REFERENCES models (name){scores}, PRIMARY KEY (image, model)) WITHOUT ROWID"
        )

    def _insert(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        rows = iter(rows)
        first = next(rows, None)
        if first is not None:
            marks = ", ".join("?" * len(first))
            self._database.execute(f"INSERT INTO {table} VALUES ({marks})", first)  # noqa: S608  (names are ours, or quoted)
            self._database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  (names are ours, or quoted)

    def _image(self, entry: tuple[int, ScanResult]) -> list[object]:
        number, result = entry
        row: list[object] = [number]
        for column in self._images:
            row.append(stored(column.value(result)))
            if column.name == "path":
                row.append(path_bytes(result.name))
        return row

    def _scores_of(self, number: int, result: ScanResult) -> Iterator[list[object]]:
        scored = {score.model for score in result.scores}
        for model, columns in self._scores.items():
            if model in scored:
                cells = {_bare(column): stored(column.value(result)) for column in columns}
                yield [number, printable(model), *(cells.get(name) for name in self._score_names)]

    def _create_view(self) -> None:
        """The columns of the report, in their order."""
        position = {model.name: index for index, model in enumerate(self._header.models)}
        chosen = []
        for column in self._columns:
            chosen.append(f"{_source(column, position)} AS {_quoted(column.name)}")
            if column.name == "path":
                chosen.append(f"images.{PATH_BYTES} AS {PATH_BYTES}")
        joined = "".join(
            f" LEFT JOIN models AS m{index} ON m{index}.position = {index}"
            f" LEFT JOIN scores AS s{index} ON s{index}.image = images.id AND s{index}.model = m{index}.name"
            for index in position.values()
        )
        self._database.execute(
            f"CREATE VIEW report AS SELECT {', '.join(chosen)} FROM images CROSS JOIN run{joined}"  # noqa: S608  (names are ours, or quoted)
        )


def _write_run(database: sqlite3.Connection, record: RunRecord) -> None:
    header, counts, selection = record.header(), record.counts(), record.selection()
    run: dict[str, object] = {
        "id": 1,
        "report_format": REPORT_FORMAT_NUMBER,
        **{name: getattr(header, name) for name in ("sidscan_version", "started", "finished")},
        **{name: getattr(header, name) for name in ("model_choice", "model_provenance", "runtime")},
        **{name: getattr(header, name) for name in ("device", "precision", "crops", "effort")},
        "sample": str(header.sample) if header.sample else None,
        "inputs": header.inputs,
        "lists": header.lists,
        "private": header.private,
        **asdict(counts),
        "shown": str(selection) if selection else None,
        "facts": head_text(record),
    }
    marks = ", ".join("?" * len(run))
    database.execute(f"INSERT INTO run ({', '.join(run)}) VALUES ({marks})", [*map(_json_or, run.values())])  # noqa: S608  (names are ours, or quoted)
    database.executemany("INSERT INTO models VALUES (?, ?, ?, ?)", _models(header))
    for session in header.sessions:
        values = [_json_or(getattr(session, field.name)) for field in fields(SessionRecord)]
        marks = ", ".join("?" * len(values))
        database.execute(f"INSERT INTO sessions VALUES (NULL, {marks})", values)  # noqa: S608  (names are ours, or quoted)


def _models(header: RunHeader) -> Iterator[tuple[object, ...]]:
    for position, model in enumerate(header.models):
        calibration = header.calibrations.get(model.name)
        short = calibration.sha256[:16] if calibration else None
        yield printable(model.name), position, printable(model.digest), short


def _json_or(value: Any) -> object:
    """A value as a cell of SQLite; objects and lists as JSON."""
    return ijson_text(value) if isinstance(value, Mapping | tuple) else stored(value)


def _session_type(name: str) -> str:
    return "INTEGER" if name == "findings" else "TEXT"


def stored(value: Value) -> object:
    """A value as SQLite holds it: lists as JSON; integers that it can't hold as digits, NaN as text."""
    value = plain(value)
    if isinstance(value, tuple):
        return ijson_text(value)
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return str(value).encode()  # of a text that is a number, a column of numbers would make a REAL
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def _source(column: ReportColumn, position: Mapping[str, int]) -> str:
    """Where the view takes a column from."""
    bare = _bare(column)
    if column.of == "score":
        return f"s{position[column.model]}.{bare}"
    if column.of == "model":
        return f"m{position[column.model]}.{MODEL_NAMES.get(bare, bare)}"
    is_of_run = column.of == "run" or column.name == NUMBER_COLUMN
    return f"{'run' if is_of_run else 'images'}.{_quoted(column.name)}"


def _bare(column: ReportColumn) -> str:
    """The name of a column without that of a model; these names are ours."""
    return column.name.rpartition(".")[2]


def _quoted(name: str) -> str:
    return quoted(printable(name))
