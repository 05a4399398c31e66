"""Reports that strangers made to harm who reads them cost the process that unpacks them, and nothing else."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_results import FAILED, SCORED, journal_of

from sidscan.archives import zstandard
from sidscan.errors import UsageError
from sidscan.isolation import processes, report_worker
from sidscan.reports import output_for, write_all
from sidscan.reports.parquet import FACTS_KEY
from sidscan.verify import open_report

Damage = Callable[[Path], object]


def reads(path: Path) -> tuple[int, str]:
    """The number of rows that can be read, and why there are no more."""
    try:
        with open_report(path) as report:
            return report.rows, ""
    except UsageError as error:
        return -1, error.message.replace(str(path), "R")


def sql(*statements: str) -> Damage:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return change


def large_cell(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE images SET path = CAST(zeroblob(100000000) AS TEXT) WHERE id = 2")


def cyclic_pages(path: Path) -> None:
    """The table's only page becomes the parent of itself."""
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'images'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    page = bytearray(size)
    cells = [(root, number) for number in range(1, 100)]
    page[0:12] = (
        b"\x05\0\0"
        + len(cells).to_bytes(2, "big")
        + (size - 5 * len(cells)).to_bytes(2, "big")
        + (b"\0" + root.to_bytes(4, "big"))
    )
    for index, (child, key) in enumerate(cells):
        at = size - 5 * (index + 1)
        page[12 + 2 * index : 14 + 2 * index] = at.to_bytes(2, "big")
        page[at : at + 5] = child.to_bytes(4, "big") + bytes([key])
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(page)


LACKS, CANNOT = (
    "it lacks a table",
    "SQLite can't read it",
)
ENDLESS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT "
MOVED = "ALTER TABLE images RENAME TO moved"
DATABASES: dict[str, tuple[Damage, str]] = {
    "a view in the place of a table": (
        sql(
            MOVED,
            f"CREATE VIEW images AS {ENDLESS} id, 'a' AS path, NULL AS path_bytes, NULL AS sha256 FROM n",
        ),
        LACKS,
    ),
    "a view in the place of the run": (
        sql("ALTER TABLE run RENAME TO moved", "CREATE VIEW run AS SELECT * FROM moved"),
        LACKS,
    ),
    "a virtual table": (
        sql(MOVED, "CREATE VIRTUAL TABLE images USING fts5(id, path, path_bytes, sha256)"),
        LACKS,
    ),
    "a computed column": (
        sql("ALTER TABLE images ADD COLUMN bomb TEXT AS (hex(zeroblob(400000000)))"),
        "a column of it is computed",
    ),
    "facts that are no text": (
        sql("UPDATE run SET facts = 1.5"),
        "the facts about its run are not an object",
    ),
    "a path that is a blob": (
        sql("UPDATE images SET path = X'41' WHERE id = 2"),
        "a path is not text",
    ),
    "a path that is no UTF-8": (
        sql("UPDATE images SET path = CAST(X'ff41' AS TEXT) WHERE id = 2"),
        "it is not as sidscan writes it",
    ),
    "a path of 100 MB": (large_cell, CANNOT),
    "pages in a circle": (cyclic_pages, CANNOT),
}


@pytest.fixture
def report(tmp_path: Path) -> Callable[[str], Path]:
    def written(suffix: str) -> Path:
        path = tmp_path / f"r.{suffix}"
        write_all([output_for(str(path))], journal_of(SCORED, FAILED, replace(SCORED, name="c.jpg")))
        return path

    return written


@pytest.mark.parametrize(("change", "message"), DATABASES.values(), ids=list(DATABASES))
def test_hostile_databases(report: Callable[[str], Path], change: Damage, message: str) -> None:
    path = report("db")
    change(path)
    count, why = reads(path)
    assert (count, why.rpartition(": ")[2]) == (-1, message)
    assert why.startswith("R is damaged behind row ")


def test_an_index_does_not_stand_for_its_table(report: Callable[[str], Path]) -> None:
    """An index may be made to state other values than the table that people see."""
    path = report("db")
    sql("CREATE INDEX cover ON images (id, path, path_bytes, sha256, saved_as, perceptual_hash)")(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'ON images', 'ON images ') WHERE name = 'cover'"
        )
    with open_report(path) as opened:
        assert [row.name for row in opened.read()] == ["a.jpg", "b.jpg", "c.jpg"]


def table_of(path: Path) -> Any:
    return pq.read_table(path)


def constant(table: Any, name: str, value: object, rows: int) -> Any:
    kind = table.schema.field(name).type
    return pa.repeat(pa.scalar(value, kind), rows)


