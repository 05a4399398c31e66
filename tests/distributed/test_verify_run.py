"""`sidscan verify RUN`: the files of the run, and the images of its rows."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six images, a text, and their run."""
    desk = tmp_path_factory.mktemp("finished")
    folder(desk / "images", 6, side=230)
    (desk / "images" / "notes.txt").write_text("not an image")
    arguments = ("images", "--model", "mini", "--crops", "center", "--run", "run", "--shard-size", "3")
    scanned = subprocess.run(
        [sys.executable, "-P", "-m", "sidscan", "scan", *arguments],
        cwd=desk,
        check=False,
        env={**os.environ, "TMPDIR": str(desk)},
    )
    assert scanned.returncode == 0
    return desk


@pytest.fixture
def run(tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("images", "run"):
        shutil.copytree(finished / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return Path("run")


def test_a_run_that_nobody_changed_is_verified(sidscan: Run, run: Path) -> None:
    verified = sidscan("verify", "run")
    assert (verified.code, verified.out) == (0, "")
    assert verified.err == (
        "report: run, run of shards, 7 rows\n"
        "all files of run are what its SHA256SUMS says\n"
        "7 rows = 6 unchanged + 0 changed + 0 missing + 0 unreadable + 1 not recorded "
        "+ 0 URLs (not fetched again)\n"
    )
    sums = run / "SHA256SUMS"
    if shutil.which("sha256sum"):
        assert (
            subprocess.run(["sha256sum", "--check", "--quiet", sums.name], cwd=run, check=False).returncode
            == 0
        )


def test_an_image_that_changed_is_listed(sidscan: Run, run: Path) -> None:
    Path("images/photo-1.jpg").write_bytes(b"other")
    Path("images/photo-2.jpg").unlink()
    verified = sidscan("verify", "run")
    assert verified.code == 8
    assert verified.out == "changed: images/photo-1.jpg\nmissing: images/photo-2.jpg\n"


def _change_journal(run: Path) -> str:
    journal = next((run / "shards").iterdir())
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE items SET finding = replace(finding, 'weak', 'strong')")
    return f"changed: {journal.relative_to(run)}\n"


def _remove_slice(run: Path) -> str:
    path = next((run / "slices").iterdir())
    path.unlink()
    return f"missing: {path.relative_to(run)}\n"


def _change_options(run: Path) -> str:
    (run / "run.json").write_text((run / "run.json").read_text().replace('"center"', '"ten"'))
    return "changed: run.json\n"


def _shorten_sums(run: Path) -> str:
    first, *others = (run / "SHA256SUMS").read_text().splitlines(keepends=True)
    (run / "SHA256SUMS").write_text("".join(others))
    return f"not recorded: {first.split()[1]}\n"


@pytest.mark.parametrize("change", [_change_journal, _remove_slice, _change_options, _shorten_sums])
def test_a_run_that_was_changed_is_told(sidscan: Run, run: Path, change: Callable[[Path], str]) -> None:
    listed = change(run)
    verified = sidscan("verify", "run")
    assert (verified.code, verified.out) == (8, listed)
    assert verified.err.endswith("1 file of the run changed, missing or not recorded\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "run has no SHA256SUMS that can be read"),
        ("nonsense\n", "run/SHA256SUMS is damaged"),
    ],
)
def test_a_run_without_hashes_is_refused(sidscan: Run, run: Path, text: str | None, message: str) -> None:
    (run / "SHA256SUMS").unlink()
    if text is not None:
        (run / "SHA256SUMS").write_text(text)
    verified = sidscan("verify", "run")
    assert verified.code == 2
    assert verified.err.startswith(f"sidscan: {message}\n")


def test_hashes_that_somebody_wrote_are_left_alone(sidscan: Run, run: Path) -> None:
    (run / "SHA256SUMS").write_text("mine\n")
    collected = sidscan("collect", "run", "--out", "r.csv")
    assert collected.code == 0
    assert "warning: run/SHA256SUMS was changed by somebody else; it is left alone\n" in collected.err
    assert (run / "SHA256SUMS").read_text() == "mine\n"


def test_a_folder_of_parquet_is_verified(sidscan: Run, run: Path) -> None:
    pytest.importorskip("pyarrow")
    assert sidscan("collect", "run", "--parquet-folder", "rows").code == 0
    verified = sidscan("verify", "rows")
    assert (verified.code, verified.out) == (0, ""), verified.err
    assert verified.err == (
        "report: rows, folder of Parquet, 7 rows\n"
        "all files of rows are what its SHA256SUMS says\n"
        "7 rows = 6 unchanged + 0 changed + 0 missing + 0 unreadable + 1 not recorded "
        "+ 0 URLs (not fetched again)\n"
    )
    Path("images/photo-1.jpg").write_bytes(b"other")
    assert sidscan("verify", "rows").out == "changed: images/photo-1.jpg\n"
    first, second, *_ = sorted(Path("rows").glob("*.parquet"))
    shutil.copy(first, "rows/shard-000099.parquet")
    first.write_bytes(first.read_bytes() + b"x")
    second.unlink()
    changed = sidscan("verify", "rows")
    assert (changed.code, changed.out) == (
        8,
        f"changed: {first.name}\nmissing: {second.name}\nnot recorded: shard-000099.parquet\n",
    )
    assert changed.err.endswith("3 files of the folder changed, missing or not recorded\n")
    Path("rows/SHA256SUMS").write_text("nonsense\n")
    assert sidscan("verify", "rows").err.startswith("sidscan: rows/SHA256SUMS is damaged\n")
    assert sidscan("verify", "run", "--hash-file", "rows/SHA256SUMS").err.startswith(
        "sidscan: --hash-file is of a single report\n"
    )


def test_what_is_no_run_is_refused(sidscan: Run, run: Path) -> None:
    assert sidscan("verify", "images").err.startswith(
        "sidscan: images is a folder, and not a run of shards\n"
    )
