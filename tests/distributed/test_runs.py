"""Runs of shards from the command line: equal to one scan, whatever happens on the way."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
TIMES = {"scanned_at"}
COMPUTED = {"score", "logit", "crop_min", "crop_max", "crop_std"}  # batches differ, and so do last digits


@pytest.fixture(autouse=True)
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_reports(first: str, second: str) -> None:
    """All rows agree but for their times, and in the last digits of scores."""
    left, right = rows(first), rows(second)
    assert [row["path"] for row in left] == [row["path"] for row in right]
    for one, other in zip(left, right, strict=True):
        for name, value in one.items():
            if name in COMPUTED and value:
                assert float(value) == pytest.approx(float(other[name]), abs=1e-5)
            elif name not in TIMES:
                assert value == other[name], (one["path"], name)


def shard_numbers(plan: str) -> list[str]:
    return plan.split()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """24 images, one text, one damaged image, one link."""
    folder(tmp_path / "images", 24, side=230)
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    (tmp_path / "images" / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 damaged")
    (tmp_path / "images" / "link.jpg").symlink_to("photo-1.jpg")
    return tmp_path / "images"


def test_plan_shards_and_collect_are_one_scan(sidscan: Run, images: Path) -> None:
    plain = sidscan("scan", "images", *MINI, "-o", "plain.csv")
    planned = sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", "6", "--plan")
    numbers = shard_numbers(planned.out)
    assert planned.code == 0
    assert planned.err == f"listing the inputs\nplan: 27 inputs in {len(numbers)} shards, 0 finished\n"
    assert 3 <= len(numbers) <= 12
    early = sidscan("collect", "run", "-o", "early.csv")
    assert early.code == 9
    assert early.err == (
        f"sidscan: {len(numbers)} of {len(numbers)} shards ({', '.join(numbers)}) of run have no results\n"
        "Scan them: sidscan scan --run run; or write a report of the others with --partial.\n"
    )
    for number in reversed(numbers):
        assert sidscan("scan", "--run", "run", "--shard", number).code == 0
    collected = sidscan("collect", "run", "-o", "collected.csv")
    assert collected.code == plain.code == 3
    assert "27 inputs = 24 scored + 1 failed + 2 skipped\n" in collected.err
    assert "27 inputs = 24 scored + 1 failed + 2 skipped\n" in plain.err
    assert_equal_reports("collected.csv", "plain.csv")
    assert sidscan("scan", "--run", "run", "--plan").out == ""


def test_one_command_plans_scans_and_reports(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "-o", "plain.csv")
    done = sidscan(
        "scan", "images", *MINI, "--run", "run", "--shard-size", "6", "-o", "run.csv", "-o", "run.json"
    )
    assert done.code == 3
    assert "highest evidence:" in done.err
    assert done.err.endswith("report: run.csv\nreport: run.json\n")
    assert_equal_reports("run.csv", "plain.csv")
    run = json.loads(Path("run.json").read_text(encoding="utf-8"))["run"]
    assert run["inputs"] == ["images"]
    assert run["finished"] is not None
    (session,) = run["sessions"]
    assert session["findings"] == 27
    assert session["command"][:3] == ["sidscan", "scan", "images"]
    again = sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", "6", "-o", "run.csv")
    assert again.code == 3


def test_a_partial_report_says_what_is_missing(sidscan: Run, images: Path) -> None:
    numbers = shard_numbers(
        sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", "6", "--plan").out
    )
    nothing = sidscan("collect", "run", "--partial", "-o", "r.csv")
    assert nothing.code == 2
    assert nothing.err.startswith("sidscan: no shard of run has results yet\n")
    sidscan("scan", "--run", "run", "--shard", "0")
    partial = sidscan("collect", "run", "--partial", "-o", "r.csv")
    assert partial.code == 9
    assert f"{len(numbers) - 1} of {len(numbers)} shards (1, " in partial.err
    assert "have no results; they have no row\n" in partial.err
    assert "not looked at" in partial.err
    assert 0 < len(rows("r.csv")) < 27


def test_a_finished_shard_is_not_scanned_again(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    first = sidscan("scan", "--run", "run", "--shard", "0")
    assert first.err == "shard 0 of 1: 27 inputs = 24 scored + 1 failed + 2 skipped\n"
    (journal,) = Path("run/shards").iterdir()
    content = journal.read_bytes()
    assert sidscan("scan", "--run", "run", "--shard", "0").err == "shard 0 of 1: it has results already\n"
    assert journal.read_bytes() == content
    assert not list(Path("tmp").rglob("*.journal"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--run", "run", "--shard", "9"), 2, "there is no shard 9: run has 1"),
        (("--run", "run", "--shard", "0", "images"), 2, "--shard scans inputs that RUN has planned"),
        (
            ("--run", "run", "--shard", "0", "--crops", "ten"),
            2,
            "--crops has no effect here: the options of the",
        ),
        (("--run", "run", "-m", "mini"), 2, "--model has no effect here: the options of the run hold"),
        (("--run", "run", "--shard", "0", "--plan"), 2, "--plan scans nothing, and --shard scans a shard"),
        (("images", "--shard", "0"), 2, "--shard needs --run"),
        (("images", *MINI, "--scratch", "x"), 2, "--scratch needs --run"),
        (
            ("images", "--run", "run", "-m", "mini"),
            2,
            "run is a run with other options: --crops ten (the run has",
        ),
        (("images", *MINI, "--run", "new", "--sample", "3"), 2, "--sample can't be used with --run"),
        (("images", *MINI, "--run", "new", "--budget", "3m"), 2, "--budget can't be used with --run"),
        (("images", *MINI, "--run", "new", "--fresh"), 2, "--fresh can't be used with --run"),
        (("images", *MINI, "--run", "new", "--journal", "j"), 2, "--journal can't be used with --run"),
        (("images", *MINI, "--run", "new", "--keep-old"), 2, "--keep-old can't be used with --run"),
        (("images", *MINI, "--run", "new", "--retry-failed"), 2, "--retry-failed can't be used with --run"),
        (
            ("images", *MINI, "--run", "new", "--look-closer", "3"),
            2,
            "--look-closer can't be used with --run",
        ),
        (("images", *MINI, "--run", "images"), 2, "images holds other files, and is not a run of shards"),
        (
            ("elsewhere", *MINI, "--run", "run"),
            7,
            "run is a run of other inputs: none of its 27 inputs is among",
        ),
        (("--run", "nowhere"), 2, "nowhere is not a run of shards"),
    ],
)
def test_what_has_no_meaning_is_refused(
    sidscan: Run, images: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    folder(images.parent / "elsewhere", 2)
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    refused = sidscan("scan", *arguments)
    assert refused.code == code
    assert f"sidscan: {message}" in refused.err
    assert sidscan("scan", "--run", "run", "--plan").out == "0\n"
