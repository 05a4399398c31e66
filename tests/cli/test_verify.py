"""`sidscan verify`: changes since a report was written, with exact messages and exit codes."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from sample_results import FACTS, FAILED, SCORED, journal_of

from sidscan.records import Kind, Response, ScanResult
from sidscan.reports import BINARY_FORMATS, REPORT_FORMATS, output_for, write_all
from sidscan.verify import RowStatus, open_report

Run = Callable[..., Any]
ALL_FORMATS = (*REPORT_FORMATS, *BINARY_FORMATS)


def result_of(name: str, data: bytes) -> ScanResult:
    facts = replace(FACTS, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    return replace(SCORED, name=name, facts=facts)


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: three hashed files, and reports that name these and more."""
    monkeypatch.chdir(tmp_path)
    results = [result_of(name, name.encode()) for name in ("a.jpg", "b.jpg", "c.jpg")]
    for result in results:
        Path(result.name).write_bytes(result.name.encode())
    url = replace(result_of("https://host/a.jpg", b"u"), kind=Kind.URL)
    # files that fail to decode are hashed, too
    results += [
        url,
        replace(FAILED, name="unread.jpg"),
        replace(FAILED, name="a2.jpg", facts=results[0].facts),
    ]
    Path("a2.jpg").write_bytes(b"a.jpg")
    write_all([output_for(f"r.{suffix}") for suffix in ALL_FORMATS], journal_of(*results))
    return tmp_path


@pytest.mark.parametrize("suffix", ALL_FORMATS)
def test_unchanged_evidence(sidscan: Run, evidence: Path, suffix: str) -> None:
    ended = sidscan("verify", f"r.{suffix}")
    assert ended.err == (
        f"report: r.{suffix}, {suffix}, 6 rows\n"
        "6 rows = 4 unchanged + 0 changed + 0 missing + 0 unreadable + 1 not recorded + "
        "1 URL (not fetched again)\n"
    )
    assert (ended.code, ended.out) == (0, "")


@pytest.mark.parametrize("suffix", ALL_FORMATS)
def test_changes_are_listed(sidscan: Run, evidence: Path, suffix: str) -> None:
    Path("a.jpg").write_bytes(b"A.jpg")  # the length has not changed
    Path("b.jpg").unlink()
    Path("c.jpg").unlink()
    os.mkfifo("c.jpg")  # opening it would block forever
    ended = sidscan("verify", f"r.{suffix}")
    assert ended.code == 8
    assert ended.out == "changed: a.jpg\nmissing: b.jpg\nchanged: c.jpg (not a regular file)\n"
    assert ended.err.splitlines()[1:] == [
        (
            "6 rows = 1 unchanged + 2 changed + 1 missing + 0 unreadable + 1 not recorded + "
            "1 URL (not fetched again)"
        ),
    ]


def test_the_csv_result_has_every_row(sidscan: Run, evidence: Path) -> None:
    Path("a.jpg").write_bytes(b"other")
    Path("b.jpg").unlink()
    ended = sidscan("verify", "r.csv", "--out", "checked.csv", "--quiet")
    assert (ended.code, ended.out, ended.err) == (8, "", "")
    with Path("checked.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    a, c = hashlib.sha256(b"a.jpg").hexdigest(), hashlib.sha256(b"c.jpg").hexdigest()
    assert rows[0] == ["result", "path", "recorded_sha256", "sha256_now", "note"]
    assert rows[1] == ["changed", "a.jpg", a, hashlib.sha256(b"other").hexdigest(), ""]
    assert rows[3] == ["unchanged", "c.jpg", c, c, ""]
    assert [row[0] for row in rows[1:]] == [
        *("changed", "missing", "unchanged", "url", "not recorded", "unchanged")
    ]
    ended = sidscan("verify", "r.csv", "--out", "checked.csv", "--quiet")
    assert (ended.code, ended.out) == (7, "")
    assert ended.err == (
        "sidscan: checked.csv is there already; it is left alone\n"
        "Choose another --out, or replace it with --overwrite.\n"
    )
    assert sidscan("verify", "r.csv", "--out", "checked.csv", "--overwrite").code == 8


@pytest.mark.parametrize("suffix", ALL_FORMATS)
def test_a_url_is_verified_by_its_copy(sidscan: Run, evidence: Path, suffix: str) -> None:
    fetched = result_of("https://host/a.jpg", b"bytes")
    saved = Response(final_url="https://host/a.jpg", saved_as="=kept.jpg")  # CSV escapes this name
    with_copy = replace(fetched, kind=Kind.URL, facts=replace(fetched.facts, response=saved))
    write_all([output_for(f"kept.{suffix}")], journal_of(with_copy))
    Path("=kept.jpg").write_bytes(b"bytes")
    assert sidscan("verify", f"kept.{suffix}").err.splitlines()[1].startswith("1 row = 1 unchanged")
    Path("=kept.jpg").write_bytes(b"other")
    ended = sidscan("verify", f"kept.{suffix}")
    assert (ended.code, ended.out) == (8, "changed: https://host/a.jpg (saved as =kept.jpg)\n")


def test_a_moved_archive(sidscan: Run, evidence: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (evidence / "copy").mkdir()
    for name in ("a.jpg", "a2.jpg", "b.jpg", "c.jpg"):
        shutil.move(name, "copy")
    lost = sidscan("verify", "r.csv")
    assert lost.out.count("missing: ") == 4
    assert lost.err.endswith(
        "relative paths were looked up from the current folder; --root names another folder\n"
    )
    assert sidscan("verify", "r.csv", "--root", "copy").code == 0
    monkeypatch.chdir("copy")
    assert sidscan("verify", "../r.csv").code == 0


@pytest.mark.parametrize("suffix", ALL_FORMATS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"caf\xe9.jpg", id="not utf-8"),
        pytest.param(b"=1+1.jpg", id="formula"),
        pytest.param(b"-rf", id="option"),
        pytest.param(b"'quoted'.jpg", id="apostrophe"),
        pytest.param(b"two\r\nlines\t.jpg", id="line break"),
        pytest.param(b"\\x41;=,\"'.jpg", id="escapes and separators"),
        pytest.param("\u202eg\u200bpj\U000e0041.写真".encode(), id="invisible"),
        pytest.param(b"folder/../x.jpg", id="dots"),
    ],
)
def test_files_with_any_name_are_verified(sidscan: Run, evidence: Path, suffix: str, name: bytes) -> None:
    Path("folder").mkdir()
    path = os.fsdecode(name)
    Path(path).write_bytes(b"evidence")
    write_all([output_for(f"one.{suffix}")], journal_of(result_of(path, b"evidence")))
    assert sidscan("verify", f"one.{suffix}").code == 0
    Path(path).write_bytes(b"Evidence")
    ended = sidscan("verify", f"one.{suffix}")
    assert ended.code == 8
    assert ended.out.startswith("changed: ")
    assert ended.out.count("\n") == 1
    assert not set(ended.out) & set("\x1b\r\t\u202e\u200b\U000e0041")