def rewritten(table: Any, path: Path, **options: Any) -> None:
    pq.write_table(table, path, compression="zstd", write_page_checksum=True, **options)


def many_rows(path: Path) -> None:
    """The same row many times, in a few kilobytes."""
    table, rows = table_of(path), 300_000
    facts = json.loads(table.schema.metadata[FACTS_KEY])
    facts["counts"] |= {"enumerated": rows, "scored": rows, "failed": 0}
    schema = pa.schema(
        [table.schema.field(name) for name in ("path", "sha256")], {FACTS_KEY: json.dumps(facts).encode()}
    )
    columns = [constant(table, "path", "a.jpg", rows), constant(table, "sha256", "a" * 64, rows)]
    rewritten(pa.table(columns, schema=schema), path)


def large_cells(path: Path) -> None:
    """A dictionary of one text of 30 MB, which each of a thousand rows names."""
    table, rows = table_of(path), 1_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 30_000_000]))
    schema = pa.schema(
        [pa.field("path", text.type), pa.field("sha256", pa.string())], dict(table.schema.metadata)
    )
    rewritten(pa.table([text, pa.nulls(rows, pa.string())], schema=schema), path)


def without_metadata_of_arrow(path: Path) -> None:
    table = table_of(path)
    index = table.schema.get_field_index("sha256")
    lists = pa.array([["a" * 64]] * table.num_rows)
    rewritten(table.set_column(index, "sha256", lists), path)


def two_columns_of_a_name(path: Path) -> None:
    table = table_of(path)
    rewritten(table.append_column("path", pa.array(["z.jpg"] * table.num_rows)), path)


def zeros(path: Path) -> None:
    """Pages are gone, the end is there."""
    data = path.read_bytes()
    path.write_bytes(data[:50] + bytes(2_000) + data[2_050:])


PARQUETS: dict[str, tuple[Damage, str]] = {
    "more rows than bytes": (many_rows, "it has more rows than bytes"),
    "large cells": (large_cells, "to read it takes more than 1024 MiB of memory"),
    "lists in the place of texts": (without_metadata_of_arrow, "a sha256 is not 64 hexadecimal digits"),
    "two columns of a name": (two_columns_of_a_name, "two columns have the same name"),
    "zeros": (zeros, "its Parquet can't be read"),
}


@pytest.mark.parametrize(("change", "message"), PARQUETS.values(), ids=list(PARQUETS))
def test_hostile_parquet(report: Callable[[str], Path], change: Damage, message: str) -> None:
    path = report("parquet")
    change(path)
    count, why = reads(path)
    assert (count, why.rpartition(": ")[2]) == (-1, message)
    assert why.startswith("R is damaged behind row ")


def test_an_endless_line_of_zeros(report: Callable[[str], Path]) -> None:
    path = report("jsonl.zst")
    with path.open("rb") as file, zstandard.unpacked(file) as stream:
        text = stream.read()
    with path.open("wb") as out, zstandard.compressed(out) as packed:
        packed.write(text)
        for _ in range(80):
            packed.write(b" " * (1 << 20))
    assert path.stat().st_size < 100_000
    assert reads(path) == (-1, "R is damaged behind row 3: a line is endless")


@pytest.fixture
def task(report: Callable[[str], Path]) -> dict[str, Any]:
    path = report("db")
    status = path.stat()
    return {"suffix": "db", "path": path, "identity": [status.st_dev, status.st_ino], "columns": ["path"]}


def test_a_file_that_was_replaced_is_not_read(task: dict[str, Any]) -> None:
    (frame,) = report_worker._frames(**{**task, "identity": [1, 2]})
    assert frame.head == {"damaged": "another file has its name now"}


# A process that a report has taken over.
TAKEN_OVER = """import sys; from sidscan.isolation.frames import *; write_frame(sys.stdout.buffer, READY)
while read_frame(sys.stdin.buffer): write_frame(sys.stdout.buffer, Frame({}))"""


def test_empty_parts_do_not_go_on_for_ever(
    report: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "python_command", lambda _: (sys.executable, "-c", TAKEN_OVER))
    assert reads(report("db")) == (
        -1,
        "R is damaged behind row 0: the process that read it sent an empty part",
    )


def test_only_columns_that_are_asked_for_are_sent(task: dict[str, Any]) -> None:
    (frame,) = report_worker._frames(**task)
    first, *rows = frame.payload.splitlines()
    assert json.loads(first)["sent"] == ["path", "path_bytes"]
    assert [json.loads(row)[0] for row in rows] == ["a.jpg", "b.jpg", "c.jpg"]
