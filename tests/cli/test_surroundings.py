"""Users without a home folder, signals, terminals and shares: as a shell or a container sees them."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="users and signals of POSIX")

# A container's user: no HOME, and no entry in the list of users.
_HOMELESS = """
import pwd
def nobody(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = nobody
from sidscan.cli import main
main()
"""
_NO_FOLDER = (
    "sidscan: there is no models folder: this user has no home folder\n"
    "Set SIDSCAN_MODELS to a folder for models and calibrations. The bundled `mini` needs none.\n"
)


def _homeless(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-c", _HOMELESS, *map(str, arguments)),
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_onnxruntime_reports_nothing_to_its_makers(tmp_path: Path) -> None:
    """It would keep an identifier and a queue of events in the user's cache; not where CI is set."""
    images, home = folder(tmp_path / "images", count=1), tmp_path / "home"
    home.mkdir()
    ended = _homeless("scan", images, "--out", tmp_path / "r.csv", "--model", "mini", HOME=str(home))
    assert ended.returncode == 0, ended.stderr
    assert "runtime: onnxruntime" in ended.stderr
    written = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert not {name for name in written if "onnxruntime" in name or "Microsoft" in name}


@pytest.mark.parametrize("options", [("--model", "mini"), ()], ids=["named", "fallback"])
def test_the_bundled_detector_needs_no_home(tmp_path: Path, options: tuple[str, ...]) -> None:
    images = folder(tmp_path / "images", count=1)
    ended = _homeless("scan", images, "--out", tmp_path / "r.csv", *options)
    assert ended.returncode == 0, ended.stderr
    assert "1 input = 1 scored + 0 failed + 0 skipped" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("scan", "images", "--out", "-", "--model", "rine-4class"), id="a model"),
        pytest.param(("scan", "images", "--out", "-", "--model", "mini", "--calibrated"), id="a calibration"),
        pytest.param(("calibrate", "images", "--model", "mini", "--fpr", "0.3"), id="calibrate"),
    ],
)
def test_what_needs_a_folder_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("images"))
    ended = _homeless(*arguments)
    assert (ended.returncode, ended.stderr[-len(_NO_FOLDER) :]) == (4, _NO_FOLDER)


def test_a_list_of_models_and_the_variable_need_no_home(tmp_path: Path) -> None:
    listed = _homeless("models", "list")
    assert listed.returncode == 0
    assert listed.stderr.startswith(_NO_FOLDER.removeprefix("sidscan: "))
    assert f"models folder: {tmp_path}\n" in _homeless("models", "list", SIDSCAN_MODELS=str(tmp_path)).stderr


def test_results_of_a_scan_without_a_report_stay_in_memory(tmp_path: Path) -> None:
    ended = _homeless("scan", folder(tmp_path, count=1), "--model", "mini")
    assert ended.returncode == 0, ended.stderr
    assert "results are kept in memory only: this user has no home folder\n" in ended.stderr


# A reader that waits: the scan is in its middle until a signal comes.
_SLOW = """
import sys, time
from sidscan.isolation import reader
read = reader.IsolatedReader.__call__
def slow(self, item):
    if item.name.endswith("photo-1.jpg"):
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
    return read(self, item)
reader.IsolatedReader.__call__ = slow
from sidscan.cli import main
main()
"""


