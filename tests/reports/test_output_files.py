"""Where reports go: over nobody's work, never from two scans at once, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_results import FAILED, RUN, SCORED, journal_of, rendered

from sidscan.errors import OutputError, UsageError
from sidscan.journal import Journal
from sidscan.reports import BINARY_FORMATS, REPORT_FORMATS, output_for, reserve_all, write_all
from sidscan.reports.sha256sums import read_sums, sums_path

Run = Callable[..., Any]
ALL_FORMATS = (*REPORT_FORMATS, *BINARY_FORMATS)


def begin(out: Path, journal: Journal | None = None, **options: Any) -> None:
    """The steps of a scan before it starts and after it ends."""
    recorded = (journal or Journal(None)).output_digests
    with reserve_all([output_for(str(out), **options)], recorded):
        pass


@pytest.mark.parametrize("suffix", ALL_FORMATS)
def test_a_run_replaces_what_it_wrote_itself(tmp_path: Path, suffix: str) -> None:
    out, journal = tmp_path / f"r.{suffix}", journal_of(SCORED, FAILED)
    for _ in range(2):
        begin(out, journal, hashed=True)
        write_all([output_for(str(out), hashed=True)], journal)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.sha256"]


@pytest.mark.parametrize("suffix", ALL_FORMATS)
def test_the_report_of_another_run_is_left_alone(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"r.{suffix}"
    write_all([output_for(str(out))], journal_of(SCORED, FAILED))
    data = out.read_bytes()
    for hashed in (False, True):
        with pytest.raises(OutputError, match="belongs to another run; it is left alone"):
            begin(out, hashed=hashed)
    assert out.read_bytes() == data
    begin(out, overwrite=True)


CHANGES = {
    "a column added": lambda data: data.replace(b"\r\n", b",checked\r\n").replace(b"\n", b", \n"),
    "saved by a spreadsheet": lambda data: b"\xef\xbb\xbf" + data.replace(b",", b";"),
    "one byte more": lambda data: data + b" ",
    "another file": lambda _: b"notes\n",
}


@pytest.mark.parametrize("suffix", ALL_FORMATS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("when", ["before", "while it runs"])
@pytest.mark.parametrize("name", ["r", "r.sha256"])
def test_a_changed_file_is_left_alone(
    tmp_path: Path, suffix: str, change: Callable[[bytes], bytes], when: str, name: str
) -> None:
    out, journal = tmp_path / f"r.{suffix}", journal_of(SCORED, FAILED)
    write_all([output_for(str(out), hashed=True)], journal)
    edited = out if name == "r" else sums_path(out)
    edited.write_bytes(change(edited.read_bytes()))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    words = "after sidscan wrote it" if when == "before" else "while this scan ran"
    refused = pytest.raises(OutputError, match=f"{edited.name} was changed {words}; it is left alone")
    if when == "before":
        with refused:
            begin(out, journal, hashed=True)
    else:
        with refused:
            write_all([output_for(str(out), hashed=True)], journal)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    write_all([output_for(str(out), hashed=True, overwrite=True)], journal)
    begin(out, journal)


def test_the_other_reports_are_written_where_one_was_changed(tmp_path: Path) -> None:
    outputs, journal = [output_for(str(tmp_path / f"r.{suffix}")) for suffix in ("csv", "json")], journal_of()
    write_all(outputs, journal)
    (tmp_path / "r.csv").write_text("notes\n")
    journal.set_header(replace(RUN, sidscan_version="9"))
    with pytest.raises(OutputError, match=r"r\.csv was changed while this scan ran"):
        write_all(outputs, journal)
    assert json.loads((tmp_path / "r.json").read_text())["run"]["sidscan_version"] == "9"


def test_a_scan_killed_between_its_note_and_the_new_name_knows_both(tmp_path: Path) -> None:
    out, journal = tmp_path / "r.csv", journal_of(SCORED)
    write_all([output_for(str(out))], journal)
    journal.expect_output(out, "f" * 64)
    begin(out, journal)
    write_all([output_for(str(out))], journal)
    assert journal.output_digests(out) == {hashlib.sha256(out.read_bytes()).hexdigest()}


def test_record_and_report_may_move_together(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with closing(Journal(tmp_path / "a" / "r.csv.journal")) as journal:
        write_all([output_for(str(tmp_path / "a" / "r.csv"))], journal)
    (tmp_path / "a").rename(tmp_path / "b")
    with closing(Journal(tmp_path / "b" / "r.csv.journal")) as journal:
        begin(tmp_path / "b" / "r.csv", journal)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("name,score\nAda,3\n", id="csv"),
        pytest.param("path,status\na,b\n", id="csv like a report"),
        pytest.param('{"run": {}}', id="json like a report"),
        pytest.param('[{"path": "a"}]\n', id="json"),
        pytest.param("\x00\x01", id="binary"),
        pytest.param("x" * 100_000, id="long"),
    ],
)
@pytest.mark.parametrize("suffix", ALL_FORMATS)
def test_a_foreign_file_is_not_overwritten(tmp_path: Path, content: str, suffix: str) -> None:
    out = tmp_path / f"r.{suffix}"
    out.write_text(content)
    with pytest.raises(OutputError, match=r"was not written by sidscan; it is left alone\n.*--overwrite"):
        begin(out)
    assert out.read_text() == content
    begin(out, overwrite=True)
    assert list(tmp_path.iterdir()) == [out]


def test_an_empty_file_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "r.csv").touch()
    begin(tmp_path / "r.csv")


def test_a_write_protected_report_is_not_replaced(tmp_path: Path) -> None:
    rendered(tmp_path / "r.csv", journal_of(SCORED))
    (tmp_path / "r.csv").chmod(0o444)
    with pytest.raises(OutputError, match="is write-protected"):
        begin(tmp_path / "r.csv", overwrite=True)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "2026").mkdir()
    link, journal = tmp_path / "latest.csv", journal_of(SCORED)
    link.symlink_to("2026/report.csv")  # its target does not exist yet
    for _ in range(2):
        begin(link, journal)
        write_all([output_for(str(link))], journal)
    assert link.is_symlink()
    assert (tmp_path / "2026" / "report.csv").read_text().startswith("path,status,")
    assert [path.name for path in (tmp_path / "2026").iterdir()] == ["report.csv"]


@pytest.mark.parametrize("name", ["pipe.csv", "link.csv", "pipe", "/dev/null", "/dev/full"])
def test_devices_and_pipes_stay_what_they_are(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.csv").symlink_to("pipe.csv")
    with pytest.raises(OutputError, match=r"is a device or pipe.*\n.*--out -"):
        begin(tmp_path / name)
    assert (tmp_path / "pipe.csv").is_fifo()


def test_standard_output_is_not_a_file_name() -> None:
    with pytest.raises((OutputError, UsageError), match="standard output"):
        output_for("/dev/stdout")


@pytest.mark.parametrize("name", ["a" * 300 + ".csv", "loop.csv", "file.txt/r.csv"])
def test_impossible_file_names_are_refused_before_the_scan(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "file.txt").touch()
    with pytest.raises(OutputError):
        begin(tmp_path / name)


def test_an_unwritable_folder_is_refused_before_the_scan() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        user = os.geteuid()
        if user == 0:  # root may write anywhere
            os.seteuid(65534)
        try:
            with pytest.raises(OutputError, match=r"^can't write into .*: Permission denied\nChoose"):
                begin(Path(folder, "r.csv"))
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system of Linux")
def test_a_file_system_that_takes_no_files_is_refused_before_the_scan() -> None:
    with pytest.raises(OutputError, match=r"^can't write into /proc: "):
        begin(Path("/proc/r.csv"))


def test_two_scans_never_write_the_same_report(tmp_path: Path) -> None:
    out, link = tmp_path / "r.csv", tmp_path / "link.csv"
    link.symlink_to(out)
    with reserve_all([output_for(str(out))]):
        for path in (out, link):
            with pytest.raises(OutputError, match=r"r.csv is being written by another scan\nWait"):
                begin(path)
        begin(tmp_path / "other.csv")
    begin(out)
    assert list(tmp_path.iterdir()) == [link], "the lock is gone"


def test_the_lock_of_a_killed_scan_blocks_nobody(tmp_path: Path) -> None:
    program = (
        "import os, sys; from sidscan.reports import output_for, reserve_all\n"
        "with reserve_all([output_for(sys.argv[1])]): os.kill(os.getpid(), 9)\n"
    )
    out = tmp_path / "r.csv"
    assert subprocess.run([sys.executable, "-c", program, str(out)], check=False).returncode == -9
    assert (tmp_path / ".r.csv.lock").exists()
    begin(out)


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])  # whose reports exceed the limit below
def test_a_full_disk_leaves_the_old_report(tmp_path: Path, suffix: str) -> None:
    """A file-size limit simulates the full disk: the system refuses writes beyond it."""
    out = tmp_path / f"r.{suffix}"
    before = rendered(out, journal_of(SCORED))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"can't write .*r\..*: File too large\nNothing is lost"):
            write_all([output_for(str(out), overwrite=True)], journal_of(SCORED, FAILED))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes().decode() == before
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_current_umask(tmp_path: Path, umask: int, mode: int) -> None:
    previous = os.umask(umask)
    try:
        rendered(tmp_path / "r.csv", journal_of(SCORED))
    finally:
        os.umask(previous)
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == mode


def test_a_private_report_stays_private(tmp_path: Path) -> None:
    rendered(tmp_path / "r.csv", journal_of(SCORED))
    (tmp_path / "r.csv").chmod(0o600)
    rendered(tmp_path / "r.csv", journal_of(SCORED))
    assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o600


def test_the_new_name_is_made_durable_after_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def record(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("only Linux shows which file was synced")
    monkeypatch.setattr(os, "fsync", record)
    rendered(tmp_path / "r.csv", journal_of(SCORED))
    assert [Path(name).parent.name or "/" for name in synced[:1]] == [tmp_path.name]
    assert synced[1:] == [str(tmp_path)]


@pytest.mark.parametrize(
    "name",
    [
        "report.csv",
        "=report.csv",
        "two\nlines\r.csv",
        "back\\slash.csv",
        os.fsdecode(b"caf\xe9.csv"),
        "写真.json",
        " * .jsonl",
    ],
)
def test_sha256sum_accepts_the_hash_file(tmp_path: Path, name: str) -> None:
    if not shutil.which("sha256sum"):
        pytest.skip("no sha256sum here")
    out = tmp_path / name
    write_all([output_for(str(out), hashed=True)], journal_of(SCORED))
    command = ["sha256sum", "--check", "--strict", "--status", sums_path(out).name]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    line = subprocess.run(["sha256sum", name], cwd=tmp_path, capture_output=True, check=True)
    assert sums_path(out).read_bytes() == line.stdout
    assert read_sums(sums_path(out), out.name) == line.stdout.lstrip(b"\\")[:64].decode()
    out.write_bytes(out.read_bytes() + b" ")
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 1


def test_a_hash_file_is_kept_up_to_date(tmp_path: Path) -> None:
    out, journal = tmp_path / "r.csv", journal_of(SCORED)
    write_all([output_for(str(out), hashed=True)], journal)
    first = sums_path(out).read_bytes()
    journal.set_header(replace(RUN, sidscan_version="9"))
    write_all([output_for(str(out))], journal)
    assert sums_path(out).read_bytes() != first
    sums_path(out).write_text("somebody's notes\n")
    write_all([output_for(str(out))], journal)
    assert sums_path(out).read_text() == "somebody's notes\n"


def test_a_hash_file_of_sha256sum_is_as_good_as_ours(tmp_path: Path) -> None:
    out, journal = tmp_path / "r.csv", journal_of(SCORED)
    write_all([output_for(str(out))], journal)
    sums_path(out).write_text(f"{hashlib.sha256(out.read_bytes()).hexdigest()}  r.csv\n")
    journal.set_header(replace(RUN, sidscan_version="9"))
    begin(out, journal)
    write_all([output_for(str(out))], journal)
    assert sums_path(out).read_text() == f"{hashlib.sha256(out.read_bytes()).hexdigest()}  r.csv\n"


def test_notes_in_place_of_a_hash_file_are_left_alone(tmp_path: Path) -> None:
    sums_path(tmp_path / "r.csv").write_text("somebody's notes\n")
    begin(tmp_path / "r.csv")
    with pytest.raises(OutputError, match=r"r\.csv\.sha256 is there and was not written by sidscan"):
        begin(tmp_path / "r.csv", hashed=True)


def test_standard_output_has_no_hash_file(sidscan: Run, tmp_path: Path) -> None:
    ended = sidscan("scan", tmp_path, "--hash-file")
    assert ended.code == 2
    assert ended.err == "sidscan: --hash-file needs a report in a file\nName one with --out FILE.\n"


def test_partial_files_of_a_killed_scan_are_removed(tmp_path: Path) -> None:
    out = tmp_path / "r.csv"
    code = (
        "import os, sys; from pathlib import Path; from sidscan.util.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as new: new.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    for name in ("r.csv", "r.csv.sha256", "others.csv"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.iterdir())) == 3
    begin(out)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".sidscan-"), "the file of another report, which may be in progress"