def test_links_and_devices(sidscan: Run, evidence: Path) -> None:
    Path("a.jpg").rename("moved.jpg")
    Path("a.jpg").symlink_to("moved.jpg")  # the same bytes
    Path("b.jpg").unlink()
    Path("b.jpg").symlink_to("/dev/zero")  # reading it would never end
    Path("c.jpg").unlink()
    Path("c.jpg").symlink_to("c.jpg")
    ended = sidscan("verify", "r.csv")
    assert ended.out == (
        "changed: b.jpg (not a regular file)\nunreadable: c.jpg (Too many levels of symbolic links)\n"
    )


def test_a_hash_file_verifies_the_report(sidscan: Run, evidence: Path) -> None:
    write_all([output_for("s.csv", hashed=True)], journal_of(result_of("a.jpg", b"a.jpg")))
    ended = sidscan("verify", "s.csv")
    assert ended.code == 0
    assert "hash file: s.csv.sha256 matches the report\n" in ended.err
    Path("s.csv.sha256").rename("elsewhere")
    assert "hash file" not in sidscan("verify", "s.csv").err
    assert sidscan("verify", "s.csv", "--hash-file", "elsewhere").code == 0
    Path("s.csv").write_text(Path("s.csv").read_text().replace("weak", "none").replace("moderate", "weak"))
    assert sidscan("verify", "s.csv").code == 0, "no hash file, nothing to check"
    ended = sidscan("verify", "s.csv", "--hash-file", "elsewhere", "--quiet")
    assert ended.code == 8
    assert ended.err == "hash file: elsewhere does NOT match: the report was changed after it was hashed\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["none.csv"], 2, "can't read none.csv: No such file or directory", id="no report"),
        pytest.param(["."], 2, "is a folder, and not a run of shards", id="folder"),
        pytest.param(["pipe"], 2, "can't read pipe: not a regular file", id="pipe"),
        pytest.param(["a.jpg"], 2, "a.jpg is not a report of sidscan", id="image"),
        pytest.param(["book.xlsx"], 2, "book.xlsx is a workbook, which can't be read back", id="workbook"),
        pytest.param(["empty.csv"], 2, "empty.csv is not a report of sidscan", id="empty"),
        pytest.param(["r.csv", "--hash-file", "none"], 2, "can't read the hash file none", id="no hash file"),
        pytest.param(["r.csv", "--hash-file", "a.jpg"], 2, "states no sha256 of r.csv", id="other hash file"),
        pytest.param(["r.csv", "--out", "r.csv"], 2, "r.csv is both read and written", id="over the report"),
        pytest.param(["r.csv", "--out", "a.jpg"], 2, "unknown kind of table: a.jpg", id="suffix"),
        pytest.param(["r.json", "--out", "r.csv"], 7, "r.csv is there already", id="over another report"),
        pytest.param(["r.json", "--out", "none/c.csv"], 7, "the folder none does not exist", id="no folder"),
        pytest.param(["urls.jsonl"], 5, "nothing could be verified", id="nothing hashed"),
    ],
)
def test_errors_are_reported_without_a_traceback(
    sidscan: Run, evidence: Path, arguments: list[str], code: int, message: str
) -> None:
    os.mkfifo("pipe")
    Path("empty.csv").touch()
    Path("book.xlsx").write_bytes(b"PK\x03\x04")
    write_all([output_for("urls.jsonl")], journal_of(FAILED))
    before = Path("r.csv").read_bytes()
    ended = sidscan("verify", *arguments)
    assert ended.code == code, ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert Path("r.csv").read_bytes() == before


