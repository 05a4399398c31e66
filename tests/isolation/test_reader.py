"""An image that hangs, exhausts memory or kills its worker fails alone; all other rows are unaffected."""

from __future__ import annotations

import csv
import json
import os
import platform
import resource
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sample_images import encoded, exif_block, folder, photo

from sidscan import ScanConfig, pipeline, scan
from sidscan.config import ReadLimits
from sidscan.errors import UsageError
from sidscan.fetch.client import Fetcher
from sidscan.isolation.frames import Frame
from sidscan.isolation.processes import ProcessLost, ProcessNotStarted, WorkerPool, WorkerProcess
from sidscan.isolation.protocol import WorkerOptions, encode_answer, encode_task
from sidscan.isolation.reader import IsolatedReader, launch_worker, read_item
from sidscan.pipeline import open_reader
from sidscan.records import DecodedImage, Exif, Failure, ImageInfo, Item, Kind, Stage, Status

Run = Callable[..., Any]
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="limits and states are Linux's")
ANSWER = """
import sys
from sidscan.isolation.frames import READY, Frame, read_frame, write_frame
write_frame(sys.stdout.buffer, READY)
while True:
    head = read_frame(sys.stdin.buffer).head
    write_frame(sys.stdout.buffer, Frame({"n": 1}, last=False))
    %s
    write_frame(sys.stdout.buffer, Frame({"n": 2, "echo": head}, b"xyz"))
"""


def worker(code: str) -> WorkerProcess:
    return WorkerProcess([sys.executable, "-c", ANSWER % code], max_payload=1000)


def request(process: WorkerProcess | WorkerPool, task: Frame, seconds: float = 20) -> list[Frame]:
    process.start()
    return list(process.request(task, seconds))


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def pids(pool: WorkerPool) -> list[int]:
    return [process._running.pid for process in pool._processes if process._running is not None]


OPTIONS = WorkerOptions(memory_limit=512, item_timeout=30, limits=ReadLimits()).to_json()


def slow_jpeg(scans: int = 3000) -> bytes:
    """A valid 16-megapixel image that repeats its last scan; each scan passes over all pixels."""
    plain = encoded(Image.new("L", (4000, 4000), 90), "JPEG", progressive=True)
    last = plain.rindex(b"\xff\xda")
    return plain[:last] + plain[last:-2] * scans + plain[-2:]


def misleading_jpeg() -> bytes:
    """A JPEG whose MakerNote states a billion values; ExifRead tries to read all of them."""
    entry = struct.Struct("<HHII")
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry.pack(0x8769, 4, 1, 26) + bytes(4)
    block += struct.pack("<H", 1) + entry.pack(0x927C, 7, 0x3C002020, 60) + bytes(64)
    plain = encoded(photo(300, 260), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]


def test_frames_arrive_whole_and_a_process_serves_again() -> None:
    process = worker("pass")
    for number in (1, 2):
        process.start()
        frames = list(process.request(Frame({"task": number}, b"\0" * 100_000), 20))
        assert [frame.last for frame in frames] == [False, True]
        assert (frames[1].head, frames[1].payload) == ({"n": 2, "echo": {"task": number}}, b"xyz")
    process.close()


