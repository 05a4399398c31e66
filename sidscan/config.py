"""ScanConfig: the only carrier of a scan's options; those of reading and of fetching are parts of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from sidscan.errors import UsageError

Crops = Literal["ten", "center"]
Device = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml"]
RuntimeName = Literal["auto", "pytorch", "onnx"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]

SIDE = 224  # pixels; every detector looks at crops of this side
VIEWS: Mapping[Crops, int] = {"ten": 10, "center": 1}  # of a picture
MAX_ITEM_SECONDS = 1_000_000  # seconds that an item may take
MAX_MEMORY_MIB = 1 << 30  # MiB that a worker may be allowed


@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """What is read of one picture, and what it may be at most.

    Attributes:
        crops: ten-crop (corners, centre, their mirror images) or the centre crop alone.
        max_bytes: larger files are not read, nor larger downloads.
        max_pixels, max_side: larger pictures are not decoded; in all, and along one side.
        max_ratio: pictures whose sides differ by a larger factor are not decoded.
        max_metadata: bytes of EXIF, XMP, profiles and texts; where there are more, the picture is scored and
            its EXIF is not read.
        max_metadata_reads: steps that reading EXIF may take. Directories that name each other make a few
            kilobytes take hours.
        allow_truncated: decode what there is of pictures that are truncated or damaged, and flag them. It
            needs isolation: Pillow can be told so only for a whole process.
    """

    crops: Crops = "ten"
    max_bytes: int = 1 << 30
    max_pixels: int = 178_956_970  # Pillow's own limit: twice of what it warns of
    max_side: int = 65_535  # of JPEG
    max_ratio: int = 1_000
    max_metadata: int = 16 << 20
    max_metadata_reads: int = 1_000_000  # cameras' maker notes take up to some 100,000; about a second
    allow_truncated: bool = False

    def reading(self) -> dict[str, Any]:
        """These options alone, as JSON can hold them."""
        return {option.name: getattr(self, option.name) for option in fields(ReadLimits)}

    def _check_reading(self) -> None:
        for option in fields(ReadLimits):
            if option.name.startswith("max_") and getattr(self, option.name) < 1:
                raise UsageError(f"{option.name} is at least 1")


@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How URLs are fetched.

    Attributes:
        timeout: seconds a URL may take to connect, or stall.
        total_timeout: seconds a URL may take, redirects and retries included; waiting for a turn at its
            host, and for a time that the host asked for, does not count.
        max_download: larger downloads are not read: they are held in the scan's own memory, one per reader.
        retries: how often a URL is asked again after a broken connection, or an HTTP status 429, 502, 503
            or 504.
        retry_after: seconds that a server's Retry-After may make a scan wait; a longer one ends the retries.
        per_host: requests that a host gets at the same time.
        rate: requests that a host gets per second; None for no limit.
        allow_private: connect to private addresses too (fetch.address_policy says which are).
        env_proxies: use the proxies that the environment names; they look up names unchecked.
        respect_robots: refuse what X-Robots-Tag forbids (fetch.robots says which rules do).
        save_dir: folder that keeps the bytes of every URL; None keeps none.
    """

    timeout: float = 20.0
    total_timeout: float = 120.0
    max_download: int = 256 << 20
    retries: int = 2
    retry_after: float = 60.0
    per_host: int = 2
    rate: float | None = None
    allow_private: bool = False
    env_proxies: bool = False
    respect_robots: bool = False
    save_dir: Path | None = None

    def permissions(self) -> dict[str, bool]:
        """What decides whether a URL may be fetched at all."""
        names = ("allow_private", "env_proxies", "respect_robots")
        return {name: getattr(self, name) for name in names}

    def _check_fetching(self) -> None:
        if self.max_download < 1:
            raise UsageError("max_download is at least 1")
        if self.per_host < 1 or self.retries < 0 or not 0 <= self.retry_after < math.inf:
            raise UsageError("per_host is at least 1, retries and retry_after at least 0")
        for name, seconds in (("timeout", self.timeout), ("total_timeout", self.total_timeout)):
            if not 0 < seconds < math.inf:
                raise UsageError(f"{name} is a number of seconds above 0")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise UsageError("rate is a number of requests per second above 0, or None")
        if self.save_dir is not None:
            object.__setattr__(self, "save_dir", Path(self.save_dir))