DAMAGE: dict[str, Callable[[str], str]] = {
    "a row cut": lambda text: text[:-30],
    "line end cut": lambda text: text.rstrip(),
    "hash cut": lambda text: text.replace(hashlib.sha256(b"b.jpg").hexdigest(), "abc"),
    "not utf-8": lambda text: text.replace("b.jpg", "b\udcff.jpg"),
}
DAMAGE_OF_JSON: dict[str, Callable[[str], str]] = {
    "a result gone": lambda text: "".join(line for line in text.splitlines(True) if "b.jpg" not in line),
    "end gone": lambda text: text.removesuffix("]}\n"),
    "more behind": lambda text: text + "more\n",
    "no object": lambda text: text.replace('"path": "b.jpg"', '"path": 5'),
    "endless nesting": lambda text: text.replace('"path": "b.jpg"', '"path": ' + "[" * 100_000),
}


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        *(pytest.param(suffix, name, id=f"{suffix}, {name}") for suffix in REPORT_FORMATS for name in DAMAGE),
        *(pytest.param("json", name, id=f"json, {name}") for name in DAMAGE_OF_JSON),
        pytest.param("jsonl", "no object", id="jsonl, not an object"),
    ],
)
def test_a_damaged_report_is_reported_before_anything_is_hashed(
    sidscan: Run, evidence: Path, suffix: str, damage: str
) -> None:
    text = Path(f"r.{suffix}").read_bytes().decode()
    damaged = {**DAMAGE, **DAMAGE_OF_JSON}[damage](text)
    Path(f"r.{suffix}").write_bytes(damaged.encode("utf-8", "surrogateescape"))
    ended = sidscan("verify", f"r.{suffix}", "--out", "checked.csv")
    assert ended.code == 2, ended.err
    assert f"r.{suffix} is damaged behind row " in ended.err
    assert not Path("checked.csv").exists()


def test_a_report_saved_by_a_spreadsheet_is_read(sidscan: Run, evidence: Path) -> None:
    """LibreOffice and Excel add a byte order mark and change line ends and quotes."""
    with Path("r.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    with Path("again.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows[1:])
    assert sidscan("verify", "again.csv").code == 0


def test_a_scan_is_verified_end_to_end(sidscan: Run, tmp_path: Path) -> None:
    images, outs = folder(tmp_path / "images"), [tmp_path / "r.csv", tmp_path / "r.jsonl"]
    out = [part for out in outs for part in ("--out", out)]
    ended = sidscan("scan", images, "--model", "mini", "--crops", "center", *out, "--hash-file")
    assert ended.code == 0
    assert f"report: {outs[0]}, its sha256 in {outs[0]}.sha256\n" in ended.err
    for report_path in outs:
        assert sidscan("verify", report_path).code == 0
    (images / "photo-0.jpg").write_bytes(b"other")
    assert sidscan("verify", outs[0]).out == f"changed: {images / 'photo-0.jpg'}\n"


def test_long_reports_are_streamed(tmp_path: Path) -> None:
    def many(count: int) -> Path:
        path = tmp_path / f"{count}.csv"
        line = f"no/file-%d.jpg,scored,,,,{'f' * 64},,{'x' * 2000}\r\n"
        path.write_text(
            "path,status,error_stage,error_class,error_message,sha256,saved_as,exif_make\r\n"
            + "".join(line % number for number in range(count))
        )
        return path

    def peak(path: Path) -> int:
        tracemalloc.start()
        with open_report(path) as opened:
            results = {checked.status for checked in opened.check(workers=1)}
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert results == {RowStatus.MISSING}
        return size

    few, lots = many(1500), many(6000)
    peak(few)
    assert peak(lots) < peak(few) + 300_000, "megabytes of text were held"


def test_no_model_is_loaded(evidence: Path) -> None:
    program = (
        "import sys; from sidscan.cli import cli; cli(['verify', 'r.json'], standalone_mode=False)\n"
        "loaded = {'torch', 'numpy', 'pandas', 'PIL', 'httpx'} & set(sys.modules); assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_closed_pipe_causes_no_traceback(evidence: Path) -> None:
    Path("a.jpg").unlink()
    command = [sys.executable, "-m", "sidscan", "verify", "r.csv"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 7
    assert "can't write to standard output: No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_exits_with_0(sidscan: Run) -> None:
    ended = sidscan("verify", "--help")
    assert ended.code == 0
    assert "sidscan verify report.csv" in ended.out
