"""Where reports go: never over a foreign file, never from two scans at once, whole or not at all."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder
from sample_results import FAILED, SCORED, journal_of, rendered

from sidscan.errors import OutputError, UsageError
from sidscan.reports import REPORT_FORMATS, output_for, reserve_all, write_all
from sidscan.reports.sha256sums import read_sums, sums_path

Run = Callable[..., Any]


def begin(out: Path, **options: Any) -> None:
    """The steps of a scan before it starts and after it ends."""
    with reserve_all([output_for(str(out))], **options):
        pass


@pytest.mark.parametrize("suffix", REPORT_FORMATS)
@pytest.mark.parametrize("earlier", REPORT_FORMATS)
def test_earlier_reports_are_replaced(tmp_path: Path, suffix: str, earlier: str) -> None:
    rendered(tmp_path / f"earlier.{earlier}", journal_of(SCORED, FAILED))
    shutil.copy(tmp_path / f"earlier.{earlier}", tmp_path / f"r.{suffix}")
    begin(tmp_path / f"r.{suffix}")


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
@pytest.mark.parametrize("suffix", REPORT_FORMATS)
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
    link = tmp_path / "latest.csv"
    link.symlink_to("2026/report.csv")  # its target does not exist yet
    for _ in range(2):
        begin(link)
        rendered(link, journal_of(SCORED))
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
            write_all([output_for(str(out))], journal_of(SCORED, FAILED))
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
    out = tmp_path / "r.csv"
    write_all([output_for(str(out), hashed=True)], journal_of(SCORED))
    first = sums_path(out).read_bytes()
    write_all([output_for(str(out))], journal_of(FAILED))
    assert sums_path(out).read_bytes() != first
    sums_path(out).write_text("somebody's notes\n")
    write_all([output_for(str(out))], journal_of(FAILED))
    assert sums_path(out).read_text() == "somebody's notes\n"
    with (
        pytest.raises(OutputError, match=r"r\.csv\.sha256 is there and was not written by sidscan"),
        reserve_all([output_for(str(out), hashed=True)]),
    ):
        pass


def test_an_altered_report_is_reported(sidscan: Run, tmp_path: Path) -> None:
    folder(tmp_path / "images", count=1)
    scan_them = ("scan", tmp_path / "images", "--out", tmp_path / "r.csv", "--hash-file")
    assert "warning" not in sidscan(*scan_them).err
    assert "warning" not in sidscan(*scan_them).err
    report_file = tmp_path / "r.csv"
    report_file.write_bytes(report_file.read_bytes().replace(b"scored", b"failed"))
    ended = sidscan(*scan_them)
    assert ended.err.startswith(f"warning: {report_file} was changed after it was hashed")
    assert "warning" not in sidscan(*scan_them).err


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