@dataclass(frozen=True, kw_only=True)
class ScanConfig(ReadLimits, FetchOptions):
    """Everything a scan depends on, besides what `Reading` and `Fetching` hold.

    Attributes:
        inputs: files, directories and http(s) URLs.
        lists: text files that name one path or URL per line; ``-`` is standard input.
        null: names in ``lists`` end in a NUL character, which no file's name holds, instead of a line's end.
        models: detectors by name, or paths of checkpoints or of folders of them; empty means RINE 4-class
            where it is installed, else the bundled one.
        encoder: weights of the encoder that checkpoints were trained on, where it is not an installed one.
        calibrated: use the calibration that `sidscan calibrate` saved for each of the models.
        calibrations: files of calibrations to use, each for the model it was made of.
        runtime: what computes; ``auto`` is PyTorch, but for a model that is an exported graph.
        device: ``auto`` is CUDA where torch can use it, else the CPU; an explicit device is never replaced.
        precision: of a CLIP encoder; ``auto`` is fp16 on CUDA, as published; on a CPU that multiplies bf16
            itself, bf16 if a trial shows that scores stay within 0.01; else fp32.
        hidden: look into hidden files and folders too.
        workers: readers, each with a process of its own where there is isolation; None means one per core.
        batch: views gathered for a pass through the encoder, but no picture's are split; None means as many
            as the runtime likes: 40 on a CPU.
        journal: file that holds the run's durable record; None keeps it in memory.
        fresh: forget what an earlier run recorded in ``journal``.
        retry_failed: read inputs again that failed in an earlier run.
        exclude: paths never scanned, e.g. the reports being written.
        isolation: read pictures in worker processes, which may hang or die without harm.
        item_timeout: seconds that reading one input may take, besides fetching it.
        memory_limit: MiB that reading one input may take, on systems that can limit it.
        command: the command line, for the record of who made the report.
        private: leave the command line, the current folder and the host's name out of that record.
    """

    inputs: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    null: bool = False
    models: tuple[str, ...] = ()
    encoder: Path | None = None
    calibrated: bool = False
    calibrations: tuple[Path, ...] = ()
    runtime: RuntimeName = "auto"
    device: Device = "auto"
    precision: Precision = "auto"
    hidden: bool = False
    workers: int | None = None
    batch: int | None = None
    journal: Path | None = None
    fresh: bool = False
    retry_failed: bool = False
    exclude: tuple[Path, ...] = ()
    isolation: bool = True
    item_timeout: float = 30.0
    memory_limit: int = 2048
    command: tuple[str, ...] = ()
    private: bool = False

    def largest_download(self) -> tuple[int, str]:
        """Bytes that a download may have, and the option that says so."""
        return min((self.max_bytes, "--max-bytes"), (self.max_download, "--max-download"))

    def limits(self) -> dict[str, Any]:
        """What decides, besides a picture itself, whether it has a score and what else is read of it."""
        limits = {**self.reading(), "isolation": self.isolation}
        if self.isolation:
            limits |= {"item_timeout": self.item_timeout, "memory_limit": self.memory_limit}
        return limits

    def __post_init__(self) -> None:
        """Refuses what no scan could mean.

        Raises:
            UsageError: nothing is named, or an option has an unknown value.
        """
        if not all(
            isinstance(names, tuple) for names in (self.inputs, self.lists, self.models, self.calibrations)
        ):
            raise UsageError(
                "inputs, lists, models and calibrations are tuples of names", 'Write inputs=("./images",).'
            )
        for names in ("inputs", "lists"):  # a Path is as good as its name
            object.__setattr__(self, names, tuple(os.fspath(name) for name in getattr(self, names)))
        object.__setattr__(self, "calibrations", tuple(Path(name) for name in self.calibrations))
        if not self.inputs and not self.lists:
            raise UsageError(
                "nothing was named", "Name a folder, a file or a URL, or read names with --list FILE."
            )
        choices = (
            (self.crops, Crops),
            (self.runtime, RuntimeName),
            (self.device, Device),
            (self.precision, Precision),
        )
        for value, known in choices:
            if value not in get_args(known):
                raise UsageError(f"{value!r} is none of {', '.join(get_args(known))}")
        if any(number is not None and number < 1 for number in (self.batch, self.workers)):
            raise UsageError("batch and workers are at least 1")
        if not 0 < self.item_timeout <= MAX_ITEM_SECONDS:
            raise UsageError(
                f"an item has above 0 and at most {MAX_ITEM_SECONDS} seconds", "Change --item-timeout."
            )
        if not 1 <= self.memory_limit <= MAX_MEMORY_MIB:
            raise UsageError(f"a limit of memory is 1 to {MAX_MEMORY_MIB} MiB", "Change --memory-limit.")
        if self.allow_truncated and not self.isolation:
            raise UsageError(
                "truncated pictures are decoded in processes of their own alone",
                "Leave out --no-isolation or --allow-truncated.",
            )
        self._check_reading()
        self._check_fetching()
