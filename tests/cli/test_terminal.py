"""`sidscan scan FOLDER` alone: a short table on a terminal, CSV into a pipe, results kept in the cache."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

from sidscan.journal import Journal

pty = pytest.importorskip("pty")

Run = Callable[..., Any]
SCAN = (sys.executable, "-m", "sidscan", "scan", "--model", "mini")


def on_terminal(*arguments: str | Path, columns: int = 80) -> tuple[int, str]:
    """Exit code and what a terminal of this width gets from a scan: standard output and error."""
    master, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns)}
    command = [*SCAN, *map(str, arguments)]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        try:
            while more := os.read(master, 1 << 16):
                shown += more
        except OSError:  # Linux's way of saying that the other end is closed
            pass
        os.close(master)
        return process.wait(), shown.decode().replace("\r\n", "\n")


def cached() -> list[Path]:
    """The records in the cache folder."""
    return sorted(Path(os.environ["XDG_CACHE_HOME"]).rglob("*.journal"))


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_a_ranked_table(tmp_path: Path, columns: int) -> None:
    images = folder(tmp_path / "a-folder-with-a-rather-long-name-that-takes-its-room" / "images", count=12)
    code, shown = on_terminal(images, columns=columns)
    assert code == 0
    assert "path,status" not in shown
    title, *rows, hint = shown.split("the strongest evidence, 10 of 12 images:\n")[1].splitlines()
    assert title.split() == ["score", "evidence", "format", "flags", "path"]
    assert hint == "for all rows and columns, add --out report.csv to this command; no image is scored again"
    assert len(rows) == 10
    assert max(map(len, rows)) <= columns
    assert all(re.search(r"  \S*/photo-\d+\.(jpg|png)$", row) for row in rows)
    assert all(str(images)[-10:] in row for row in rows)


def test_the_table_says_what_else_was_found(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    (images / "empty.png").touch()
    code, shown = on_terminal(images)
    assert code == 3
    assert "2 inputs = 1 scored + 1 failed + 0 skipped\n" in shown
    assert "the strongest evidence, 1 of 1 image:\n" in shown


def test_a_second_scan_and_a_report_score_nothing_again(sidscan: Run, tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.csv"
    on_terminal(images)
    (record,) = cached()
    assert f"3 results kept from an earlier run in {record} (--fresh starts over)\n" in on_terminal(images)[1]
    report = sidscan("scan", images, "--model", "mini", "--out", out)
    assert report.err.startswith(
        f"starting from the results of an earlier scan without --out, kept in the cache: {record}\n"
    )
    assert f"3 results kept from an earlier run in {out}.journal (--fresh starts over)\n" in report.err
    assert len(out.read_text().splitlines()) == 4
    Path(f"{out}.journal").unlink()
    out.unlink()
    fresh = sidscan("scan", images, "--model", "mini", "--out", out, "--fresh")
    assert "earlier" not in fresh.err


def test_a_pipe_gets_csv(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    ended = sidscan("scan", images, "--model", "mini")
    assert ended.code == 0
    assert ended.out.startswith("path,status,")
    assert len(ended.out.splitlines()) == 4


def test_other_inputs_have_a_record_of_their_own(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        folder(tmp_path / name / "images", count=1)
        monkeypatch.chdir(tmp_path / name)
        assert "earlier run" not in sidscan("scan", "images", "--model", "mini").err
    assert len(cached()) == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["images", "--private"], "--private leaves nothing in the cache folder", id="private"),
        pytest.param(["--list", "-"], "the names come from standard input", id="list"),
    ],
)
def test_what_is_not_kept_is_said(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("images"), count=1)
    monkeypatch.setattr("sys.stdin", (tmp_path / "list.txt").open("w+"))
    (tmp_path / "list.txt").write_text("images\n")
    ended = sidscan("scan", "--model", "mini", *arguments)
    assert (ended.code, len(ended.out.splitlines())) == (0, 2), ended.err
    assert ended.err.startswith(f"results are kept in memory only: {reason}\n")
    assert cached() == []


def test_without_a_cache_folder_the_scan_goes_on_in_memory(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = folder(tmp_path / "images", count=1)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    ended = sidscan("scan", images, "--model", "mini")
    assert ended.code == 0
    assert re.match(r"results are kept in memory only: .*(Not a directory|File exists)", ended.err)
    assert sidscan("scan", images, "--model", "mini", "--quiet").err == ""


def test_two_scans_of_the_same_folder_may_run_at_once(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    sidscan("scan", images, "--model", "mini")
    (record,) = cached()
    from sidscan.reports.output_files import locked

    with locked(record):
        ended = sidscan("scan", images, "--model", "mini")
    assert ended.code == 0
    assert ended.err.startswith(f"results are kept in memory only: {record.name} is being written by another")


def test_old_records_are_removed_and_others_stay(sidscan: Run, tmp_path: Path) -> None:
    scans = Path(os.environ["XDG_CACHE_HOME"], "sidscan", "scans")
    scans.mkdir(parents=True)
    for name, days in (("old", 91), ("young", 89)):
        Journal(scans / f"{name}.journal").close()
        seconds = time.time() - days * 24 * 60 * 60
        os.utime(scans / f"{name}.journal", (seconds, seconds))
    sidscan("scan", folder(tmp_path / "images", count=1), "--model", "mini")
    assert len(cached()) == 2
    assert scans / "young.journal" in cached()


def test_a_report_on_a_full_disk_leaves_no_damaged_record(tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.csv"
    on_terminal(images)
    command = f'ulimit -f 8; exec "{sys.executable}" -m sidscan scan "{images}" --model mini --out "{out}"'
    full = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert full.returncode == 7, full.stderr
    again = subprocess.run(
        ["bash", "-c", command.partition("; ")[2]], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    assert len(out.read_text().splitlines()) == 4
    assert not list(tmp_path.glob(".sidscan-*"))