@pytest.mark.parametrize(
    ("code", "timed_out", "status"),
    [
        ("import time; time.sleep(600)", True, -signal.SIGKILL),
        ("while True: pass", True, -signal.SIGKILL),
        ("raise SystemExit(7)", False, 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", False, -signal.SIGSEGV),
        ("sys.stdout.buffer.write(b'not a frame at all, but many bytes'); sys.stdout.flush()", False, None),
    ],
    ids=["sleeps", "spins", "exits", "crashes", "babbles"],
)
def test_a_lost_process_is_reported_and_replaced(code: str, timed_out: bool, status: int | None) -> None:
    process = worker(f"exec({code!r}) if head['bad'] else 0")
    process.start()
    started = time.monotonic()
    with pytest.raises(ProcessLost) as lost:
        list(process.request(Frame({"bad": True}), 3 if timed_out else 60))
    assert time.monotonic() - started < 60
    assert lost.value.timed_out is timed_out
    assert status is None or lost.value.code == status
    assert request(process, Frame({"bad": False}))[-1].payload == b"xyz"
    process.close()


def test_a_closed_reader_stops_retrying(tmp_path: Path) -> None:
    """Retries would keep an interrupted program from exiting."""
    config = ScanConfig(inputs=(str(tmp_path),))
    item = Item(str(tmp_path / "none.jpg"), Kind.FILE)
    with closing(Fetcher(config)) as fetcher:
        isolated = IsolatedReader(config, fetcher)
        isolated.close()
        began = time.monotonic()
        ended = isolated(item)
    assert isinstance(ended, Failure)
    assert "the scan is over" in ended.message
    assert time.monotonic() - began < 20


@linux
def test_closed_processes_are_gone_and_give_no_answer() -> None:
    processes = WorkerPool("sidscan.isolation.worker", OPTIONS, max_payload=1 << 21)
    task = encode_task(Item("/none.jpg"))
    assert "failure" in request(processes, task)[-1].head
    (pid,) = pids(processes)
    assert alive(pid)
    processes.close()
    assert not alive(pid)
    assert pids(processes) == []
    with pytest.raises(ProcessNotStarted):
        processes.start()
    with pytest.raises(ProcessLost):
        list(processes.request(task, 1))


@linux
def test_a_launched_process_serves_the_first_thread() -> None:
    launched = launch_worker(ScanConfig(inputs=("-",)))
    assert launched is not None
    assert launched._running is not None
    with closing(IsolatedReader(ScanConfig(inputs=("-",)), launched=launched)) as reader:
        assert isinstance(reader(Item("/none.jpg")), Failure)
        assert pids(reader._workers) == [launched._running.pid]
    assert pids(reader._workers) == []


@linux
def test_a_launched_process_with_other_options_is_only_closed() -> None:
    launched = launch_worker(ScanConfig(inputs=("-",), item_timeout=7))
    assert launched is not None
    assert launched._running is not None
    other = launched._running.pid
    with closing(IsolatedReader(ScanConfig(inputs=("-",)), launched=launched)) as reader:
        assert isinstance(reader(Item("/none.jpg")), Failure)
        assert pids(reader._workers)[0] == other
        assert len(pids(reader._workers)) == 2
    assert not alive(other)


@linux
@pytest.mark.parametrize("fails", [False, True], ids=["not iterated", "not opened"])
def test_a_scan_leaves_no_launched_process(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[int] = []

    def noted(*arguments: Any) -> Any:
        process = launch_worker(*arguments)
        launched.append(process._running.pid)  # type: ignore[union-attr]
        return process

    monkeypatch.setattr("sidscan.pipeline.opening.launch_worker", noted)
    folder(tmp_path / "images")
    inputs = tmp_path / ("missing" if fails else "images")
    config = ScanConfig(inputs=(str(inputs),), models=("mini",), device="cpu")
    if fails:
        with pytest.raises(UsageError):
            pipeline.open_scan(config)
    else:
        opened = pipeline.open_scan(config)
        assert alive(launched[0])
        opened.journal.close()
        del opened
    assert not alive(launched[0])


def test_the_rest_of_an_answer_is_not_the_next_one() -> None:
    process = worker("pass")
    process.start()
    answer = process.request(Frame({"task": 1}), 20)
    assert isinstance(answer, Generator)
    assert not next(answer).last
    answer.close()
    assert request(process, Frame({"task": 2}))[-1].head["echo"] == {"task": 2}
    process.close()


def test_a_worker_imports_nothing_from_the_scanned_folder(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cd archive && sidscan scan .` must not import modules of the archive."""
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


def test_an_image_that_hangs_is_a_row_and_the_scan_continues(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "a-hang.jpg").write_bytes(slow_jpeg())
    started = time.monotonic()
    ended = sidscan("scan", images, "--out", tmp_path / "r.csv", "--item-timeout", "4", "--workers", "1")
    assert ended.code == 3, ended.err
    assert time.monotonic() - started < 200
    assert "  1 timeout: Timeout" in ended.err
    rows = _rows(tmp_path / "r.csv")
    assert rows["a-hang.jpg"]["status"] == "timeout"
    assert rows["a-hang.jpg"]["error_message"] == "not read after 4 s; raise the limit with --item-timeout"
    assert len(rows["a-hang.jpg"]["sha256"]) == 64, "hashed before it hung"
    assert [rows[f"photo-{n}.jpg"]["status"] for n in range(3)] == ["scored"] * 3


def test_hanging_metadata_leaves_the_score_intact(sidscan: Run, tmp_path: Path) -> None:
    """Otherwise a few bytes of EXIF could hide an image from every scan."""
    images = folder(tmp_path / "images")
    (images / "a-plain.jpg").write_bytes(encoded(photo(300, 260), "JPEG"))
    (images / "a-hang.jpg").write_bytes(misleading_jpeg())
    scan_them = ("scan", images, "--out", tmp_path / "r.csv", "--item-timeout", "4", "--workers", "1")
    for reads, flag in (("1000000000000", "metadata_timeout"), ("100000", "metadata_limit")):
        ended = sidscan(*scan_them, "--max-metadata-reads", reads)
        assert ended.code == 0, ended.err
        assert f"flags: 1 {flag}" in ended.err
        rows = _rows(tmp_path / "r.csv")
        assert (rows["a-hang.jpg"]["status"], rows["a-hang.jpg"]["flags"]) == ("scored", flag)
        logits = [float(rows[name]["logit"]) for name in ("a-hang.jpg", "a-plain.jpg")]
        assert logits[0] == pytest.approx(logits[1], abs=1e-4)  # the last digits depend on the batch size
        assert {row["status"] for row in rows.values()} == {"scored"}
    assert "4 results kept" in ended.err, "under other limits, only the affected images are read again"


def test_worker_processes_change_neither_scores_nor_metadata(tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (images / "odd.png").write_bytes(encoded(photo(100, 90), "PNG"))
    apart, together = (
        {result.name: result for result in scan(ScanConfig(inputs=(str(images),), isolation=isolation))}
        for isolation in (True, False)
    )
    assert len(apart) == 5
    assert apart.keys() == together.keys()
    for name, result in apart.items():
        other = together[name]
        assert (result.status, result.facts, result.error) == (other.status, other.facts, other.error)
        for score, other_score in zip(result.scores, other.scores, strict=True):
            assert score.logit == pytest.approx(other_score.logit, abs=1e-6)


@linux
def test_an_image_that_takes_too_much_memory_is_a_row(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(encoded(photo(64, 64).resize((6000, 6000)), "PNG", compress_level=1))
    config = ScanConfig(inputs=(str(large),), memory_limit=64)
    (result,) = scan(config)
    assert (result.status, result.stage, result.scores) == (Status.MEMORY_LIMIT, Stage.DECODE, ())
    assert result.message == "it takes more memory than there is; raise the limit with --memory-limit"
    (result,) = scan(ScanConfig(inputs=(str(large),)))
    assert result.status is Status.SCORED
    # libjpeg holds all coefficients of a progressive image until its last scan, and hides a lack of memory
    large = tmp_path / "large.jpg"
    large.write_bytes(encoded(photo(64, 64).resize((5000, 5000)), "JPEG", progressive=True))
    (result,) = scan(ScanConfig(inputs=(str(large),), memory_limit=100))
    assert (result.status, result.stage, result.scores) == (Status.MEMORY_LIMIT, Stage.DECODE, ())
    (result,) = scan(ScanConfig(inputs=(str(large),)))
    assert result.status is Status.SCORED
    broken = tmp_path / "broken.png"  # with enough memory, damage is reported as damage
    data = encoded(photo(1000, 1000), "PNG")
    broken.write_bytes(data[:1000] + bytes(1000) + data[2000:])
    (result,) = scan(ScanConfig(inputs=(str(broken),)))
    assert (result.status, result.stage) == (Status.FAILED, Stage.DECODE)
    small = tmp_path / "small.jpg"
    small.write_bytes(encoded(photo(300, 260), "JPEG"))
    (result,) = scan(ScanConfig(inputs=(str(small),), memory_limit=64))
    assert result.status is Status.SCORED


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc has these settings")
def test_a_worker_reuses_the_memory_of_large_images(tmp_path: Path) -> None:
    """Faulting the memory in again for each image would take half as long as decoding a camera's JPEG."""
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.new("RGB", (4000, 3000), "teal"), "JPEG"))
    config, item = ScanConfig(inputs=(str(path),)), Item(str(path))
    with closing(IsolatedReader(config, Fetcher(config))) as isolated:
        faults = []
        for _ in range(3):
            assert isinstance(isolated(item), DecodedImage)
            (pid,) = pids(isolated._workers)
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            faults.append(int(stat.rpartition(")")[2].split()[7]))  # minflt of proc(5)
    pages = 4000 * 3000 * 4 // resource.getpagesize()
    assert faults[2] - faults[1] < pages / 3


@linux
def test_a_worker_does_not_outlive_its_parent(tmp_path: Path) -> None:
    """A parent killed without warning leaves neither waiting nor spinning workers behind."""
    code = (
        "import sys; from sidscan.isolation.processes import WorkerPool; from sidscan.records import Item\n"
        "from sidscan.isolation.protocol import encode_task\n"
        "pool = WorkerPool('sidscan.isolation.worker', sys.argv[2], max_payload=1 << 21)\n"
        "pool.start(); answer = pool.request(encode_task(Item(sys.argv[1])), 60)\n"
        "assert not next(answer).last; print(pool._processes[0]._running.pid, flush=True); next(answer)\n"
    )
    (tmp_path / "hang.jpg").write_bytes(slow_jpeg(30_000))  # minutes of decoding
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "hang.jpg"), OPTIONS], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child)


def test_crops_come_back_as_they_were_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(500, 400), "JPEG"))
    config = ScanConfig(inputs=(str(path),))
    isolated = IsolatedReader(config, Fetcher(config))
    apart, here = isolated(Item(str(path))), read_item(Item(str(path)), config)
    isolated.close()
    assert isinstance(apart, DecodedImage)
    assert isinstance(here, DecodedImage)
    assert np.array_equal(apart.crop_set.crops, here.crop_set.crops)
    assert (apart.crop_set.order, apart.facts) == (here.crop_set.order, here.facts)


@pytest.mark.parametrize("isolation", [True, False], ids=["isolated", "in this process"])
def test_all_pixels_come_with_the_same_crops(tmp_path: Path, isolation: bool) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(1500, 1300), "JPEG"))  # a scan decodes some of its rows
    config = ScanConfig(inputs=(str(path),), isolation=isolation)
    with open_reader(replace(config, pixels=True)) as read, open_reader(config) as read_crops:
        whole, crops = read(Item(str(path))), read_crops(Item(str(path)))
    assert isinstance(whole, DecodedImage)
    assert isinstance(crops, DecodedImage)
    with Image.open(path) as image:
        assert np.array_equal(whole.pixels, np.asarray(image))  # type: ignore[arg-type]
    assert np.array_equal(whole.crop_set.crops, crops.crop_set.crops)
    assert (whole.facts, crops.pixels) == (crops.facts, None)


@pytest.mark.parametrize(
    "limits",
    [{"item_timeout": 0.0}, {"item_timeout": 1e10}, {"memory_limit": 0}, {"memory_limit": 1 << 40}],
    ids=["no time", "no end", "no memory", "all memory"],
)
def test_impossible_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ScanConfig(inputs=("a",), **limits)


def read_isolated(tmp_path: Path, data: bytes, **options: Any) -> DecodedImage | Failure:
    """The answer of an isolated reader to a file with these bytes."""
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    config = ScanConfig(inputs=(str(path),), **options)
    with closing(IsolatedReader(config, Fetcher(config))) as isolated:
        return isolated(Item(str(path)))


@pytest.mark.parametrize(("kills", "status"), [(2, None), (3, Status.CRASHED)], ids=["twice", "each time"])
def test_a_good_image_survives_what_kills_its_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, status: Status | None
) -> None:
    """A system short of memory kills a process, but not always the one to blame."""
    request_frames, tasks = WorkerPool.request, []

    def request(self: WorkerPool, task: Frame, seconds: float) -> Any:
        tasks.append(task)
        answer = request_frames(self, task, seconds)
        if len(tasks) > kills:
            return answer
        first = next(answer)
        (pid,) = pids(self)
        os.kill(pid, signal.SIGKILL)
        return chain([first], answer)

    monkeypatch.setattr(WorkerPool, "request", request)
    result = read_isolated(tmp_path, slow_jpeg(30))
    assert len(tasks) == 3
    assert (result.status if isinstance(result, Failure) else None) is status
    if isinstance(result, Failure):
        assert result.message == "the process that read it was ended by SIGKILL"


def test_no_image_is_lost_to_kills_faster_than_workers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = subprocess.Popen, []

    def popen(*words: Any, **options: Any) -> Any:
        started.append(start(*words, **options))
        if len(started) <= 4:
            started[-1].kill()
        return started[-1]

    monkeypatch.setattr("sidscan.isolation.processes.subprocess.Popen", popen)
    assert isinstance(read_isolated(tmp_path, encoded(photo(300, 260), "JPEG")), DecodedImage)
    assert len(started) == 5


@pytest.mark.parametrize(("kills", "flags"), [(1, ()), (3, ("metadata_crashed",))], ids=["once", "each time"])
def test_a_worker_killed_while_reading_metadata_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int, flags: tuple[str, ...]
) -> None:
    request_frames, tasks = WorkerPool.request, []

    def request(self: WorkerPool, task: Frame, seconds: float) -> Any:
        tasks.append(task)
        answer = request_frames(self, task, seconds)
        if len(tasks) > kills:
            return answer
        first, second = next(answer), next(answer)

        def dies() -> Generator[Frame, None, None]:
            yield from (first, second)
            raise ProcessLost(timed_out=False, code=-signal.SIGKILL)

        return dies()

    monkeypatch.setattr(WorkerPool, "request", request)
    result = read_isolated(tmp_path, encoded(photo(300, 260), "JPEG", exif=exif_block()))
    assert isinstance(result, DecodedImage)
    assert (result.facts.flags, result.facts.exif.make) == (flags, None if flags else "Acme")
    assert len(tasks) == min(kills + 1, 3)


def test_truncated_images_are_scored_on_request_and_flagged(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    whole = encoded(photo(600, 500), "JPEG")
    (images / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "nothing.webp").write_bytes(encoded(photo(300, 260), "WEBP")[:3000])
    scan_them = ("scan", images, "--out", tmp_path / "r.csv")
    assert sidscan(*scan_them).code == 3
    rows = _rows(tmp_path / "r.csv")
    assert [rows[name]["status"] for name in ("half.jpg", "nothing.webp")] == ["truncated"] * 2
    assert rows["half.jpg"]["score"] == ""
    assert rows["half.jpg"]["error_message"].endswith("; score what there is with --allow-truncated")

    ended = sidscan(*scan_them, "--allow-truncated")
    assert ended.code == 3
    assert "1 truncated" in ended.err
    assert "3 results kept" in ended.err
    rows = _rows(tmp_path / "r.csv")
    assert (rows["half.jpg"]["status"], rows["half.jpg"]["flags"]) == ("scored", "maybe_truncated truncated")
    assert rows["nothing.webp"]["status"] == "truncated", "libwebp decodes whole images only"

    assert sidscan(*scan_them).code == 3, "without it, its score is dropped again"
    assert _rows(tmp_path / "r.csv")["half.jpg"]["status"] == "truncated"


def test_truncated_images_need_isolation() -> None:
    with pytest.raises(UsageError, match="--no-isolation"):
        ScanConfig(inputs=("a",), allow_truncated=True, isolation=False)


@pytest.mark.parametrize(
    ("size", "options", "status"),
    [
        ((301, 300), {"max_pixels": 90_000}, Status.TOO_MANY_PIXELS),
        ((301, 10), {"max_side": 300}, Status.TOO_LONG),
        ((301, 30), {"max_ratio": 10}, Status.TOO_NARROW),
        ((301, 300), {"max_bytes": 500}, Status.TOO_LARGE),
    ],
    ids=["pixels", "side", "ratio", "bytes"],
)
def test_each_limit_has_its_status_and_names_its_option(
    tmp_path: Path, size: tuple[int, int], options: dict[str, int], status: Status
) -> None:
    data = encoded(photo(*size), "JPEG")
    beyond = read_isolated(tmp_path, data, **options)
    assert isinstance(beyond, Failure)
    assert beyond.status is status
    assert beyond.message.endswith(f"raise the limit with --{next(iter(options)).replace('_', '-')}")
    within = read_isolated(tmp_path, data, **{name: value * 1_000 for name, value in options.items()})
    assert isinstance(within, DecodedImage)


def test_a_sparse_terabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    result = read_item(Item(str(path)), ScanConfig(inputs=(str(path),)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(result, Failure)
    assert result.status is Status.TOO_LARGE
    assert peak < 1 << 20


def test_metadata_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    data = encoded(photo(300, 260), "JPEG", exif=exif_block(), comment=b"x" * 5000)
    few = read_isolated(tmp_path, data, max_metadata=5000)
    many = read_isolated(tmp_path, data, max_metadata=6000)
    assert isinstance(few, DecodedImage)
    assert isinstance(many, DecodedImage)
    assert (few.facts.flags, few.facts.exif.make) == (("metadata_limit",), None)
    assert (many.facts.flags, many.facts.exif.make) == ((), "Acme")


def test_equal_bytes_are_scored_once(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    (images / "copy.jpg").write_bytes((images / "photo-0.jpg").read_bytes())
    ended = sidscan("scan", images, "--out", tmp_path / "r.csv", "--batch", "1")
    assert ended.code == 0, ended.err
    assert "4 inputs = 4 scored" in ended.err
    assert "1 image has the same bytes as an earlier image, and its score" in ended.err
    rows = _rows(tmp_path / "r.csv")
    assert rows["copy.jpg"]["logit"] == rows["photo-0.jpg"]["logit"]


PLAIN = [0, False]
INFO = ImageInfo(sha256="f" * 64, width=3, flags=("padded",), exif=Exif(make="Acme", tags={"a": 1}))
GOOD: dict[str, Any] = json.loads(json.dumps(encode_answer(INFO).head["info"]))
FAILURE = {"stage": "decode", "error": "E", "message": "m", "status": "failed"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """What a worker answers each time that it is asked; no process is started."""
    frames: list[Frame] = []
    for name in ("start", "discard"):
        monkeypatch.setattr(WorkerPool, name, lambda self: None)
    monkeypatch.setattr(WorkerPool, "request", lambda self, task, seconds: iter(frames))
    return frames


def with_exif(**values: Any) -> dict[str, Any]:
    return {**GOOD, "exif": {**GOOD["exif"], **values}}


@pytest.mark.parametrize(
    "head",
    [
        {"info": {**GOOD, "sha256": ["f" * 64]}},
        {"info": {**GOOD, "sha256": "f" * 63}},
        {"info": {**GOOD, "sha256": "e" * 64}},
        {"info": {**GOOD, "width": float("nan")}},
        {"info": {**GOOD, "width": -1}},
        {"info": {**GOOD, "height": True}},
        {"info": {**GOOD, "flags": [1]}},
        {"info": {**GOOD, "flags": ["a b"]}},
        {"info": {**GOOD, "flags": "padded"}},
        {"info": {**GOOD, "format": 7}},
        {"info": {**GOOD, "more": None}},
        {"info": {name: value for name, value in GOOD.items() if name != "bytes"}},
        {"info": with_exif(make=7)},
        {"info": with_exif(make="x" * 100_000)},
        {"info": with_exif(latitude=1000)},
        {"info": with_exif(latitude=True)},
        {"info": with_exif(latitude="1")},
        {"info": with_exif(tags=[1])},
        {"info": with_exif(tags={"a": float("inf")})},
        {"info": with_exif(tags={"a": [[1]]})},
        {"info": with_exif(tags={"a": None})},
        {"info": with_exif(more=1)},
        {"info": {**GOOD, "exif": None}},
        {"info": None},
        {},
        {"order": [PLAIN] * 10},
        {"info": GOOD, "order": [PLAIN] * 10, "more": 1},
        {"info": GOOD, "order": [PLAIN] * 9},
        {"info": GOOD, "order": [PLAIN] * 9 + [[1, False]]},
        {"info": GOOD, "order": [PLAIN] * 9 + [[-1, False]]},
        {"info": GOOD, "order": [PLAIN] * 9 + [[0, 1]]},
        {"info": GOOD, "order": [PLAIN] * 9 + [[0.0, True]]},
        {"info": GOOD, "order": [PLAIN] * 9 + [[False, True]]},
        {"info": GOOD, "order": [PLAIN] * 9 + [[0]]},
        {"info": GOOD, "order": [0] * 10},
        {"info": GOOD, "failure": None},
        {"info": GOOD, "failure": {**FAILURE, "status": "scored"}},
        {"info": GOOD, "failure": {**FAILURE, "status": ["failed"]}},
        {"info": GOOD, "failure": {**FAILURE, "stage": "lunch"}},
        {"info": GOOD, "failure": {**FAILURE, "error": 1}},
        {"info": GOOD, "failure": {**FAILURE, "message": None}},
        {"info": GOOD, "failure": {**FAILURE, "more": 1}},
    ],
    ids=lambda head: json.dumps(head)[-60:],
)
def test_an_answer_of_a_worker_is_checked(head: dict[str, Any], answers: list[Frame]) -> None:
    crop = bytes(224 * 224 * 3)
    answers.append(Frame({"info": GOOD, "order": [PLAIN] * 10}, crop, last=False))
    answers.append(Frame(head, crop if "order" in head else b""))
    config = ScanConfig(inputs=("a",))
    with closing(IsolatedReader(config, Fetcher(config))) as isolated:
        result = isolated(Item("a"))
    assert isinstance(result, Failure)
    assert (result.status, result.message) == (
        Status.CRASHED,
        "the worker process gave an answer that makes no sense",
    )


def test_a_sensible_answer_is_accepted(answers: list[Frame]) -> None:
    answers.append(Frame({"info": GOOD, "order": [PLAIN] * 10}, bytes(224 * 224 * 3)))
    config = ScanConfig(inputs=("a",))
    with closing(IsolatedReader(config, Fetcher(config))) as isolated:
        result = isolated(Item("a"))
    assert isinstance(result, DecodedImage)
    assert (result.facts.exif.make, result.facts.flags, result.facts.width) == ("Acme", ("padded",), 3)


def test_an_oversized_answer_is_refused() -> None:
    process = worker("write_frame(sys.stdout.buffer, Frame({}, bytes(1001)))")
    process.start()
    with pytest.raises(ProcessLost):
        list(process.request(Frame({}), 20))
    process.close()


@pytest.mark.parametrize("fails", [2, 99], ids=["temporarily", "permanently"])
def test_a_scan_survives_a_system_that_cannot_start_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    start, tried = subprocess.Popen, []

    def popen(*words: Any, **options: Any) -> Any:
        tried.append(words)
        if len(tried) <= fails:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(*words, **options)

    monkeypatch.setattr("sidscan.isolation.processes.subprocess.Popen", popen)
    monkeypatch.setattr("sidscan.isolation.reader._START_PAUSE", 0.001)
    result = read_isolated(tmp_path, encoded(photo(300, 260), "JPEG"))
    if fails == 2:
        assert isinstance(result, DecodedImage)
    else:
        assert isinstance(result, Failure)
        assert result.status is Status.CRASHED
        assert result.message == ("no process to read it could be started: Resource temporarily unavailable")


@linux
def test_workers_do_not_inherit_secrets_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    processes = WorkerPool("sidscan.isolation.worker", OPTIONS, max_payload=1 << 21)
    processes.start()
    (pid,) = pids(processes)
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    processes.close()
    assert b"PATH=" in environment
    assert b"SECRET_TOKEN" not in environment


def test_starting_a_worker_does_not_count_against_the_time_limit(tmp_path: Path) -> None:
    """A worker takes some tenths of a second to start, more on a busy machine."""
    assert isinstance(
        read_isolated(tmp_path, encoded(photo(300, 260), "JPEG"), item_timeout=0.2), DecodedImage
    )


def test_tags_that_share_one_text_do_not_make_a_giant_row(tmp_path: Path) -> None:
    entry, count, text = struct.Struct("<HHII"), 900, b"x" * 60_000
    start = 8 + 2 + 12 * count + 4
    block = b"II*\0" + struct.pack("<IH", 8, count)
    block += b"".join(entry.pack(0xA000 + i, 2, len(text), start) for i in range(count)) + bytes(4) + text
    data = encoded(photo(300, 260), "PNG", exif=block)
    result = read_isolated(tmp_path, data)
    assert isinstance(result, DecodedImage)
    assert (result.facts.flags, dict(result.facts.exif.tags)) == (("metadata_limit",), {})


def test_a_tiffs_tags_are_metadata(tmp_path: Path) -> None:
    data = encoded(photo(300, 260), "TIFF", description="x" * 50_000)
    result = read_isolated(tmp_path, data, max_metadata=40_000)
    assert isinstance(result, DecodedImage)
    assert result.facts.flags == ("metadata_limit",)
