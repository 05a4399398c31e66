"""Records and ledgers that a stranger made to harm who reads them are refused before a row is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import FAILED, RUN, SCORED

from sidscan.distributed.journals import PublishedJournal
from sidscan.errors import UsageError
from sidscan.journal import Journal
from sidscan.journal.keys import ReuseKeys
from sidscan.journal.reading import StoredRecord, find_records
from sidscan.journal.start import start_from
from sidscan.records import Item
from sidscan.util.plain_sqlite import ComputedTables

BOMB = "hex(zeroblob(1000000000))"
IN_PLACE = f"""PRAGMA writable_schema = ON;
    UPDATE sqlite_master SET sql = replace(sql, 'skip TEXT NOT NULL', 'skip TEXT AS ({BOMB})')"""
HOSTILE = {
    "a computed column": (f"ALTER TABLE items ADD COLUMN bomb AS ({BOMB})", "a column of items is computed"),
    "a column that became computed": (IN_PLACE, "a column of items is computed"),
    "a default that is computed": (
        f"DROP TABLE outputs; CREATE TABLE outputs (path, sha256, bomb DEFAULT ({BOMB}))",
        "a column of outputs is computed",
    ),
    "a condition": (
        f"DROP TABLE outputs; CREATE TABLE outputs (path, sha256, Check ({BOMB} = ''))",
        "outputs has a condition",
    ),
    "a view": (
        f"DROP TABLE header; CREATE VIEW header AS SELECT 'format' AS key, {BOMB} AS value",
        "header is not a table of values",
    ),
    "a trigger": (
        f"CREATE TRIGGER bomb AFTER INSERT ON outputs BEGIN SELECT {BOMB}; END",
        "bomb is not a table of values",
    ),
    "a virtual table": (
        "DROP TABLE turns; CREATE VIRTUAL TABLE turns USING fts5(turn, position, key, folder_size)",
        "turns is not a table of values",
    ),
    "an index that calls": (
        "CREATE INDEX bomb ON outputs (hex(zeroblob(length(path))))",
        "bomb is not a table of values",
    ),
}


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "r.journal"
    results, keys = (SCORED, replace(FAILED, name="b.jpg")), ReuseKeys("score", "limits", "urls")
    with closing(Journal(path)) as journal:
        journal.set_header(RUN)
        journal.register_inputs([Item(each.name, each.kind) for each in results], keys)
        journal.append(results, keys)
    return path


def change(path: Path, statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(statements)


@pytest.mark.parametrize(("statements", "words"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_record_that_computes_is_refused(record: Path, statements: str, words: str) -> None:
    change(record, statements)
    for kind in (StoredRecord, PublishedJournal):
        with pytest.raises(UsageError) as refused:
            kind(record)
        assert refused.value.message == f"{record} is not a record that sidscan wrote: {words}"
    with pytest.raises(ComputedTables, match=words):
        start_from(record.with_name("new.journal"), [record])
    assert find_records(record.with_name("r.csv")) == []
    assert [path.name for path in record.parent.iterdir()] == ["r.journal"]


def test_a_record_of_tables_is_read(record: Path) -> None:
    """One of an earlier version lacks tables, and somebody may have added an index to query it."""
    change(record, "DROP TABLE closer_looks; DROP TABLE crops; CREATE INDEX mine ON items (kind, skip)")
    for kind in (StoredRecord, PublishedJournal):
        with closing(kind(record)) as journal:
            assert [each.name for each in journal.results()] == [SCORED.name, "b.jpg"]
            assert journal.closer_look("0" * 64) is None
