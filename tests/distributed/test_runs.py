"""Runs of shards from the command line: equal to one scan, whatever happens on the way."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from equal_reports import assert_equal_reports, rows
from sample_images import folder

from sidscan.cli import collecting
from sidscan.distributed import processes, record
from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.shard import ENDED_THE_SCAN, ShardScanner
from sidscan.pipeline import readers, scan
from sidscan.records import (
    EVIDENCE_WORDS,
    Counts,
    DecodedImage,
    Failure,
    Item,
    ItemReader,
    RunRecord,
    num_rows,
)

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center")
TWO = ("--processes", "2")
IN_FOURS = ("--run", "run", "--shard-size", "4")


@pytest.fixture(autouse=True)
def _desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)


def evidence_of(report: str) -> str:
    """The closing line that the rows of a report add up to."""
    counts = Counter(row["evidence"] for row in rows(report))
    return "evidence: " + ", ".join(f"{counts[word]} {word}" for word in EVIDENCE_WORDS)


def shard_numbers(plan: str) -> list[str]:
    """The numbers of the shards of a first plan that is printed."""
    return [line.removeprefix("1:") for line in plan.splitlines()]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and the report of one scan of them."""
    desk = tmp_path_factory.mktemp("scanned")
    folder(desk / "images", 12, side=230)
    (desk / "images" / "notes.txt").write_text("not an image")
    (desk / "images" / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 damaged")
    (desk / "images" / "link.jpg").symlink_to("photo-1.jpg")
    command = [sys.executable, "-P", "-m", "sidscan", "scan", "images", *MINI, "-o", "plain.csv"]
    assert subprocess.run(command, cwd=desk, check=False).returncode == 3
    return desk


@pytest.fixture
def images(tmp_path: Path, scanned: Path) -> Path:
    """Twelve images, one text, one damaged image and one link; ``plain.csv`` is the report of one scan."""
    shutil.copytree(scanned / "images", tmp_path / "images", symlinks=True)
    shutil.copy(scanned / "plain.csv", tmp_path)
    return tmp_path / "images"


def test_plan_shards_and_collect_are_one_scan(sidscan: Run, images: Path) -> None:
    planned = sidscan("scan", "images", *MINI, *IN_FOURS, "--plan")
    numbers = shard_numbers(planned.out)
    assert planned.code == 0
    assert planned.err == f"listing the inputs\nplan: 15 inputs in {len(numbers)} shards, 0 finished\n"
    assert 3 <= len(numbers) <= 9
    early = sidscan("collect", "run", "-o", "early.csv")
    assert early.code == 9
    assert early.err == (
        f"sidscan: {len(numbers)} of {len(numbers)} shards ({', '.join(numbers)}) of run have no results\n"
        "Scan what is left: sidscan scan --run run; or write a report of the others with --partial.\n"
    )
    for number in reversed(numbers):
        assert sidscan("scan", "--run", "run", "--shard", f"1:{number}").code == 0
    collected = sidscan("collect", "run", "-o", "collected.csv")
    assert collected.code == 3
    told = collected.err.splitlines()
    assert "15 inputs = 12 scored + 1 failed + 2 skipped" in told
    assert "  1 truncated: Truncated" in told
    assert "    images/damaged.jpg: Truncated File Read" in told
    assert "  1 skipped: symbolic link, not followed" in told
    assert [line for line in told if line.startswith("evidence: ")] == [evidence_of("collected.csv")]
    assert sum(line.startswith("mini, in the test of its card: ") for line in told) == 1
    assert_equal_reports("collected.csv", "plain.csv")
    assert sidscan("scan", "--run", "run", "--plan").out == ""


def test_one_command_plans_scans_and_reports(sidscan: Run, images: Path) -> None:
    done = sidscan("scan", "images", *MINI, *IN_FOURS, "-o", "run.csv", "-o", "run.json")
    assert done.code == 3
    assert "highest evidence:" in done.err
    assert done.err.endswith("report: run.csv\nreport: run.json\n")
    assert_equal_reports("run.csv", "plain.csv")
    run = json.loads(Path("run.json").read_text(encoding="utf-8"))["run"]
    assert run["inputs"] == ["images"]
    assert run["finished"] is not None
    (session,) = run["sessions"]
    assert session["findings"] == 15
    assert session["command"][:3] == ["sidscan", "scan", "images"]
    again = sidscan("scan", "images", *MINI, *IN_FOURS, "-o", "run.csv")
    assert again.code == 3


def test_a_partial_report_says_what_is_missing(sidscan: Run, images: Path) -> None:
    numbers = shard_numbers(sidscan("scan", "images", *MINI, *IN_FOURS, "--plan").out)
    nothing = sidscan("collect", "run", "--partial", "-o", "r.csv")
    assert nothing.code == 2
    assert nothing.err.startswith("sidscan: no shard of run has results yet\n")
    sidscan("scan", "--run", "run", "--shard", "0")
    partial = sidscan("collect", "run", "--partial", "-o", "r.csv")
    assert partial.code == 9
    assert f"{len(numbers) - 1} of {len(numbers)} shards (1, " in partial.err
    assert " no results; their inputs have no row\n" in partial.err
    assert "not looked at" in partial.err
    assert 0 < len(rows("r.csv")) < 15


def test_a_finished_shard_is_not_scanned_again(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    first = sidscan("scan", "--run", "run", "--shard", "0")
    assert first.err == "shard 0 of 1: 15 inputs = 12 scored + 1 failed + 2 skipped\n"
    (journal,) = Path("run/shards").iterdir()
    content = journal.read_bytes()
    assert sidscan("scan", "--run", "run", "--shard", "0").err == "shard 0 of 1: it has results already\n"
    assert journal.read_bytes() == content
    assert not list(Path("tmp").rglob("*.journal"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--run", "run", "--shard", "9"), 2, "there is no shard 9: run has 1"),
        (("--run", "run", "--shard", "1:9"), 2, "there is no shard 9: run has 1"),
        (("--run", "run", "--shard", "2:0"), 2, "there is no plan 2 of run"),
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
        (
            ("images", *MINI, "--run", "new", "--look-closer", "3"),
            2,
            "--look-closer can't be used with --run",
        ),
        (("images", *MINI, "--run", "images"), 2, "images holds other files, and is not a run of shards"),
        (
            ("elsewhere", *MINI, "--run", "run"),
            7,
            "run is a run of other inputs: none of its 15 inputs is among",
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
    assert sidscan("scan", "--run", "run", "--plan").out == "1:0\n"


def test_a_file_that_is_added_reopens_two_shards_at_most_and_is_the_only_one_read(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("scan", "images", *MINI, *IN_FOURS)
    sidscan(*command)
    read = names_read(monkeypatch)
    folder(images.parent / "more", 21, side=230)
    (images.parent / "more" / "photo-19.jpg").rename(images / "photo-110.jpg")
    planned = sidscan(*command, "--plan")
    assert 1 <= len(shard_numbers(planned.out)) <= 2
    assert sidscan(*command, "-o", "run.csv").code == 3
    assert read == ["images/photo-110.jpg"]
    sidscan("scan", "images", *MINI, "-o", "now.csv")
    assert_equal_reports("run.csv", "now.csv")


def test_a_file_that_changed_is_read_again_and_one_that_is_gone_has_no_row(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("scan", "images", *MINI, *IN_FOURS, "-o", "run.csv")
    sidscan(*command)
    read = names_read(monkeypatch)
    (images / "photo-3.jpg").write_bytes((images / "photo-4.jpg").read_bytes())
    (images / "photo-7.jpg").unlink()
    assert sidscan(*command).code == 3
    assert read == ["images/photo-3.jpg"]
    sidscan("scan", "images", *MINI, "-o", "now.csv")
    assert_equal_reports("run.csv", "now.csv")


def test_shards_that_were_handed_out_keep_their_meaning_when_the_run_is_planned_again(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tasks of a Slurm array do that begin after files were added."""
    command = ("scan", "images", *MINI, "--run", "run", "--shard-size", "8")
    handed_out = sidscan(*command, "--plan").out.split()
    folder(images.parent / "more", 21, side=230)
    (images.parent / "more" / "photo-19.jpg").rename(images / "photo-110.jpg")
    again = sidscan(*command, "--plan").out.split()
    assert {shard.partition(":")[0] for shard in handed_out} == {"1"}
    assert {shard.partition(":")[0] for shard in again} == {"2"}
    told = "".join(sidscan("scan", "--run", "run", "--shard", shard).err for shard in handed_out)
    assert 1 <= told.count("plan 2 has other shards for its inputs, which start from these results\n") <= 2
    read = names_read(monkeypatch)
    left = sidscan("scan", "--run", "run", "--plan").out.split()
    assert 1 <= len(left) <= 2
    for shard in left:
        assert sidscan("scan", "--run", "run", "--shard", shard).code == 0
    assert read == ["images/photo-110.jpg"]
    assert sidscan("collect", "run", "-o", "run.csv").code == 3
    sidscan("scan", "images", *MINI, "-o", "now.csv")
    assert_equal_reports("run.csv", "now.csv")


def test_a_run_that_is_planned_again_meanwhile_ends_with_its_own_plan(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = processes.scan_in_processes

    def planned_again_first(*arguments: Any) -> None:
        (images / "photo-3.jpg").rename("away.jpg")
        sidscan("scan", "images", *MINI, *IN_FOURS, "--plan")
        assert RunFolder(Path("run")).current_plan().number == 2
        Path("away.jpg").rename(images / "photo-3.jpg")
        original(*arguments)

    monkeypatch.setattr(processes, "scan_in_processes", planned_again_first)
    done = sidscan("scan", "images", *MINI, *IN_FOURS, *TWO, "-o", "run.csv")
    assert (done.code, len(rows("run.csv"))) == (3, 15)
    assert sidscan("collect", "run", "-o", "run.csv").code == 9


def test_a_name_in_two_lists_and_two_shards_is_one_row(sidscan: Run, images: Path) -> None:
    names = sorted(str(path.relative_to(images.parent)) for path in images.rglob("*.jpg"))
    Path("first.txt").write_text("\n".join(names))
    Path("second.txt").write_text("\n".join(f"./{name}" for name in reversed(names)))
    done = sidscan("scan", "images", "--list", "first.txt", "--list", "second.txt", *MINI, "--run", "run",
                   "--shard-size", "5", "-o", "run.csv")  # fmt: skip
    assert done.code == 3
    sidscan("scan", "images", "--list", "first.txt", "--list", "second.txt", *MINI, "-o", "now.csv")
    assert len(rows("run.csv")) == 15
    assert_equal_reports("run.csv", "now.csv")


def test_members_of_archives_are_rows(sidscan: Run, images: Path) -> None:
    with zipfile.ZipFile("images.zip", "w") as archive:
        for path in sorted(images.rglob("*.jpg")):
            archive.write(path, path.relative_to(images))
    done = sidscan("scan", "images.zip", *MINI, "--run", "run", "--shard-size", "5", "-o", "run.csv")
    assert done.code == 3
    sidscan("scan", "images.zip", *MINI, "-o", "now.csv")
    assert_equal_reports("run.csv", "now.csv")


def test_the_same_shard_on_two_machines_is_published_once(sidscan: Run, images: Path, tmp_path: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    run = RunFolder(Path("run"))
    zombie = ShardScanner(run, tmp_path / "zombie")

    def while_it_scans(done: int, total: int) -> None:
        if done == total:  # another machine is faster
            assert ShardScanner(run, tmp_path / "other").scan(0).first
            journals.append(next(Path("run/shards").iterdir()).read_bytes())

    journals: list[bytes] = []
    late = zombie.scan(0, while_it_scans)
    assert (late.first, late.counts) == (False, Counts(15, 12, 1, 2))
    (published,) = Path("run/shards").iterdir()
    assert [published.read_bytes()] == journals
    assert sidscan("collect", "run", "-o", "r.csv").code == 3
    (ledger_row,) = sqlite3.connect("run/run.db").execute("SELECT sha256 FROM shards").fetchall()
    assert ledger_row == (hashlib.sha256(journals[0]).hexdigest(),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DELETE FROM items WHERE position = 3", "it has results of 14 inputs, and its shard has 15"),
        ("UPDATE items SET finding = NULL, status = NULL WHERE position = 3", "it has results of 14 inputs"),
        ("UPDATE items SET name = 'other.jpg' WHERE position = 3", "its inputs are not those of its shard"),
        ("UPDATE items SET stamp = '1:2' WHERE position = 3", "its inputs are not those of its shard"),
        ("UPDATE items SET settings = 'x' WHERE position = 3", "1 of its results were computed otherwise"),
        ("UPDATE items SET reader = 'x' WHERE position > 3", "of its results were computed otherwise"),
        ("UPDATE items SET settings = NULL WHERE position = 3", "1 of its results were computed otherwise"),
        ("UPDATE items SET reader = NULL WHERE position = 3", "1 of its results were computed otherwise"),
        ("UPDATE items SET kind = 'x' WHERE position = 3", "'x' is not a valid Kind"),
        (
            "UPDATE items SET name = 7 WHERE position = 3",
            "expected str, bytes or os.PathLike object, not int",
        ),
        ("UPDATE items SET finding = '{}' WHERE position = 3", "1 of its results say something else than"),
        ("UPDATE items SET status = 'failed' WHERE position = 3", "1 of its results say something else than"),
        ("DROP TABLE items", "is not the record of a scan"),
    ],
)
def test_results_that_are_not_those_of_the_shard_are_not_accepted(
    sidscan: Run, images: Path, change: str, message: str
) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    sidscan("scan", "--run", "run", "--shard", "0")
    (journal,) = Path("run/shards").iterdir()
    with closing(sqlite3.connect(journal)) as database:
        database.executescript(change)
    refused = sidscan("collect", "run", "-o", "r.csv")
    assert refused.code == 7
    assert f"sidscan: the results in {journal} are not accepted: " in refused.err
    assert message in refused.err
    assert not Path("r.csv").exists()
    journal.unlink()
    assert sidscan("scan", "--run", "run", "-o", "r.csv").code == 3


def test_results_that_change_after_they_were_accepted_are_not_reported(sidscan: Run, images: Path) -> None:
    assert sidscan("scan", "images", *MINI, "--run", "run", "-o", "before.csv").code == 3
    (journal,) = Path("run/shards").iterdir()
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE items SET finding = replace(finding, 'strong', 'weak')")
    refused = sidscan("collect", "run", "-o", "r.csv")
    assert refused.code == 7
    assert refused.err.startswith(
        f"sidscan: the results in {journal} were changed after they were accepted\n"
    )
    assert not Path("r.csv").exists()
    journal.unlink()
    assert sidscan("collect", "run", "-o", "r.csv").code == 9
    assert sidscan("scan", "--run", "run", "-o", "r.csv").code == 3
    assert_equal_reports("r.csv", "before.csv")


def test_files_that_are_no_results_are_not_taken_for_them(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    (digest,) = (path.name.partition(".")[0] for path in Path("run/slices").iterdir())
    Path("run/shards").mkdir()
    Path(f"run/shards/{digest}-{'0' * 32}.journal").write_bytes(b"")
    assert "it has results already" not in sidscan("scan", "--run", "run", "--shard", "0").err
    assert sidscan("collect", "run", "-o", "r.csv").code == 3


def test_a_shard_of_files_that_were_missing_before_gets_its_rows(sidscan: Run, images: Path) -> None:
    Path("list.txt").write_text("".join(f"gone/{number}.jpg\n" for number in range(12)))
    assert sidscan("scan", "--list", "list.txt", *MINI, "--run", "run", "-o", "r.csv").code == 3
    assert [row["status"] for row in rows("r.csv")] == ["failed"] * 12


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.json", '{"format": 1, "options": {}, "id": "../../other"}'),
        ("plans/000001.jsonl", '{"inputs": []}\n{"digest": '),
        ("plans/000002.jsonl", ""),
    ],
)
def test_a_damaged_run_is_named(sidscan: Run, images: Path, file: str, content: str) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    Path("run/plans/000001.jsonl~").write_text("what an editor leaves")
    assert sidscan("scan", "--run", "run", "--plan").out == "1:0\n"
    Path("run", file).write_text(content)
    refused = sidscan("scan", "--run", "run", "--plan")
    assert (refused.code, refused.err.splitlines()[0]) == (2, f"sidscan: run/{file} is damaged")


def test_a_ledger_that_is_lost_is_made_again(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "-o", "r.csv")
    sums = Path("run/SHA256SUMS").read_bytes()
    Path("run/run.db").unlink()
    assert sidscan("collect", "run", "-o", "r.csv").code == 7  # nobody knows any more who wrote it
    again = sidscan("collect", "run", "-o", "r.csv", "--overwrite")
    assert (again.code, "is left alone" in again.err) == (3, False)
    assert Path("run/SHA256SUMS").read_bytes() == sums
    Path("run/SHA256SUMS").write_bytes(sums + b"mine\n")
    assert "SHA256SUMS was changed by somebody else; it is left alone" in sidscan("collect", "run").err
    assert Path("run/SHA256SUMS").read_bytes() == sums + b"mine\n"


def test_a_damaged_slice_is_named(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    (path,) = Path("run/slices").iterdir()
    content = bytearray(path.read_bytes())
    content[20:40] = bytes(20)
    path.write_bytes(content)
    refused = sidscan("scan", "--run", "run", "--shard", "0")
    assert (refused.code, f"the slice {path.name[:32]} of run is damaged" in refused.err) == (7, True), (
        refused.err
    )


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives folders away")
def test_a_folder_for_journals_that_somebody_else_made_is_refused(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    planted = Path("scratch") / RunFolder(Path("run")).id
    planted.mkdir(parents=True)
    os.chown(planted, 65534, 65534)
    refused = sidscan("scan", "--run", "run", "--shard", "0", "--scratch", "scratch")
    assert refused.code == 7
    assert refused.err.startswith(f"sidscan: {planted} belongs to somebody else\n")


def test_a_run_begins_where_an_earlier_command_was_killed(sidscan: Run, images: Path) -> None:
    Path("run").mkdir()
    Path("run/.sidscan-0123456789ab-0123456789ab").write_bytes(b"half")
    assert sidscan("scan", "images", *MINI, "--run", "run", "--plan").code == 0


def test_a_shard_whose_disk_is_not_mounted_is_refused(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    images.rename("unmounted")
    refused = sidscan("scan", "--run", "run", "--shard", "0")
    assert refused.code == 5
    assert refused.err.startswith("sidscan: no file of shard 0 was found here from the folder ")
    assert not list(Path("run").glob("shards/*"))


def test_a_plan_that_would_lose_a_folder_is_refused(sidscan: Run, images: Path) -> None:
    Path("list.txt").write_text("images/nested\nimages/photo-1.jpg\n")
    command = ("scan", "--list", "list.txt", *MINI, "--run", "run", "--shard-size", "1", "--plan")
    assert sidscan(*command).code == 0
    (images / "nested").rename("elsewhere")
    refused = sidscan(*command)
    assert refused.code == 5
    assert refused.err.splitlines()[1] == (
        "sidscan: images/nested is gone or can't be listed, and an earlier plan has inputs below it"
    )
    assert sidscan(*command, "--allow-empty").code == 0


def test_a_run_that_is_planned_again_keeps_the_size_of_its_shards(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, *IN_FOURS, "--plan")
    folder(images / "more", 1, side=230)
    again = sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    assert len(shard_numbers(again.out)) >= 3
    larger = sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", "100", "--plan")
    assert len(shard_numbers(larger.out)) <= 2


@pytest.mark.parametrize("option", ["--out", "--journal", "--scratch", "--save-dir"])
def test_what_is_written_is_written_to_a_disk(sidscan: Run, images: Path, option: str) -> None:
    before = sorted(Path().iterdir())
    ended = sidscan("scan", "images", *MINI, "--run", "run", option, "s3://key:secret@photos/new.csv")
    assert ended.code == 2
    assert ended.err.endswith(" s3://***@photos/new.csv is a URL. Name a path on a disk here.\n")
    assert sorted(Path().iterdir()) == before


def test_a_bucket_is_no_place_for_rows(sidscan: Run, images: Path) -> None:
    ended = sidscan("collect", "run", "--parquet-folder", "s3://photos/rows")
    assert ended.code == 2
    assert ended.err.endswith(" is a URL. Name a path on a disk here.\n")
    assert not Path("s3:").exists()


def test_a_run_whose_ledger_was_removed_is_collected_again(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, *IN_FOURS)
    Path("run/run.db").unlink()
    again = sidscan("collect", "run", "-o", "r.csv")
    assert (again.code, "warning" in again.err) == (3, False)
    Path("run/SHA256SUMS").write_text("of somebody else\n")
    warned = sidscan("collect", "run", "-o", "r.csv").err
    assert warned.count("warning: run/SHA256SUMS was changed by somebody else; it is left alone\n") == 1


@pytest.mark.parametrize(
    "command", [("diff", "run", "plain.csv"), ("marks", "list", "run"), ("redact", "run", "--out", "new.csv")]
)
def test_where_a_report_is_expected_a_run_is_refused_in_words(
    sidscan: Run, images: Path, command: tuple[str, ...]
) -> None:
    sidscan("scan", "images", *MINI, *IN_FOURS, "--plan")
    ended = sidscan(*command)
    assert ended.code == 2
    assert ended.err.endswith(
        "run is a run of shards. Name a report of it, which `sidscan collect run --out report.csv` writes.\n"
    )


def test_a_private_run_keeps_and_reports_nothing_of_the_machine(sidscan: Run, images: Path) -> None:
    done = sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", "9", "--private", "-o", "r.json")
    assert done.code == 3
    host = platform.node().encode()
    kept = [path for path in Path("run").rglob("*") if path.is_file()] + [Path("r.json")]
    for path in kept:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert str(images.parent).encode() not in content, path
        assert b'"host": "' + host not in content, path
        assert b'"command": ["' not in content, path


def test_a_page_of_a_run_is_that_of_one_scan(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sidscan("scan", "images", *MINI, *IN_FOURS, "-o", "run.html")
    assert made.code == 3
    sidscan("scan", "images", *MINI, "-o", "plain.html")
    run, plain = (Path(name).read_text(encoding="utf-8") for name in ("run.html", "plain.html"))
    assert run.count("UklGR") == plain.count("UklGR") >= 12  # WebP, in base64
    assert "this run has no thumbnails" not in made.err
    sidscan("scan", "images", *MINI, "--run", "other")
    without = sidscan("collect", "other", "-o", "other.html")
    assert "this run has no thumbnails: plan a run with --out report.html, so that" in without.err
    counted = list[RunRecord]()

    def counting(record: RunRecord) -> int:
        counted.append(record)
        return num_rows(record)

    monkeypatch.setattr(collecting, "num_rows", counting)
    few = sidscan("collect", "other", "-o", "few.html", "-o", "few.csv", "--html-rows", "5")
    assert len(counted) == 1  # each time, all shards are read
    said = "5 of 15 results: sorted by evidence; at most 5"
    assert f"the page shows {said}; of the others, it has the numbers\n" in few.err
    page = Path("few.html").read_text(encoding="utf-8")
    assert f"It shows {said}" in page or said in page
    assert page.count("photo-") < Path("other.html").read_text(encoding="utf-8").count("photo-")


def names_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The inputs that scans in this process read from now on."""
    names: list[str] = []
    original = readers.read_item

    def read(item: Item, read_item: ItemReader) -> DecodedImage | Failure:
        names.append(item.name)
        return original(item, read_item)

    monkeypatch.setattr(scan, "read_item", read)
    return names


SLOWLY = """
import time
from sidscan.images import items
load = items.load_file
def load_file(item, limit):
    time.sleep(0.2)
    return load(item, limit)
items.load_file = load_file
"""
WITHOUT_END = SLOWLY.replace("0.2", "60 if item.name.endswith('photo-7.jpg') else 0.2")
"""A scan that can be killed at any time."""
POISON = """
import os
from sidscan.scoring.scorer import DecodedImage, Scorer
score = Scorer.score
def deadly(self, job):
    poison = {f"images/photo-{number}.jpg" for number in (3, 4, 9)}
    if any(isinstance(entry, DecodedImage) and entry.item.name in poison for entry in job.batch):
        os._exit(9)
    return score(self, job)
Scorer.score = deadly
"""
OTHER_PILLOW = "import PIL.Image\nPIL.__version__ = '12.9.9'\n"


def environment(at_start: str) -> dict[str, str]:
    Path("site").mkdir(exist_ok=True)
    Path("site/sitecustomize.py").write_text(at_start)
    return {**os.environ, "PYTHONPATH": str(Path("site").resolve()), "OMP_NUM_THREADS": "1"}


def started(*arguments: str, at_start: str = "") -> subprocess.Popen[str]:
    """``sidscan scan`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "sidscan", "scan", *arguments],
        env=environment(at_start),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


def test_scans_killed_anywhere_make_one_row_of_each_input(sidscan: Run, images: Path) -> None:
    command = ("images", *MINI, *IN_FOURS, *TWO, "-o", "run.csv")
    for there in ("run/slices/*", "tmp/*/*/*.attempts", "run/shards/*", "run/shards/*"):
        seen = set(Path().glob(there))
        process = started(*command, at_start=WITHOUT_END)
        while process.poll() is None and not set(Path().glob(there)) - seen:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert sidscan("scan", *command).code == 3
    assert_equal_reports("run.csv", "plain.csv")
    assert not list(Path("tmp").rglob("*.journal"))


@needs_proc
def test_a_process_that_is_killed_is_replaced(sidscan: Run, images: Path) -> None:
    process = started("images", *MINI, *IN_FOURS, *TWO, "-o", "run.csv", at_start=SLOWLY)
    # `Path.rglob` fails where a folder goes away meanwhile.
    while not glob("tmp/**/*.attempts", recursive=True):  # noqa: PTH207
        time.sleep(0.02)
    before = children(process.pid)
    os.kill(before[0], signal.SIGKILL)
    _, err = process.communicate()
    assert (process.returncode, len(before)) == (3, 2), err
    assert_equal_reports("run.csv", "plain.csv")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_interrupted_run_goes_on(sidscan: Run, images: Path, processes: str) -> None:
    command = (
        "images",
        *MINI,
        "--run",
        "run",
        "--shard-size",
        "6",
        "--processes",
        processes,
        "-o",
        "run.csv",
    )
    process = started(*command, at_start=WITHOUT_END)
    while not list(Path("run").glob("shards/*.journal")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.endswith("sidscan: interrupted\n")
    assert "results are kept in run, and the same command goes on\n" in err
    assert sidscan("scan", *command).code == 3
    assert len(rows("run.csv")) == 15


def test_images_that_end_the_scan_get_their_row(sidscan: Run, images: Path) -> None:
    sidscan("scan", "images", *MINI, "--run", "run", "--plan")
    attempts = 0
    while True:
        process = started("--run", "run", "--shard", "0", at_start=POISON)
        process.communicate()
        attempts += 1
        if process.returncode == 0:
            break
        assert (process.returncode, attempts < 12) == (9, True)
    assert attempts == 8  # two for each of the three, the first one of the shard, and the last one
    sidscan("collect", "run", "-o", "run.csv")
    poison = {f"images/photo-{number}.jpg" for number in (3, 4, 9)}
    for row, plain in zip(rows("run.csv"), rows("plain.csv"), strict=True):
        assert row["path"] == plain["path"]
        if row["path"] in poison:
            assert (row["status"], row["error_stage"], row["error_message"]) == (
                "crashed",
                "decode",
                ENDED_THE_SCAN,
            )
        else:
            assert row["status"] == plain["status"]
    before = rows("run.csv")
    assert sidscan("scan", "--run", "run", "-o", "run.csv").code == 3
    assert rows("run.csv") == before


def test_images_that_end_the_scan_do_not_end_a_run_of_processes(sidscan: Run, images: Path) -> None:
    process = started("images", *MINI, *IN_FOURS, *TWO, "-o", "run.csv", at_start=POISON)
    _, err = process.communicate()
    assert process.returncode == 3, err
    statuses = Counter(row["status"] for row in rows("run.csv"))
    assert statuses == {"scored": 9, "crashed": 3, "truncated": 1, "skipped": 2}


def test_a_machine_that_would_compute_otherwise_is_refused(sidscan: Run, images: Path) -> None:
    numbers = shard_numbers(sidscan("scan", "images", *MINI, *IN_FOURS, "--plan").out)
    sidscan("scan", "--run", "run", "--shard", "0")
    process = started("--run", "run", "--shard", "1", at_start=OTHER_PILLOW)
    _, err = process.communicate()
    assert process.returncode == 2
    assert "scores would be computed otherwise here than in run: Pillow" in err
    assert "(now Pillow 12.9.9" in err
    assert len(shard_numbers(sidscan("scan", "--run", "run", "--plan").out)) == len(numbers) - 1


def test_a_file_of_parquet_for_each_shard(sidscan: Run, images: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    shutil.copy("images/photo-1.jpg", "images/a-copy.jpg")
    assert sidscan("scan", "images", *MINI, "--run", "run", "--shard-size", 6, "-o", "r.csv").code == 3
    ended = sidscan("collect", "run", "--parquet-folder", "rows")
    assert (ended.code, ended.out) == (3, ""), ended.err
    assert "report: rows, a file for each shard, and their sha256" in ended.err
    files = sorted(Path("rows").glob("shard-*.parquet"))
    paths = [path for file in files for path in parquet.read_table(file)["path"].to_pylist()]
    assert len(files) > 1
    assert paths == [row["path"] for row in rows("r.csv")]
    copies = [one for file in files for one in parquet.read_table(file)["copy_group"].to_pylist()]
    assert [one or "" for one in copies] == [row["copy_group"] for row in rows("r.csv")]
    assert any(copies), "of equal bytes in two shards, too"
    for line in Path("rows/SHA256SUMS").read_text().splitlines():
        sha256, name = line.split("  ", 1)
        assert hashlib.sha256(Path("rows", name).read_bytes()).hexdigest() == sha256
    again = sidscan("collect", "run", "--parquet-folder", "rows", "--format", "jsonl")
    assert (again.code, again.out.count("\n")) == (3, len(paths)), again.err
    files[0].write_bytes(b"somebody's")
    refused = sidscan("collect", "run", "--parquet-folder", "rows")
    assert (refused.code, files[0].read_bytes()) == (7, b"somebody's")
    assert sidscan("collect", "run", "--parquet-folder", "rows", "--overwrite").code == 3


def test_evidence_orders_a_run_as_one_scan(
    sidscan: Run, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_OPEN", 1)
    monkeypatch.setattr(record, "_FEW", 2)
    sidscan("scan", "images", *MINI, *IN_FOURS)
    by_evidence = ("--sort", "evidence", "-o")
    sidscan("collect", "run", *by_evidence, "run.csv")
    sidscan("scan", "images", *MINI, *by_evidence, "one.csv")
    assert_equal_reports("run.csv", "one.csv")
    top = ("--only", "score>=0", "--top", "4")
    sidscan("collect", "run", *top, *by_evidence, "top.csv")
    assert rows("top.csv") == rows("run.csv")[:4]


def test_parquet_of_a_private_run_names_nobody(sidscan: Run, images: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert sidscan("scan", "images", *MINI, "--run", "run", "-o", "r.csv").code == 3
    assert sidscan("collect", "run", "--private", "--parquet-folder", "rows").code == 3
    facts = parquet.read_metadata(next(iter(Path("rows").glob("shard-*.parquet")))).metadata[b"sidscan.run"]
    assert '"private": true' in json.dumps(json.loads(facts))
    assert platform.node() not in facts.decode()
