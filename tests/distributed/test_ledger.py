"""The ledger of a run, beside others that use it; what failed, tried again; journals that nobody needs."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from equal_reports import rows
from PIL.PngImagePlugin import PngInfo
from sample_images import encoded, folder, photo, scene

from sidscan.distributed.ledger import Ledger
from sidscan.distributed.locks import planning, scanning
from sidscan.distributed.purge import purge
from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.shard import ShardScanner
from sidscan.errors import OutputError

Run = Callable[..., Any]
MINI = ("--model", "mini", "--crops", "center", "--device", "cpu")
GOOD = encoded(photo(230, 230, 9), "JPEG")
DAMAGE = b"\xff\xd8\xff\xe0 damaged".ljust(len(GOOD), b"\0")
OTHER_DAMAGE = GOOD[:200].ljust(len(GOOD), b"\0")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images and a damaged one, and their run of several shards."""
    desk = tmp_path_factory.mktemp("scanned")
    folder(desk / "images", 6, side=230)
    (desk / "images" / "damaged.jpg").write_bytes(DAMAGE)
    command = [sys.executable, "-P", "-m", "sidscan", "scan", "images", *MINI]
    ended = subprocess.run(
        [*command, "--run", "run", "--shard-size", "3"],
        cwd=desk,
        check=False,
        env={**os.environ, "TMPDIR": str(desk)},
    )
    assert ended.returncode == 3
    return desk