def _start_slow(images: Path, out: Path, **options: Any) -> subprocess.Popen[str]:
    command = (sys.executable, "-c", _SLOW, "scan", str(images), "--model", "mini", "--out", str(out))
    return subprocess.Popen(
        (*command, "--workers", "1"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
        start_new_session=True,
        **options,
    )


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_a_signal_ends_a_scan_and_its_results_are_kept(tmp_path: Path, name: str) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.csv"
    scan = _start_slow(images, out, stderr=subprocess.PIPE)
    assert scan.stderr is not None
    before = list(iter(scan.stderr.readline, "waiting\n"))
    assert before[0].startswith("model: mini")
    os.killpg(scan.pid, getattr(signal, name))  # as a terminal does; it reaches the workers, too
    told = scan.stderr.read()
    assert scan.wait(60) == 130
    kept = f"of 3 inputs; results are kept in {out}.journal, and the same command continues\n"
    assert told.startswith("interrupted after ")
    assert told.endswith(f"{kept}\nsidscan: interrupted by {name}\n")


def test_nohup_goes_on(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + _HANG_UP_AND_GO_ON
    images = folder(tmp_path / "images", count=1)
    ended = subprocess.run(
        (sys.executable, "-c", code, "scan", images, "--model", "mini", "--out", tmp_path / "r.csv"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0


_HANG_UP_AND_GO_ON = """
import os
from sidscan import cli
interrupt = cli._Interrupts
def then_hang_up():
    interrupts = interrupt()
    os.kill(os.getpid(), signal.SIGHUP)
    return interrupts
cli._Interrupts = then_hang_up
cli.main()
"""


def _read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other end is closed
        return b""


def test_a_closed_terminal_ends_a_scan_without_a_traceback(tmp_path: Path) -> None:
    images, out = folder(tmp_path / "images"), tmp_path / "r.csv"
    terminal, inside = os.openpty()
    scan = _start_slow(images, out, stdin=inside, stdout=inside, stderr=inside, preexec_fn=_take_terminal)
    os.close(inside)
    seen = b""
    while b"waiting" not in seen:
        seen += _read_terminal(terminal)
    assert seen.startswith(b"\rstarting: loading the detector, listing inputs: 0 found")
    os.close(terminal)
    assert scan.wait(60) == 130
    assert (tmp_path / "r.csv.journal").exists()


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_calibration_shows_at_once_that_it_begins(tmp_path: Path) -> None:
    images = folder(tmp_path / "images", count=1)
    terminal, inside = os.openpty()
    command = (sys.executable, "-m", "sidscan", "calibrate", images, "--model", "mini")
    calibration = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=inside)
    os.close(inside)
    first = _read_terminal(terminal)
    assert first.startswith(b"\rstarting: loading the detector, listing inputs: 0 found")
    while _read_terminal(terminal):
        pass
    os.close(terminal)
    assert calibration.wait(60) == 2  # one image is too few


def test_standard_output_has_nothing_but_the_report(tmp_path: Path) -> None:
    """Progress is for the terminal on standard error."""
    images = folder(tmp_path / "images", count=1)
    terminal, inside = os.openpty()
    scan = subprocess.Popen(
        (sys.executable, "-m", "sidscan", "scan", images, "--model", "mini", "--out", "-"),
        stdout=subprocess.PIPE,
        stderr=inside,
    )
    os.close(inside)
    assert scan.stdout is not None
    output = scan.stdout.read()
    assert scan.wait() == 0
    assert b"starting: " in _read_terminal(terminal)
    os.close(terminal)
    assert output.startswith(b"path,status,")
    assert b"starting" not in output


def test_a_share_without_locks(sidscan: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    images, share = folder(tmp_path / "images", count=1), tmp_path / "share"
    share.mkdir()
    monkeypatch.setattr("fcntl.flock", refuse)
    warning = f"warning: {share} can't lock files; run one scan at a time that writes there\n"
    scan = ("scan", images, "--model", "mini", "--out", share / "r.csv")
    ended = sidscan(*scan, "--journal", tmp_path / "run.journal")
    assert (ended.code, ended.err.startswith(warning)) == (0, True)
    assert [path.name for path in share.iterdir()] == ["r.csv"]
    with closing(
        sqlite3.connect(share / "r.csv.journal")
    ) as other:  # SQLite says "locked" on such shares, too
        other.execute("BEGIN EXCLUSIVE")
        ended = sidscan(*scan, "--overwrite")
    assert ended.code == 7
    assert ended.err.endswith(
        f"sidscan: the folder of {share / 'r.csv.journal'} can't lock files, as some network shares can't, "
        "and the run's record needs that\n"
        "Name a file on a local disk with --journal FILE; reports may stay where they are.\n"
    )
