"""Parquet, SQLite and compressed JSON Lines: the rows of the CSV report, with types, exactly."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reports.test_private import STAYS, filled_header, filled_result, marks
from reports.test_properties import any_pace, results
from sample_results import FACTS, FAILED, SCORE, SCORED, full_header, journal_of, results_of_every_status

from sidscan.archives import zstandard
from sidscan.errors import OutputError, UsageError
from sidscan.records import Mark, ModelRecord, RunHeader, ScanResult
from sidscan.records.localization import Localization, LocalizerRecord
from sidscan.reports import BINARY_FORMATS, output_for, write_all
from sidscan.reports.base import FormatOptions
from sidscan.reports.columns import ReportColumn, report_columns
from sidscan.reports.csv_escape import unescape_cell
from sidscan.reports.json import printable
from sidscan.reports.parquet import FACTS_KEY, ROW_GROUP, UNTYPED, fitted, moment
from sidscan.reports.parquet_folder import shard_name, write_parquet_folder
from sidscan.reports.private import private_header, private_result
from sidscan.reports.reader import VERIFIED_COLUMNS, lines_of
from sidscan.review.compared_runs import open_compared
from sidscan.review.wrapped import WrappedRecord
from sidscan.verify import open_report

Run = Callable[..., Any]
HOSTILE_MODEL = 'x"; DROP TABLE images; --'
TWO_MODELS = replace(full_header(), models=(ModelRecord("mini", "abc"), ModelRecord(HOSTILE_MODEL, "def")))


def write(folder: Path, record: Any, *suffixes: str, name: str = "r") -> None:
    write_all([output_for(str(folder / f"{name}.{suffix}")) for suffix in suffixes], record)


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    return list(pq.ParquetFile(path).read().to_pylist())


def database_rows(path: Path, query: str = "SELECT * FROM report") -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(query)]


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_csv(column: ReportColumn, value: Any) -> Any:
    """A typed value as CSV has it, so that both can be compared."""
    if value is None or value == "":
        return ""
    if column.type == "boolean":
        return "yes" if value else "no"
    if column.type in ("texts", "integers"):
        value = json.loads(value) if isinstance(value, str) else value
        return column.separator.join(map(str, value))
    if column.type == "time":
        return value if isinstance(value, datetime) else moment(value) or value
    return value


def from_csv(column: ReportColumn, cell: str) -> Any:
    text = printable(unescape_cell(cell))
    if not text:
        return ""
    if column.type in ("real", "integer"):
        return float(text) if column.type == "real" else int(text)
    return (moment(text) or text) if column.type == "time" else text


def exact(column: ReportColumn, text: str) -> Any:
    return {"integer": int, "real": float}.get(column.type, str)(text)


def check_same_rows(folder: Path, header: RunHeader) -> None:
    """CSV, Parquet and SQLite hold the same, cell for cell."""
    columns = report_columns(header)
    table, typed, stored = (
        csv_rows(folder / "r.csv"),
        parquet_rows(folder / "r.parquet"),
        database_rows(folder / "r.db"),
    )
    assert len(table) == len(typed) == len(stored)
    for cells, row, other in zip(table, typed, stored, strict=True):
        aside = json.loads(row.pop(UNTYPED) or "{}")
        assert row["path_bytes"] == other["path_bytes"]
        assert list(row) == list(other), "the same columns in the same order"
        for column, cell in zip(columns, cells.values(), strict=True):
            expected, name = from_csv(column, cell), printable(column.name)
            assert as_csv(column, other[name]) == expected or other[name] == str(expected).encode()
            if name in aside:
                assert row[name] is None
                assert column.type in ("texts", "integers") or exact(column, aside[name]) == expected
            else:
                assert as_csv(column, row[name]) == expected


@settings(any_pace, max_examples=40)
@given(st.lists(results, max_size=4, unique_by=lambda result: result.name))
def test_any_record_is_the_same_in_csv_parquet_and_sqlite_and_is_read_back(
    found: Sequence[ScanResult],
) -> None:
    class Record(WrappedRecord):
        def results(self):  # type: ignore[no-untyped-def]
            return iter(found)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = Record(journal_of(*found, run=full_header()))
        write(folder, record, "csv", *BINARY_FORMATS)
        check_same_rows(folder, full_header())
        for suffix, form in BINARY_FORMATS.items():
            read = form.rows(lines_of(unpacked(folder / f"r.{suffix}", suffix)))
            assert [(row.name, row.sha256, row.perceptual_hash or "") for row in read] == [
                (result.name, result.facts.sha256, result.facts.perceptual_hash or "") for result in found
            ]


def unpacked(path: Path, suffix: str) -> BinaryIO:
    """The text of a report, by the code that a process with limits runs."""
    with path.open("rb") as file:
        return io.BytesIO(b"".join(BINARY_FORMATS[suffix].unpacked(file, path, VERIFIED_COLUMNS)))


def test_rows_of_every_status_and_two_models(tmp_path: Path) -> None:
    other = replace(SCORE, model=HOSTILE_MODEL, score=0.2, evidence="weak", inconclusive=("small", "flat"))
    both = replace(SCORED, name="both.jpg", scores=(SCORE, other))
    localized = replace(
        SCORED,
        name="map.jpg",
        localization=Localization("l", "d", "tiles", region=(1, 2, 30, 40), area=0.5, tiles=4),
    )
    marked = replace(
        SCORED, name="mark.jpg", mark=Mark("later", "ada", "2026-01-01T00:00:00+00:00", "=n\n\0")
    )
    header = replace(TWO_MODELS, localizer=LocalizerRecord("l"))
    found = [*results_of_every_status(), both, localized, marked]

    class Joined(WrappedRecord):
        def results(self):  # type: ignore[no-untyped-def]
            return iter(found)

    record = Joined(journal_of(*found, run=header))
    write(tmp_path, record, "csv", "parquet", "db")
    check_same_rows(tmp_path, header)
    row = parquet_rows(tmp_path / "r.parquet")[-3]
    assert (row["score"], row[f"{HOSTILE_MODEL}.score"]) == (0.7, 0.2)
    assert row[f"{HOSTILE_MODEL}.inconclusive"] == ["small", "flat"]
    assert parquet_rows(tmp_path / "r.parquet")[-2]["map_region"] == [1, 2, 30, 40]


def test_types_of_parquet(tmp_path: Path) -> None:
    write_all([output_for(str(tmp_path / "r.parquet"))], journal_of(SCORED, FAILED, run=full_header()))
    scored, failed = parquet_rows(tmp_path / "r.parquet")
    assert scored["flags"] == ["padded", "first_frame"]
    assert scored["modified_at"] == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert scored["exif_original_date_iso"] == "2026-01-01T00:00:00.25+01:00", "it has no offset, or its own"
    assert (scored["iptc_caption"], scored["width"], scored["lossless"]) == ("=a caption", 300, None)
    assert (scored["final_url"], scored["redirects"]) == (None, [])
    assert (failed["score"], failed["inconclusive"], failed["model"]) == (None, None, "mini")


def test_facts_about_the_run_are_those_of_json(tmp_path: Path) -> None:
    write_all(
        [output_for(str(tmp_path / f"r.{each}")) for each in ("json", "parquet", "db")],
        journal_of(SCORED, run=full_header()),
    )
    head = json.loads((tmp_path / "r.json").read_text())
    del head["findings"]
    assert json.loads(pq.read_metadata(tmp_path / "r.parquet").metadata[FACTS_KEY]) == head
    (run,) = database_rows(tmp_path / "r.db", "SELECT * FROM run")
    assert json.loads(run["facts"]) == head
    assert (run["enumerated"], run["scored"], run["report_format"]) == (1, 1, 2)
    sessions = database_rows(tmp_path / "r.db", "SELECT * FROM sessions")
    assert [session["ending"] for session in sessions] == [each["ending"] for each in head["run"]["sessions"]]


def test_the_database_has_keys_and_indexes(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    write_all([output_for(str(path))], journal_of(*results_of_every_status(), run=TWO_MODELS))
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        found = database.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        assert sorted(name for (name,) in found) == ["images_path", "images_sha256", "scores_score"]
        plan = str(
            database.execute("EXPLAIN QUERY PLAN SELECT * FROM scores ORDER BY score DESC LIMIT 9").fetchall()
        )
        assert "scores_score" in plan
        keys = {row[2] for row in database.execute("PRAGMA foreign_key_list(scores)")}
        assert keys == {"images", "models"}


@pytest.mark.parametrize("suffix", BINARY_FORMATS)
def test_the_same_record_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    journal = journal_of(*results_of_every_status(), run=TWO_MODELS)
    for name in "ab":
        write_all([output_for(str(tmp_path / f"{name}.{suffix}"))], journal)
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["parquet", "db"])
def test_only_chosen_columns_are_there(tmp_path: Path, suffix: str) -> None:
    columns = ("score", "path", "sha256", "failed", "camera")
    path = tmp_path / f"r.{suffix}"
    write_all([output_for(str(path), options=FormatOptions(columns=columns))], journal_of(SCORED, FAILED))
    assert b"Erika" not in path.read_bytes()
    row = (parquet_rows if suffix == "parquet" else database_rows)(path)[1]
    row.pop(UNTYPED, None)
    assert list(row) == ["score", "path", "path_bytes", "sha256", "failed", "camera"]
    assert row["failed"] in (True, 1)
    with open_report(path) as report:
        assert report.rows == 2
    with (
        open_compared(path) as run,
        pytest.raises(UsageError, match="this report has only some columns, so it can't be compared"),
    ):
        list(run)
    write_all(
        [output_for(str(path), overwrite=True, options=FormatOptions(columns=("score",)))], journal_of(SCORED)
    )
    with pytest.raises(UsageError, match="lacks column path or sha256"), open_report(path):
        pass


@pytest.mark.parametrize("suffix", BINARY_FORMATS)
def test_private_reports_leave_out_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"r.{suffix}"
    private = journal_of(private_result(filled_result()), run=private_header(filled_header()))
    write_all([output_for(str(path))], private)
    if suffix == "jsonl.zst":
        with path.open("rb") as file, zstandard.unpacked(file) as stream:
            text = stream.read().decode()
    elif suffix == "db":
        with closing(sqlite3.connect(path)) as database:
            text = "\n".join(database.iterdump())
    else:
        text = str(parquet_rows(path)) + str(pq.read_metadata(path).metadata)
    assert marks(text) <= STAYS
    assert "12.25" not in text


@pytest.mark.parametrize("suffix", ["parquet", "db"])
def test_redacting_says_what_to_do(sidscan: Run, tmp_path: Path, suffix: str) -> None:
    write_all([output_for(str(tmp_path / f"r.{suffix}"))], journal_of(SCORED))
    ended = sidscan("redact", tmp_path / f"r.{suffix}", "--out", tmp_path / f"n.{suffix}")
    assert ended.code == 2
    assert "reports of this format can't be redacted\n" in ended.err
    assert "sidscan report RECORD --private --out NEW" in ended.err
    assert not (tmp_path / f"n.{suffix}").exists()


def test_compressed_lines_are_redacted(sidscan: Run, tmp_path: Path) -> None:
    write_all(
        [output_for(str(tmp_path / f"r.{suffix}")) for suffix in ("jsonl", "jsonl.zst")], journal_of(SCORED)
    )
    for suffix in ("jsonl", "jsonl.zst"):
        ended = sidscan("redact", tmp_path / f"r.{suffix}", "--out", tmp_path / f"n.{suffix}")
        assert ended.code == 0, ended.err
    with (tmp_path / "n.jsonl.zst").open("rb") as file, zstandard.unpacked(file) as stream:
        assert stream.read() == (tmp_path / "n.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("integer", 2**63, None),
        ("integer", True, None),
        ("integer", 2**63 - 1, 2**63 - 1),
        ("real", 2**60, None),
        ("real", 3, 3.0),
        ("real", "3", None),
        ("text", "a\udcff\0", "a\\udcff\0"),
        ("time", "yesterday", None),
        ("time", "2026-02-30T00:00:00+00:00", None),
        ("time", "0001-01-01T00:00:00+14:00", None),
        ("time", "2026-01-01T00:00:00.1234567+00:00", None),
        ("time", "2026-01-01T02:00:00.5+02:00", datetime(2026, 1, 1, 0, 0, 0, 500_000, timezone.utc)),
        ("texts", ("a", ""), ["a", ""]),
        ("integers", (1, 2**63), None),
    ],
)
def test_what_a_type_holds(kind: Any, value: Any, fits: object) -> None:
    assert fitted(value, kind) == fits


def test_what_a_type_cannot_hold_stands_aside(tmp_path: Path) -> None:
    facts = replace(FACTS, bytes=2**70, modified_at="long ago\udcff")
    write_all(
        [output_for(str(tmp_path / f"r.{each}")) for each in ("parquet", "db")],
        journal_of(replace(SCORED, facts=facts), FAILED),
    )
    first, second = parquet_rows(tmp_path / "r.parquet")
    assert (first["bytes"], first["modified_at"], second[UNTYPED]) == (None, None, None)
    assert json.loads(first[UNTYPED]) == {"bytes": str(2**70), "modified_at": "long ago\\udcff"}
    assert database_rows(tmp_path / "r.db")[0]["bytes"] == str(2**70).encode()


@pytest.mark.parametrize("suffix", BINARY_FORMATS)
@pytest.mark.parametrize("damage", ["cut", "middle", "number"])
def test_damage_is_reported(sidscan: Run, tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"r.{suffix}"
    found = [replace(SCORED, name=f"{number}.jpg") for number in range(500)]
    write_all([output_for(str(path))], journal_of(*found))
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "middle":
        middle = len(data) // 4
        data[middle : middle + 400] = bytes(byte ^ 0xA5 for byte in data[middle : middle + 400])
    elif suffix == "db":
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM images WHERE id = 7")
        data = bytearray(path.read_bytes())
    else:
        pytest.skip("nobody edits these by hand")
    path.write_bytes(data)
    ended = sidscan("verify", path)
    assert ended.code == 2, ended.err
    assert "Traceback" not in ended.err
    assert "damaged behind row" in ended.err or "is not a report of sidscan" in ended.err


@pytest.mark.parametrize("suffix", ["parquet", "db"])
def test_files_of_others_are_no_reports(sidscan: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"theirs.{suffix}"
    if suffix == "db":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE images (path TEXT, sha256 TEXT)")
    else:
        import pyarrow as pa

        pq.write_table(pa.table({"path": ["a"], "sha256": ["b"]}), path)
    before = path.read_bytes()
    ended = sidscan("verify", path)
    assert ended.code == 2
    with pytest.raises(OutputError, match="was not written by sidscan"), output_for(str(path)).reserve():
        pass
    assert path.read_bytes() == before


def test_a_view_in_the_place_of_a_table_is_not_asked(sidscan: Run, tmp_path: Path) -> None:
    """Somebody else's view may compute without end."""
    path = tmp_path / "r.db"
    write_all([output_for(str(path))], journal_of(SCORED))
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "ALTER TABLE images RENAME TO old; CREATE VIEW images AS WITH RECURSIVE n(id) AS "
            "(SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id, 'a' AS path, NULL AS path_bytes, "
            "NULL AS sha256 FROM n"
        )
    ended = sidscan("verify", path)
    assert (ended.code, "it lacks a table" in ended.err) == (2, True), ended.err