@pytest.fixture
def run(tmp_path: Path, scanned: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    for name in ("images", "run"):
        shutil.copytree(scanned / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return RunFolder(Path("run"))


def test_a_ledger_that_computes_is_refused(sidscan: Run, run: RunFolder) -> None:
    with closing(sqlite3.connect("run/run.db", isolation_level=None)) as database:
        database.executescript("DROP TABLE shards; CREATE VIEW shards AS SELECT hex(zeroblob(1000000000))")
    refused = sidscan("collect", "run", "-o", "r.csv")
    assert refused.code == 7
    assert "run.db: shards is not a table of values\n" in refused.err


def test_a_run_is_collected_while_others_scan_and_collect_it(sidscan: Run, run: RunFolder) -> None:
    with closing(Ledger(run, run.current_plan())) as ledger, scanning(run):
        ledger.accept_published()
        assert sidscan("collect", "run", "-o", "first.csv").code == 3
        next(Path("run/shards").iterdir()).unlink()
        assert sidscan("collect", "run", "--partial", "-o", "second.csv").code == 9
        refused = sidscan("scan", "--run", "run")
        assert ledger.missing() == []
    assert refused.code == 7
    assert "sidscan: another process scans the shards of run\n" in refused.err
    assert len(rows("second.csv")) < len(rows("first.csv")) == 7
    assert sidscan("scan", "--run", "run", "-o", "first.csv").code == 3


def test_a_run_ends_with_the_lines_of_a_scan(sidscan: Run, run: RunFolder) -> None:
    info = PngInfo()
    info.add_text("parameters", "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 230x230")
    photo(230, 230, 20).save("images/made.png", pnginfo=info)
    photo(230, 230, 21).convert("L").save("images/grey.png")
    shutil.copy("images/photo-1.jpg", "images/zz-same-bytes.jpg")
    for name in ("images/aa.png", "images/zz-other-bytes.jpg"):
        scene(1).save(name)
    copies = (*MINI, "--find-copies")
    said = sidscan("scan", "images", *copies, "--run", "other", "--shard-size", "3", "-o", "run.csv").err
    plain = sidscan("scan", "images", *copies, "-o", "plain.csv").err
    lines = plain[plain.index(" inputs = ") : plain.index("highest evidence")].splitlines()[1:]
    only_of_one_scan = "1 image has the same bytes as an earlier image, and its score"
    assert [line for line in lines if line not in said.splitlines()] == [only_of_one_scan]
    assert only_of_one_scan.removesuffix(", and its score") in said.splitlines()
    assert "copies: 2 files show 1 image, though their bytes differ" in lines
    assert any(line.startswith("provenance: 1 file says that AI made the image") for line in lines)


def test_a_ledger_that_is_written_for_too_long_is_told(
    sidscan: Run, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.distributed.ledger._PATIENCE", 0.0)
    next(Path("run/shards").iterdir()).unlink()
    with closing(sqlite3.connect("run/run.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        refused = sidscan("collect", "run", "-o", "r.csv")
    assert (refused.code, refused.err.splitlines()[0]) == (
        7,
        "sidscan: run/run.db is in use: another process collects this run",
    )


@pytest.fixture
def mount(run: RunFolder) -> str:
    """A command of the shell by which the run can only be read."""
    command = "mount --bind run run && mount -o remount,ro,bind run"
    if (
        not shutil.which("unshare")
        or subprocess.run(
            ["unshare", "-rm", "sh", "-c", command], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("this machine allows no private mounts")
    return command


def test_results_that_could_not_be_published_are_not_computed(mount: str) -> None:
    next(Path("run/shards").iterdir()).unlink()
    scan = f"{sys.executable} -P -m sidscan scan"
    commands = f"{scan} images {' '.join(MINI)} --run run; {scan} --run run --processes 2"
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mount}; {commands}"], check=False, capture_output=True, text=True
    )
    refused = (
        "sidscan: can't write into run/shards: Read-only file system\n"
        "Make room or allow writing there, or name another folder with --run.\n"
    )
    assert (ended.returncode, ended.stderr) == (
        7,
        f"{refused}plan: 7 inputs in 3 shards, 2 finished\n{refused}",
    )


@pytest.mark.parametrize("options", [("--shard", "{}"), ("--processes", "2"), ("images", *MINI)])
def test_a_full_disk_is_noticed_before_anything_is_scanned(
    sidscan: Run, run: RunFolder, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    next(Path("run/shards").iterdir()).unlink()
    (number,) = run.open_shards(run.current_plan())
    monkeypatch.setattr("sidscan.distributed.store.flush_to_disk", full)
    refused = sidscan("scan", "--run", "run", *(each.format(number) for each in options))
    assert refused.code == 7
    assert refused.err.endswith(
        "sidscan: can't write into run/shards: No space left on device\n"
        "Make room or allow writing there, or name another folder with --run.\n"
    )
    assert "listing" not in refused.err
    assert not [path for path in Path("run/shards").iterdir() if path.suffix != ".journal"]
    assert not list(Path.cwd().glob("sidscan-*/*/*"))


def test_a_report_of_another_run_is_refused_before_the_inputs_are_listed(
    sidscan: Run, run: RunFolder
) -> None:
    assert sidscan("collect", "run", "-o", "r.csv").code == 3
    refused = sidscan("scan", "images", *MINI, "--run", "new", "-o", "r.csv")
    assert refused.code == 7
    assert refused.err == (
        "sidscan: r.csv belongs to another run; it is left alone\n"
        "Choose another --out, or replace it with --overwrite.\n"
    )
    assert sidscan("scan", "images", *MINI, "--run", "run", "-o", "r.csv").code == 3


def test_a_run_that_can_only_be_read_is_collected_and_verified(run: RunFolder, mount: str) -> None:
    Path("run/run.db").rename("kept.db")  # without a ledger, too
    commands = "$SIDSCAN collect run -o r.csv 2>said; echo $?; $SIDSCAN verify run 2>>said; echo $?"
    with_ledger = (
        f"cp kept.db run/run.db; {mount}; $SIDSCAN collect run -o r.csv --overwrite 2>>said; echo $?"
    )
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"({mount}; {commands}; umount run); {with_ledger}"],
        env={**os.environ, "SIDSCAN": f"{sys.executable} -P -m sidscan"},
        check=False,
        capture_output=True,
        text=True,
    )
    said = Path("said").read_text()
    assert ended.stdout.split() == ["3", "0", "3"], said
    assert said.count("run can't be written, so these reports are not noted there\n") == 2
    assert len(rows("r.csv")) == 7


def test_what_failed_is_tried_again_and_nothing_is_replaced(sidscan: Run, run: RunFolder) -> None:
    before = {path.name: path.read_bytes() for path in Path("run/shards").iterdir()}
    replace_content("images/damaged.jpg", GOOD)
    open_shards = sidscan("scan", "--run", "run", "--plan", "--retry-failed")
    (shard,) = open_shards.out.split()
    assert "of these, 1 shard with inputs that failed, which are tried again\n" in open_shards.err
    tried = sidscan("scan", "--run", "run", "--shard", shard, "--retry-failed")
    assert (tried.code, " + 0 failed + " in tried.err) == (0, True), tried.err
    assert sidscan("scan", "--run", "run", "--plan", "--retry-failed").out == ""
    done = sidscan("scan", "images", *MINI, "--run", "run", "--retry-failed", "-o", "r.csv")
    assert done.code == 0
    assert {row["status"] for row in rows("r.csv")} == {"scored"}
    after = {path.name: path.read_bytes() for path in Path("run/shards").iterdir()}
    (new,) = after.keys() - before.keys()
    assert new.endswith("-2.journal")
    assert after == {**before, new: after[new]}
    assert sidscan("verify", "run").code == 0
    with closing(sqlite3.connect("run/run.db")) as ledger:
        noted = {name for (name,) in ledger.execute("SELECT journal FROM shards")}
    assert noted == {
        f"shards/{name}" for name in after if f"{name.removesuffix('.journal')}-2.journal" != new
    }
    assert not list(Path.cwd().glob("sidscan-*/*/*"))


def test_what_fails_again_stays_a_row(sidscan: Run, run: RunFolder) -> None:
    for time, content in ((2, OTHER_DAMAGE), (3, DAMAGE)):
        replace_content("images/damaged.jpg", content)
        assert sidscan("scan", "--run", "run", "--retry-failed", "-o", "r.csv").code == 3
        assert len(list(Path("run/shards").glob(f"*-{time}.journal"))) == 1
    assert sorted(row["status"] for row in rows("r.csv")) == ["scored"] * 6 + ["truncated"]
    assert sidscan("verify", "run").code == 0
    purged = sidscan("scan", "--run", "run", "--purge")  # all but the newest
    assert "emptied 2 earlier files of results of shards that were tried again\n" in purged.err
    (newest,) = Path("run/shards").glob("*-3.journal")
    assert {path for path in Path("run/shards").iterdir() if not path.stat().st_size} == {
        Path(str(newest).replace("-3.journal", end)) for end in (".journal", "-2.journal")
    }
    assert sidscan("verify", "run").code == 0
    assert "emptied" not in sidscan("scan", "--run", "run", "--purge").err
    replace_content("images/damaged.jpg", OTHER_DAMAGE)
    assert sidscan("scan", "--run", "run", "--retry-failed", "-o", "r.csv").code == 3
    assert Path(str(newest).replace("-3", "-4")).stat().st_size


def test_results_that_are_published_during_a_purge_stay(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = next(Path("run/shards").iterdir())
    newer = earlier.with_name(f"{earlier.stem}-2.journal")
    published = run.published

    def published_before_another_task_publishes() -> Mapping[str, str]:
        found = published()
        shutil.copy(earlier, newer)
        return found

    monkeypatch.setattr(run, "published", published_before_another_task_publishes)
    assert purge(run, run.current_plan()).replaced == 0
    assert newer.read_bytes() == earlier.read_bytes()


def test_what_fails_as_before_is_not_published_again(sidscan: Run, run: RunFolder) -> None:
    before = sorted(Path("run").rglob("*"))
    (shard,) = sidscan("scan", "--run", "run", "--plan", "--retry-failed").out.split()
    tried = sidscan("scan", "--run", "run", "--shard", shard, "--retry-failed")
    assert (tried.code, tried.err.count("; what failed before failed again, so nothing is published\n")) == (
        0,
        1,
    )
    assert sidscan("scan", "--run", "run", "--retry-failed").code == 3
    assert sorted(Path("run").rglob("*")) == before
    assert not list(Path.cwd().glob("sidscan-*/*/*"))
    assert sidscan("verify", "run").code == 0


def test_results_that_nobody_collected_are_newer_than_the_hashes(sidscan: Run, run: RunFolder) -> None:
    replace_content("images/damaged.jpg", OTHER_DAMAGE)
    (shard,) = sidscan("scan", "--run", "run", "--plan", "--retry-failed").out.split()
    assert sidscan("scan", "--run", "run", "--shard", shard, "--retry-failed").code == 0
    assert "emptied" not in sidscan("scan", "--run", "run", "--purge").err  # the ledger names the earlier one
    verified = sidscan("verify", "run")
    assert (verified.code, verified.out, verified.err) == (
        2,
        "",
        "sidscan: the results in run are newer than its SHA256SUMS\nCollect first: sidscan collect run\n",
    )
    scoring = Path("run/scoring.json").read_bytes()
    Path("run/scoring.json").write_bytes(scoring + b"\n")
    changed = sidscan("verify", "run")
    assert (changed.code, changed.out) == (8, "changed: scoring.json\n")
    Path("run/scoring.json").write_bytes(scoring)
    assert sidscan("collect", "run").code == 3
    assert sidscan("verify", "run").code == 0


def test_what_only_earlier_plans_had_is_removed_on_request(sidscan: Run, run: RunFolder) -> None:
    Path("images/photo-1.jpg").rename("away.jpg")
    left = sidscan("scan", "images", *MINI, "--run", "run", "--plan").out.split()
    assert len(left) == 1
    slices, shards = (set(Path("run", name).iterdir()) for name in ("slices", "shards"))
    first = sidscan("scan", "--run", "run", "--purge")  # the new shard starts from these results
    assert (first.code, set(Path("run/shards").iterdir())) == (0, shards), first.err
    assert first.err.startswith("removed 2 slices of earlier plans, ")
    assert len(slices - set(Path("run/slices").iterdir())) == 2
    assert sidscan("scan", "--run", "run", "-o", "r.csv").code == 3
    second = sidscan("scan", "--run", "run", "--purge")
    assert second.err.endswith("2 of them had results: planned again, they have to be scanned again\n")
    assert len(shards - set(Path("run/shards").iterdir())) == 2
    assert sidscan("verify", "run").code == 0
    Path("away.jpg").rename("images/photo-1.jpg")
    assert sidscan("scan", "images", *MINI, "--run", "run", "-o", "r.csv").code == 3
    assert len(rows("r.csv")) == 7
    for wrong in ("--plan", "images"):
        assert sidscan("scan", "--run", "run", "--purge", wrong).code == 2


def test_a_journal_under_way_goes_when_another_machine_has_published_its_shard(
    run: RunFolder, tmp_path: Path
) -> None:
    (published,) = [path for path in Path("run/shards").iterdir() if b"damaged.jpg" in path.read_bytes()]
    number = [each.digest for each in run.current_plan().slices].index(published.name.partition("-")[0])
    published.unlink()
    here, elsewhere = (ShardScanner(run, tmp_path / name) for name in ("here", "elsewhere"))

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.scan(number, interrupt)
    (journal,) = (tmp_path / "here").rglob("*.journal")
    assert elsewhere.scan(number).first
    with closing(sqlite3.connect(journal)) as used:
        used.execute("BEGIN EXCLUSIVE")
        assert here.scan(0).counts is None
        assert journal.exists()
    assert here.scan(0).counts is None
    assert [path for path in (tmp_path / "here").rglob("*") if path.is_file()] == []


def test_planning_and_purging_exclude_each_other(sidscan: Run, run: RunFolder) -> None:
    commands = (("scan", "--run", "run", "--purge"), ("scan", "images", *MINI, "--run", "run", "--plan"))
    with planning(run):
        for command in commands:
            refused = sidscan(*command)
            assert (refused.code, refused.err.splitlines()[-2:]) == (
                7,
                ["sidscan: another process plans or purges run", "Wait for it to end, and run it again."],
            )
    for command in commands:
        assert sidscan(*command).code == 0


def test_what_goes_wrong_in_a_scan_is_not_blamed_on_its_lock(run: RunFolder) -> None:
    with pytest.raises(sqlite3.DatabaseError, match="of something else"), scanning(run):
        raise sqlite3.DatabaseError("of something else")
    Path("run/run.lock").write_bytes(b"damaged" * 100)
    with pytest.raises(OutputError, match=r"can't lock run/run\.lock: file is not a database"), scanning(run):
        raise AssertionError


@pytest.mark.parametrize("command", ["scan", "localize"])
def test_a_run_is_no_folder_of_images(sidscan: Run, run: RunFolder, command: str) -> None:
    refused = sidscan(command, "run")
    assert refused.code == 2
    assert refused.err == (
        "sidscan: run is a run of shards, and not a folder of images\n"
        "Scan what it has left: sidscan scan --run run. Write its reports: "
        "sidscan collect run --out report.csv. All else needs the images themselves.\n"
    )


def replace_content(name: str, content: bytes) -> None:
    """Put other bytes into a file; its size and times say nothing."""
    path = Path(name)
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_plan_that_nobody_scanned_is_newer_than_the_hashes(sidscan: Run, run: RunFolder) -> None:
    Path("images/new.jpg").write_bytes(GOOD)
    assert sidscan("scan", "images", *MINI, "--run", "run", "--plan").code == 0
    verified = sidscan("verify", "run")
    assert (verified.code, verified.out) == (2, "")
    assert verified.err == (
        "sidscan: the plan of run is newer than its SHA256SUMS\n"
        "Scan what it has left, and verify then: sidscan scan --run run\n"
    )
    with Path("run/scoring.json").open("a") as file:
        file.write("\n")
    changed = sidscan("verify", "run")
    assert (changed.code, changed.out) == (8, "changed: scoring.json\n")
