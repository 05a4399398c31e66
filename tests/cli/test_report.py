"""``sidscan report``: the reports of a scan again, from its record alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, exif_block, folder, photo
from sample_results import old_journal, rows

from sidscan.journal import Journal
from sidscan.reports import BINARY_FORMATS, REPORT_FORMATS

Run = Callable[..., Any]
SCAN = ("scan", "images", "--model", "mini")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and what a scan of them wrote."""
    root = tmp_path_factory.mktemp("scanned")
    folder(root / "images")
    (root / "images" / "place.jpg").write_bytes(encoded(photo(400, 300), "JPEG", exif=exif_block()))
    (root / "images" / "notes.jpg").write_bytes(b"not an image\n")
    return root


@pytest.fixture
def here(sidscan: Run, scanned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: images, their reports and the record."""
    if not (scanned / "r.csv").exists():
        monkeypatch.chdir(scanned)
        outs = [f"--out=r.{suffix}" for suffix in (*REPORT_FORMATS, *BINARY_FORMATS) if suffix != "csv"]
        assert sidscan(*SCAN, "--out=r.csv", *outs).code == 3
    root = tmp_path / "here"
    shutil.copytree(scanned, root)
    monkeypatch.chdir(root)
    return root


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def dump(path: str | Path) -> list[str]:
    """All that a record holds."""
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


@pytest.mark.parametrize("suffix", [*REPORT_FORMATS, *BINARY_FORMATS])
def test_the_reports_are_those_of_the_scan_without_reading_an_image(
    sidscan: Run, here: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    shutil.rmtree(here / "images")
    monkeypatch.setattr("sidscan.cli.console.open_run", None)
    ended = sidscan("report", "r.csv.journal", "--out", f"again.{suffix}")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == f"5 inputs = 4 scored + 1 failed + 0 skipped\nreport: again.{suffix}\n"
    assert Path(f"again.{suffix}").read_bytes() == Path(f"r.{suffix}").read_bytes()


def test_no_model_is_loaded(here: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.argv = ['sidscan', 'report', 'r.csv', '--out', 'n.json', '--quiet']\n"
        "from sidscan.cli import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'PIL', 'sidscan.pipeline'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


@pytest.mark.parametrize("suffix", list(REPORT_FORMATS))
def test_standard_output_gets_any_format(sidscan: Run, here: Path, suffix: str) -> None:
    ended = sidscan("report", "r.csv", "--format", suffix)
    assert ended.out == Path(f"r.{suffix}").read_bytes().decode()
    assert ended.err == "5 inputs = 4 scored + 1 failed + 0 skipped\nreport: standard output\n"


def test_csv_dialect_and_hash_file(sidscan: Run, here: Path) -> None:
    ended = sidscan("report", "r.csv", "--out", "de.csv", "--csv-dialect", "excel-de", "--hash-file")
    assert ended.err.endswith("report: de.csv, its sha256 in de.csv.sha256\n")
    assert Path("de.csv").read_bytes().startswith(b"\xef\xbb\xbfpath;status;")
    assert Path("de.csv.sha256").read_text() == f"{sha256('de.csv')}  de.csv\n"
    assert sidscan("verify", "de.csv").code == 0


@pytest.mark.parametrize(
    "named",
    [
        pytest.param("r.csv.journal", id="record"),
        pytest.param("r.csv", id="first report"),
        pytest.param("r.html", id="another report of the same scan"),
        pytest.param("./r.json", id="by another name"),
    ],
)
def test_the_record_is_found_by_the_names_of_its_reports(sidscan: Run, here: Path, named: str) -> None:
    assert sidscan("report", named, "--out", "n.jsonl").code == 0
    assert sha256("n.jsonl") == sha256("r.jsonl")


def test_the_next_scan_knows_the_report_as_its_own(sidscan: Run, here: Path) -> None:
    sidscan("report", "r.csv", "--out", "n.json")
    (here / "images" / "place.jpg").unlink()
    assert sidscan(*SCAN, "--out", "r.csv", "--out", "n.json").code == 3
    assert len(json.loads(Path("n.json").read_text())["findings"]) == 4
    Path("n.json").write_text("edited")
    assert sidscan("report", "r.csv", "--out", "n.json").code == 7
    assert Path("n.json").read_text() == "edited"
    assert sidscan("report", "r.csv", "--out", "n.json", "--overwrite").code == 0
    assert sidscan(*SCAN, "--out", "r.csv", "--out", "n.json").code == 3


def test_a_file_of_somebody_else_is_left_alone(sidscan: Run, here: Path) -> None:
    Path("mine.csv").write_text("mine\n")
    ended = sidscan("report", "r.csv", "--out", "mine.csv")
    assert ended.code == 7
    assert "mine.csv is there and was not written by sidscan; it is left alone\n" in ended.err
    assert Path("mine.csv").read_text() == "mine\n"


@pytest.mark.parametrize("out", ["r.csv.journal", "r.csv.journal-journal"])
def test_the_record_itself_is_never_written_over(sidscan: Run, here: Path, out: str) -> None:
    before = dump("r.csv.journal")
    Path("r.csv.journal").rename("x.csv")  # a name that a report may have
    ended = sidscan("report", "x.csv", "--out", "x.csv", "--overwrite")
    assert ended.code == 2
    assert "two of the files to write have the same name\n" in ended.err
    assert dump("x.csv") == before


def test_the_record_only_notes_what_was_written(sidscan: Run, here: Path) -> None:
    before = dump("r.csv.journal")
    sidscan("report", "r.csv", "--format", "csv")
    assert dump("r.csv.journal") == before
    sidscan("report", "r.csv", "--out", "n.csv")
    (added,) = set(dump("r.csv.journal")) - set(before)
    assert added.startswith('INSERT INTO "outputs"')
    assert sha256("n.csv") in added


def test_private_holds_for_the_report_and_not_for_the_record(sidscan: Run, here: Path) -> None:
    before = dump("r.csv.journal")
    ended = sidscan("report", "r.csv", "--private", "--format", "json")
    assert ended.err.startswith("private: host, folder, command line, positions")
    report = json.loads(ended.out)
    assert report["run"]["private"] is True
    assert [session["host"] for session in report["run"]["sessions"]] == [None]
    assert [each["facts"]["exif"]["latitude"] for each in report["findings"]] == [None] * 5
    assert dump("r.csv.journal") == before
    assert any(
        each["facts"]["exif"]["latitude"] for each in json.loads(Path("r.json").read_text())["findings"]
    )


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_private_gives_what_redact_makes_of_a_report(sidscan: Run, here: Path, suffix: str) -> None:
    sidscan("report", "r.csv", "--private", "--out", f"private.{suffix}")
    sidscan("redact", f"r.{suffix}", "--out", f"redacted.{suffix}")
    assert Path(f"private.{suffix}").read_bytes() == Path(f"redacted.{suffix}").read_bytes()


def test_an_interrupted_run_says_what_is_missing(sidscan: Run, here: Path) -> None:
    with closing(sqlite3.connect("r.csv.journal")) as database, database:
        database.execute("UPDATE items SET status = NULL, finding = NULL WHERE position > 2")
    ended = sidscan("report", "r.csv", "--out", "part.csv")
    assert ended.code == 0
    assert ended.err == (
        "5 inputs = 1 scored + 1 failed + 0 skipped + 3 not looked at\n"
        "3 inputs not looked at yet; the scan's command continues\n"
        "report: part.csv\n"
    )
    assert len(rows(Path("part.csv").read_text())) == 2


def test_a_record_of_0_1_0_is_not_upgraded(sidscan: Run, here: Path) -> None:
    old = old_journal(Path("old.csv.journal"))
    before = dump(old)
    ended = sidscan("report", old, "--format", "csv")
    assert ended.code == 0
    assert [row["error_class"] for row in rows(ended.out)].count("UnsupportedImage") == 2
    assert dump(old) == before
    shutil.copy(old, "copy.journal")
    for suffix in REPORT_FORMATS:
        assert sidscan("report", old, "--out", f"old.{suffix}").code == 0
        Journal(Path("copy.journal")).close()  # the same, upgraded in place
        again = sidscan("report", "copy.journal", "--format", suffix)
        assert again.out == Path(f"old.{suffix}").read_bytes().decode()
    assert [line for line in dump(old) if "outputs" not in line] == before
    with closing(Journal(old)) as journal:  # upgraded by the next scan, which knows the reports
        assert journal.output_digests(Path("old.csv")) == {sha256("old.csv")}
        assert journal.output_digests(Path("other.csv")) is None


def test_a_report_of_0_1_0_without_a_hash_is_not_replaced(sidscan: Run, here: Path) -> None:
    old_journal(Path("old.csv.journal"))
    Path("old.csv").write_bytes(Path("r.csv").read_bytes())
    ended = sidscan("report", "old.csv", "--out", "old.csv")
    assert ended.code == 7
    assert "old.csv has no hash in the record, which an earlier version of sidscan wrote" in ended.err


def test_a_record_in_use_says_so(sidscan: Run, here: Path) -> None:
    with closing(Journal(Path("r.csv.journal"))):
        ended = sidscan("report", "r.csv", "--out", "n.csv")
    assert (ended.code, ended.err) == (
        7,
        "sidscan: r.csv.journal is in use by another scan\nWait for it to end.\n",
    )
    assert not Path("n.csv").exists()


def test_a_record_that_cannot_be_written_is_read(
    sidscan: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.journal.reading._can_write", lambda _: False)  # root may write anywhere
    before = Path("r.csv.journal").read_bytes()
    ended = sidscan("report", "r.csv", "--out", "n.csv")
    assert ended.code == 0
    assert ended.err.endswith(
        "report: n.csv\n"
        "warning: r.csv.journal can't be written, so no scan will know these reports as its own\n"
    )
    assert sha256("n.csv") == sha256("r.csv")
    assert Path("r.csv.journal").read_bytes() == before


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5000:9000] = b"\xff" * 4000
    path.write_bytes(data)


def of_a_newer_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE header SET value = '\"3\"' WHERE key = 'format'")


def other_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE addresses (name TEXT)")


def a_run(path: Path) -> None:
    (path / "run.json").write_text("{}")


@pytest.mark.parametrize(
    ("named", "change", "message"),
    [
        pytest.param("no.journal", None, "can't read no.journal: No such file or directory", id="missing"),
        pytest.param("images", None, "can't read images: not a regular file", id="folder"),
        pytest.param("images/notes.jpg", None, "images/notes.jpg is not the record of a scan", id="text"),
        pytest.param(
            "r.csv.journal", other_database, "r.csv.journal is not the record of a scan", id="other"
        ),
        pytest.param("r.csv.journal", damaged, "the record r.csv.journal is damaged", id="damaged"),
        pytest.param(
            "r.csv.journal",
            of_a_newer_version,
            "r.csv.journal was written by a newer sidscan: its format is 3, this version reads up to 2",
            id="newer",
        ),
        pytest.param("x.csv", None, "x.csv is a report, and its record is not there", id="report"),
        pytest.param("elsewhere", a_run, "elsewhere is a run of shards", id="run"),
    ],
)
def test_what_is_no_record_is_refused_in_words(
    sidscan: Run, here: Path, named: str, change: Callable[[Path], None] | None, message: str
) -> None:
    (here / "elsewhere").mkdir()
    if named == "x.csv":
        shutil.copy("r.csv", "x.csv")
    if change:
        change(Path(named))
    ended = sidscan("report", named, "--out", "n.csv")
    assert (ended.code, ended.err.splitlines()[0]) == (2, f"sidscan: {message}")
    assert not Path("n.csv").exists()


def test_on_a_terminal_a_table_is_shown(sidscan: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidscan.cli.console.is_terminal", lambda stream: True)
    ended = sidscan("report", "r.csv")
    assert ended.out.splitlines()[0].split() == ["score", "evidence", "format", "flags", "path"]
    assert len(ended.out.splitlines()) == 5
    assert ended.err == "5 inputs = 4 scored + 1 failed + 0 skipped\n"


def test_rows_are_chosen_and_sorted(sidscan: Run, here: Path) -> None:
    ended = sidscan(
        "report", "r.csv", "--only", "score>=0", "--sort", "-width", "--top", "2", "--out", "n.csv"
    )
    assert ended.code == 0
    assert ended.err == (
        "5 inputs = 4 scored + 1 failed + 0 skipped\n"
        "reports show 2 of 5 results: only score>=0; sorted by -width; at most 2\n"
        "report: n.csv\n"
    )
    table = rows(Path("n.csv").read_text())
    widths = sorted((int(row["width"] or 0) for row in rows(Path("r.csv").read_text())), reverse=True)
    assert [int(row["width"]) for row in table] == widths[:2]
    assert sidscan("verify", "n.csv").code == 0


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        pytest.param(["--only", "score"], 2, "'score' is not a condition for --only", id="condition"),
        pytest.param(["--only", "wdth>1"], 2, "there is no column 'wdth'. Did you mean width?", id="column"),
        pytest.param(["--sort", "sha"], 2, "there is no column 'sha'. Did you mean sha256", id="order"),
        pytest.param(["--only", "other.score>1"], 2, "there is no column 'other.score'", id="another model"),
        pytest.param(
            ["--columns", "path,pth"], 2, "there is no column 'pth'. Did you mean path?", id="columns"
        ),
        pytest.param(["--columns", "a.score"], 2, "there is no column 'a.score'", id="columns of a model"),
        pytest.param(["--columns", "path,path"], 2, "--columns names no column, or one twice", id="twice"),
        pytest.param(["--columns", ","], 2, "--columns names no column, or one twice", id="no columns"),
        pytest.param(
            ["--private", "--sort", "exif_latitude"],
            2,
            "rows can't be chosen or sorted by exif_latitude, which --private leaves out",
            id="private order",
        ),
        pytest.param(
            ["--private", "--only", "exif_longitude>0"],
            2,
            "rows can't be chosen or sorted by exif_longitude, which --private leaves out",
            id="private condition",
        ),
        *(
            pytest.param(
                ["--private", *option],
                2,
                f"rows can't be chosen or sorted by {column}, which --private leaves out",
                id=f"private {option[1]}",
            )
            for column, *option in (
                ("mark_by", "--only", "mark_by=ANNA"),
                ("note", "--only", "note~SECRET"),
                ("mark_by", "--sort", "-mark_by"),
                ("note", "--sort", "note"),
                ("iptc_byline", "--only", "iptc_byline=Maria"),
            )
        ),
        *(
            pytest.param(
                ["--private", "--only", f"{column}~token=s3cret"],
                2,
                f"rows can't be chosen by {column}, of which --private leaves out the queries of URLs",
                id=f"private {column}",
            )
            for column in ("final_url", "redirects", "error_message")
        ),
    ],
)
def test_what_cannot_be_shown_is_refused(
    sidscan: Run, here: Path, options: list[str], code: int, message: str
) -> None:
    ended = sidscan("report", "r.csv", *options, "--out", "n.csv")
    assert ended.code == code
    assert ended.err.startswith(f"sidscan: {message}"), ended.err
    assert not Path("n.csv").exists()


def test_columns_need_a_format_that_has_some(sidscan: Run, here: Path) -> None:
    ended = sidscan("report", "r.csv", "--columns", "path,score", "--out", "n.json")
    assert (ended.code, ended.err.splitlines()[0]) == (
        2,
        "sidscan: --columns is for .csv, .xlsx, .jsonl, .parquet and .db reports",
    )
    ended = sidscan("report", "r.csv", "--columns", "path,score", "--out", "n.json", "--out", "n.csv")
    assert ended.code == 0
    assert Path("n.csv").read_text().splitlines()[0] == "path,score"
    assert sha256("n.json") == sha256("r.json")


def test_a_redacted_report_does_not_tell_how_places_were_chosen(sidscan: Run, here: Path) -> None:
    sidscan("report", "r.csv", "--only", "exif_latitude>-90", "--only", "score>=0", "--out", "n.json")
    sidscan("redact", "n.json", "--out", "m.json")
    report = json.loads(Path("m.json").read_text())
    assert report["selection"]["only"] == ["exif_latitude ***", "score>=0"]
    assert sidscan("verify", "m.json").code == 0


def test_on_a_terminal_a_table_of_chosen_rows_is_shown(
    sidscan: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.cli.console.is_terminal", lambda stream: True)
    shown = sidscan("report", "r.csv", "--top", "2")
    assert (shown.code, len(shown.out.splitlines())) == (0, 3), shown.err
    ordered = sidscan("report", "r.csv", "--only", "score>=0", "--sort", "-path", "--top", "2")
    names = [line.split()[-1] for line in ordered.out.splitlines()[1:]]
    assert names == sorted(names, reverse=True)
    refused = sidscan("report", "r.csv", "--columns", "path")
    assert (refused.code, refused.err.splitlines()[0]) == (
        2,
        "sidscan: --only, --sort, --top and --columns are for reports",
    )


def test_a_workbook_stands_for_its_record(sidscan: Run, here: Path) -> None:
    sidscan("report", "r.csv", "--out", "book.xlsx")
    made = sidscan("report", "book.xlsx", "--out", "again.csv")
    assert made.code == 0, made.err
    assert Path("again.csv").read_bytes() == Path("r.csv").read_bytes()
