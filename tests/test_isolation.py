"""Pictures that hang, grow or kill what reads them cost their own row, and nothing else."""

from __future__ import annotations

import csv
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import encoded, folder, photo

from sidscan import ScanConfig, scan
from sidscan.engines.processes import Frame, Lost, Process, Processes
from sidscan.errors import UsageError
from sidscan.records import Status

Run = Callable[..., Any]
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="limits and states are Linux's")
ANSWER = """
import sys
from sidscan.engines.processes import Frame, read, write
while True:
    head = read(sys.stdin.buffer).head
    write(sys.stdout.buffer, Frame({"n": 1}, last=False))
    %s
    write(sys.stdout.buffer, Frame({"n": 2, "echo": head}, b"xyz"))
"""


def worker(code: str) -> Process:
    return Process([sys.executable, "-c", ANSWER % code])


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids(processes: Processes) -> list[int]:
    return [one._running.pid for one in processes._all if one._running is not None]


def hanging_jpeg() -> bytes:
    """A JPEG whose MakerNote states a billion values; ExifRead sets out to read them all."""
    entry = struct.Struct("<HHII")
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry.pack(0x8769, 4, 1, 26) + bytes(4)
    block += struct.pack("<H", 1) + entry.pack(0x927C, 7, 0x3C002020, 60) + bytes(64)
    plain = encoded(photo(300, 260), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def test_frames_arrive_whole_and_a_process_serves_again() -> None:
    process = worker("pass")
    for number in (1, 2):
        frames = list(process.ask(Frame({"task": number}, b"\0" * 100_000), 20))
        assert [frame.last for frame in frames] == [False, True]
        assert (frames[1].head, frames[1].payload) == ({"n": 2, "echo": {"task": number}}, b"xyz")
    process.close()


@pytest.mark.parametrize(
    ("code", "late", "status"),
    [
        ("import time; time.sleep(600)", True, -signal.SIGKILL),
        ("while True: pass", True, -signal.SIGKILL),
        ("raise SystemExit(7)", False, 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", False, -signal.SIGSEGV),
        ("sys.stdout.buffer.write(b'not a frame at all, but many bytes'); sys.stdout.flush()", False, None),
    ],
    ids=["sleeps", "spins", "exits", "crashes", "babbles"],
)
def test_a_lost_process_is_told_and_replaced(code: str, late: bool, status: int | None) -> None:
    process = worker(f"exec({code!r}) if head['bad'] else 0")
    started = time.monotonic()
    with pytest.raises(Lost) as lost:
        list(process.ask(Frame({"bad": True}), 3))
    assert time.monotonic() - started < 3 + 2
    assert lost.value.late is late
    assert status is None or lost.value.code == status
    assert list(process.ask(Frame({"bad": False}), 20))[-1].payload == b"xyz"
    process.close()


@linux
def test_closed_processes_are_gone_and_give_no_answer() -> None:
    processes = Processes("sidscan.isolation", "512", "30")
    task = {"name": "/none.jpg", "kind": "file", "facts": {"flags": [], "exif": {}}}
    assert "failure" in list(processes.ask(Frame({**task, "crops": "ten", "max_bytes": 9}), 20))[-1].head
    (pid,) = pids(processes)
    assert alive(pid)
    processes.close()
    assert not alive(pid)
    assert pids(processes) == []
    with pytest.raises(Lost):
        processes.ask(Frame(task), 1)


def test_the_rest_of_an_answer_is_not_the_next_one() -> None:
    process = worker("pass")
    answer = process.ask(Frame({"task": 1}), 20)
    assert isinstance(answer, Generator)
    assert not next(answer).last
    answer.close()
    assert list(process.ask(Frame({"task": 2}), 20))[-1].head["echo"] == {"task": 2}
    process.close()


def test_a_scanned_folder_gives_no_code(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cd archive && sidscan scan .` must not import what lies there."""
    images = folder(tmp_path / "images")
    for name in ("numpy", "json", "PIL", "sidscan"):
        (images / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(images)
    assert sidscan("scan", ".", "--out", tmp_path / "r.csv").code == 0
    assert not (tmp_path / "ran").exists()
    assert _rows(tmp_path / "r.csv")["photo-0.jpg"]["status"] == "scored"


def _rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row for row in csv.DictReader(file)}


def test_a_picture_that_hangs_is_a_row_and_the_rest_goes_on(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "a-hang.jpg").write_bytes(hanging_jpeg())
    started = time.monotonic()
    ended = sidscan("scan", images, "--out", tmp_path / "r.csv", "--item-timeout", "4", "--workers", "1")
    assert ended.code == 3, ended.err
    assert time.monotonic() - started < 30
    assert "  1 timeout: Timeout" in ended.err
    rows = _rows(tmp_path / "r.csv")
    assert rows["a-hang.jpg"]["status"] == "timeout"
    assert rows["a-hang.jpg"]["error_message"] == "not read after 4 s; raise the limit with --item-timeout"
    assert len(rows["a-hang.jpg"]["sha256"]) == 64, "hashed before it hung"
    assert [rows[f"photo-{n}.jpg"]["status"] for n in range(3)] == ["scored"] * 3


def test_processes_change_no_score_and_no_fact(tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (images / "odd.png").write_bytes(encoded(photo(100, 90), "PNG"))
    apart, together = (
        {one.name: one for one in scan(ScanConfig(inputs=(str(images),), isolation=isolation))}
        for isolation in (True, False)
    )
    assert len(apart) == 5
    assert apart.keys() == together.keys()
    for name, finding in apart.items():
        other = together[name]
        assert (finding.status, finding.facts, finding.error) == (other.status, other.facts, other.error)
        for one, two in zip(finding.scores, other.scores, strict=True):
            assert one.logit == pytest.approx(two.logit, abs=1e-6)


@linux
def test_a_picture_that_takes_too_much_memory_is_a_row(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(encoded(photo(64, 64).resize((9000, 9000)), "PNG"))
    config = ScanConfig(inputs=(str(large),), memory_limit=64)
    (finding,) = scan(config)
    assert (finding.status, finding.scores) == (Status.MEMORY_LIMIT, ())
    assert finding.message == "it takes more memory than there is; raise the limit with --memory-limit"
    (finding,) = scan(ScanConfig(inputs=(str(large),)))
    assert finding.status is Status.SCORED


@linux
def test_a_worker_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """Killed without a word, the parent leaves neither waiting nor spinning workers behind."""
    code = (
        "import sys; from sidscan.engines.processes import Frame, Processes\n"
        "processes = Processes('sidscan.isolation', '512', '30')\n"
        "task = {'name': sys.argv[1], 'kind': 'file', 'facts': {'flags': [], 'exif': {}},"
        " 'crops': 'ten', 'max_bytes': 1 << 20}\n"
        "answer = processes.ask(Frame(task), 60)\n"
        "next(answer); print(processes._all[0]._running.pid, flush=True); next(answer)\n"
    )
    (tmp_path / "hang.jpg").write_bytes(hanging_jpeg())
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "hang.jpg")], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child)


def test_crops_come_back_as_they_were_cut(tmp_path: Path) -> None:
    from sidscan.isolation import Isolated
    from sidscan.readers import read
    from sidscan.readers.fetch import Fetcher
    from sidscan.records import Item, Sample

    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(500, 400), "JPEG"))
    config = ScanConfig(inputs=(str(path),))
    isolated = Isolated(config, Fetcher(config))
    apart, here = isolated(Item(str(path))), read(Item(str(path)), config)
    isolated.close()
    assert isinstance(apart, Sample)
    assert isinstance(here, Sample)
    assert np.array_equal(apart.views.crops, here.views.crops)
    assert (apart.views.order, apart.facts) == (here.views.order, here.facts)


@pytest.mark.parametrize("limits", [{"item_timeout": 0.0}, {"memory_limit": 0}], ids=["time", "memory"])
def test_limits_that_nothing_could_keep_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ScanConfig(inputs=("a",), **limits)