@pytest.mark.parametrize("suffix", [*BINARY_FORMATS, "xlsx"])
def test_standard_output_takes_text_alone(sidscan: Run, tmp_path: Path, suffix: str) -> None:
    ended = sidscan("scan", tmp_path, "--model", "mini", "--format", suffix)
    assert ended.code == 2
    assert f"a .{suffix} report is not text, so it can't go to standard output\n" in ended.err
    assert f"Write it to a file: --out report.{suffix}." in ended.err


@pytest.mark.parametrize(
    ("suffix", "module", "package"),
    [("parquet", "pyarrow", "pyarrow"), ("jsonl.zst", "backports", "backports.zstd")],
)
def test_a_missing_package_is_named_before_anything_is_read(
    tmp_path: Path, suffix: str, module: str, package: str
) -> None:
    if suffix == "jsonl.zst" and sys.version_info >= (3, 14):
        pytest.skip("Python has it")
    write_all([output_for(str(tmp_path / f"r.{suffix}"))], journal_of(SCORED))
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "import importlib.util as u; find = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name.partition('.')[0] == {module!r} else find(name, *a)\n"
        "from sidscan.cli import main\nsys.argv[0] = 'sidscan'\nmain()"
    )
    for arguments in (["scan", ".", "--model", "mini", "--out", f"n.{suffix}"], ["verify", f"r.{suffix}"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        assert ended.returncode in (2, 6), ended.stderr
        assert f"install {package}` brings it" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_csv_beyond_excel_says_so(tmp_path: Path) -> None:
    form = output_for(str(tmp_path / "r.csv")).format
    assert form.remark(1_048_575) == ""
    assert form.remark(1_048_576).startswith("warning: 1,048,576 rows; Excel opens the first 1,048,575 of")
    assert ".parquet" in form.remark(1_048_576)


def test_row_groups_and_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ROW_GROUP == 100_000
    monkeypatch.setattr("sidscan.reports.parquet.ROW_GROUP", 5)
    monkeypatch.setattr("sidscan.reports.parquet._BATCH", 2)
    found = [replace(SCORED, name=f"{number}.jpg") for number in range(12)]
    write_all([output_for(str(tmp_path / "r.parquet"))], journal_of(*found))
    metadata = pq.read_metadata(tmp_path / "r.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [5, 5, 2]
    assert [row["path"] for row in parquet_rows(tmp_path / "r.parquet")] == [each.name for each in found]


def shards() -> list[tuple[int, Any]]:
    return [(number, journal_of(replace(SCORED, name=f"{number}.jpg"), FAILED)) for number in (0, 17)]


def test_a_folder_of_shards(tmp_path: Path) -> None:
    folder = tmp_path / "report.parquet"
    sums = write_parquet_folder(shards(), folder)
    assert list(sums) == ["shard-000000.parquet", "shard-000017.parquet"] == [shard_name(0), shard_name(17)]
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert checked.stdout == "shard-000000.parquet: OK\nshard-000017.parquet: OK\n"
    duckdb = pytest.importorskip("duckdb")
    query = f"SELECT status, count(*), count(DISTINCT path) FROM '{folder}/*.parquet' GROUP BY ALL ORDER BY 1"
    assert duckdb.sql(query).fetchall() == [("failed", 2, 1), ("scored", 2, 2)]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_parquet_folder(shards(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    write_parquet_folder(shards()[:1], folder)
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "shard-000000.parquet"]


def test_a_folder_whose_writer_was_killed_is_written_again(tmp_path: Path) -> None:
    folder, after = tmp_path / "report.parquet", tmp_path / "after"
    write_parquet_folder(shards(), after)

    def killed_at(shards: list[Any], number: int) -> Iterator[Any]:
        yield from shards[:number]
        raise KeyboardInterrupt

    for number in (1, 2):  # first nothing was there, then what an earlier run wrote
        with pytest.raises(KeyboardInterrupt):
            write_parquet_folder(killed_at([(17, shards()[0][1]), *shards()], number), folder)
    with (folder / "SHA256SUMS").open("ab") as sums:
        sums.write(b"0123")  # cut off
    write_parquet_folder(shards(), folder)
    for path in (*after.iterdir(), *folder.iterdir()):
        assert (folder / path.name).read_bytes() == (after / path.name).read_bytes()


def test_hashes_of_other_files_are_left_alone(tmp_path: Path) -> None:
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{'0' * 64}  mine.iso\n")
    with pytest.raises(OutputError, match="SHA256SUMS is there and was not written by sidscan"):
        write_parquet_folder(shards(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["SHA256SUMS"]


@pytest.mark.parametrize("name", ["notes.txt", "shard-000003.parquet", "shard-000017.parquet"])
def test_a_folder_with_files_of_others_is_left_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "report.parquet"
    write_parquet_folder(shards(), folder)
    (folder / name).write_bytes(b"mine")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match=f"{name} .*it is left alone"):
        write_parquet_folder(shards(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    """Of a Parquet report one row group is in memory, whatever their number."""
    code = f"""
import resource, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from sample_results import SCORED, journal_of
from sidscan.reports import BINARY_FORMATS, parquet
from sidscan.review.wrapped import WrappedRecord
parquet.ROW_GROUP = 1000
count = int(sys.argv[1])
class Many(WrappedRecord):
    def results(self):
        return (replace(SCORED, name=f"{{number}}.jpg") for number in range(count))
for suffix, form in BINARY_FORMATS.items():
    out = Path({str(tmp_path)!r}) / f"{{count}}.{{suffix}}"
    form.write(Many(journal_of(SCORED)), out, out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak(count: int) -> int:
        command = [sys.executable, "-c", code, str(count)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # KiB

    few, many = peak(2_000), peak(8_000)
    assert many - few < 20_000, (few, many)
