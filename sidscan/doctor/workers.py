"""Whether images can be read here: a worker process is started, reads an image, and keeps its limits."""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sidscan.config import ScanConfig
from sidscan.doctor import CheckResult, check
from sidscan.doctor.probes import ProbeFailed, ProbeNotStarted, Probes
from sidscan.doctor.resource_limits import RAISE_LIMITS, low_limits
from sidscan.errors import ExitCode
from sidscan.fetch.client import Fetcher
from sidscan.isolation.confinement import can_confine
from sidscan.isolation.reader import IsolatedReader
from sidscan.records import DecodedImage, Failure, Item, Status

_SMALL, _LARGE = 256, 12_000  # pixels of a side; the large image takes 144 MB in memory
_LITTLE_MEMORY = 64  # MiB, less than the large image takes
_TOO_LARGE = f"an image that takes more memory than --memory-limit {_LITTLE_MEMORY}"


@check("worker")
def worker(probes: Probes) -> Iterator[CheckResult]:
    """Read an image as a scan does."""
    facts = {"python": sys.executable}
    try:
        read = _read_in_worker(_SMALL)
    except OSError as error:
        text = f"not checked: no temporary file can be made ({error.strerror or error})"
        yield CheckResult("worker", "note", text)
        return
    if isinstance(read, DecodedImage):
        yield CheckResult("worker", "ok", "a process of its own reads a generated image", facts=facts)
        return
    reason = f"{read.message}{_why_no_worker(probes)}"
    yield CheckResult(
        "worker",
        "problem",
        f"no image can be read in a process of its own: {reason}",
        RAISE_LIMITS
        if low_limits()
        else "`sidscan scan --no-isolation` reads without such processes, and without their protection.",
        exit_code=ExitCode.RUNTIME,
        facts=facts | {"reason": reason},
    )


@check("worker limits")
def worker_limits(_: Probes) -> Iterator[CheckResult]:
    """Read an image that takes more memory than is allowed."""
    if sys.platform != "linux":
        text = "time is limited; memory can be limited on Linux alone"
        yield CheckResult("worker limits", "note", text, facts={"memory": False})
        return
    try:
        read = _read_in_worker(_LARGE, memory_limit=_LITTLE_MEMORY)
    except OSError:  # the check of a worker says so
        return
    if isinstance(read, Failure) and read.status is Status.CRASHED:  # the check of a worker says why
        yield CheckResult("worker limits", "note", f"not checked: {read.message}")
        return
    held = isinstance(read, Failure) and read.status is Status.MEMORY_LIMIT
    facts = {"memory": held}
    if held:
        text = f"{_TOO_LARGE} is refused, as it should be"
        yield CheckResult("worker limits", "ok", text, facts=facts)
        return
    outcome = "was read" if isinstance(read, DecodedImage) else f"failed otherwise: {read.message}"
    yield CheckResult(
        "worker limits",
        "problem",
        f"{_TOO_LARGE} {outcome}",
        "Limit the memory of the whole scan from outside, e.g. with a container.",
        facts=facts,
    )


@check("worker access")
def worker_access(_: Probes) -> Iterator[CheckResult]:
    """Whether the system lets a process give up what a flaw in a decoder could use."""
    if can_confine():
        text = "what reads images has no network, runs no program, writes no file, sees no other process"
        yield CheckResult("worker access", "ok", text, facts={"confined": True})
        return
    yield CheckResult(
        "worker access",
        "note",
        "a flaw in a decoder could use the network, run programs, write files, or look into processes",
        "Linux 5.13 or newer, with Landlock, keeps the processes that read images from it.",
        facts={"confined": False},
    )


def _read_in_worker(side: int, memory_limit: int = ScanConfig.memory_limit) -> DecodedImage | Failure:
    """A generated image, read by a worker of its own.

    Raises:
        OSError: there is no room for a temporary file.
    """
    with tempfile.TemporaryDirectory(prefix="sidscan-doctor-") as folder:
        path = Path(folder) / "image.png"
        path.write_bytes(_black_png(side))
        config = ScanConfig(inputs=(str(path),), memory_limit=memory_limit)
        with closing(Fetcher(config)) as fetcher, closing(IsolatedReader(config, fetcher)) as read:
            return read(Item(str(path)))


def _black_png(side: int) -> bytes:
    """A black PNG of one bit per pixel; decoders take a byte for each, so little data takes much."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (side + 7) // 8) * side), 1)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _why_no_worker(probes: Probes) -> str:
    """What the program of a worker says when it is run alone: a scan hears nothing of it."""
    try:
        _ = probes.worker.facts
    except ProbeNotStarted:  # that was said
        return ""
    except ProbeFailed as error:
        return f" ({error})"
    return ""
