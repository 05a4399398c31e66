"""ScanConfig: the only carrier of a scan's options; those of reading and of fetching are parts of it.

Every field states its default, bounds, choices, help text and help section here, once. `sidscan.cli.options`
makes the command line's options from them, `ScanConfig` checks its values against them, and the classes'
docstrings list them.
"""
# ruff: noqa: RUF009  (`option` is dataclasses.field with metadata)

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from sidscan.errors import UsageError
from sidscan.records import SamplePlan
from sidscan.util.object_urls import is_object_url, parse_object_url
from sidscan.util.option_specs import documented, option, option_specs

Crops = Literal["ten", "center"]
Effort = Literal["fast", "normal", "full"]
Device = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml"]
RuntimeName = Literal["auto", "pytorch", "onnx"]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
CudaMode = Literal["eager", "graphs", "compiled"]

SIDE = 224  # pixels; every detector scores crops of this side
CROPS_PER_IMAGE: Mapping[Crops, int] = {"ten": 10, "center": 1}
MOST_CROPS = 500
"""Of how many images, those with the strongest evidence, the record keeps the crop with the highest score."""


@documented
@dataclass(frozen=True, kw_only=True)
class ReadLimits:
    """What is read of one image, and how large it may be."""

    crops: Crops = option(
        "ten",
        section="Models",
        help="Score ten crops and average their logits, or the centre alone.",
        details="The ten are the corners, the centre, and their mirror images.",
    )
    max_bytes: int = option(
        1 << 30,
        section="Limits",
        unit="bytes",
        minimum=1,
        help="Largest file or download; larger ones are not read (too_large).",
    )
    max_pixels: int = option(
        178_956_970,  # Pillow's own limit: twice the size that it warns of
        section="Limits",
        minimum=1,
        help="Most pixels of an image; larger ones are not decoded (too_many_pixels).",
    )
    max_side: int = option(
        65_535,  # of JPEG
        section="Limits",
        minimum=1,
        help="Longest side of an image, in pixels; longer ones are not decoded (too_long).",
    )
    max_ratio: int = option(
        1_000,
        section="Limits",
        minimum=1,
        help="Largest ratio of an image's longer side to its shorter side; narrower images are not decoded "
        "(too_narrow).",
    )
    max_metadata: int = option(
        16 << 20,
        section="Limits",
        unit="bytes",
        minimum=1,
        help="Most bytes of EXIF, XMP, colour profiles and text; an image with more is scored, but its EXIF "
        "is not read (metadata_limit).",
    )
    max_metadata_reads: int = option(
        1_000_000,  # cameras' maker notes take up to some 100,000; about a second
        section="Limits",
        minimum=1,
        help="Steps allowed for reading EXIF; after them the image is scored without EXIF (metadata_limit).",
        details="Directories that name each other can make a few kilobytes take hours.",
    )
    allow_truncated: bool = option(
        False,
        section="Limits",
        help="Score the readable part of truncated or damaged images, and flag them; without this they fail.",
        details="It needs isolation: Pillow has this setting only for a whole process.",
    )
    develop_raw: bool = option(
        False,
        section="Limits",
        help="Develop camera raw files with LibRaw, and flag them (developed). Without this, the largest "
        "preview in such a file is scored (preview), and its evidence is inconclusive.",
        details="It needs one package more: pip install rawpy.",
    )

    thumbnails: bool = option(
        False, help="Make a small image of each image for HTML reports.", details="It changes no score."
    )
    find_copies: bool = option(
        False,
        section="Output",
        help="Find images that show the same: saved again, resized, mirrored or rotated. HTML reports with "
        "thumbnails do so anyway. It slows the scan of large JPEG files.",
        details="It changes no score.",
    )
    trust: str | None = option(
        None,
        section="Advanced",
        metavar="FOLDER",
        help="Folder of trust lists (.pem) for signatures of C2PA manifests, instead of the bundled ones. It "
        "needs c2pa-python.",
        details="Results that an earlier scan made keep what was checked then.",
    )
    pixels: bool = option(False, help="Give all pixels of each image, besides its crops.")

    def read_limits(self) -> dict[str, object]:
        """The options that decide what is read and whether it is scored, as JSON can hold them."""
        others = ("thumbnails", "find_copies", "pixels", "trust")
        names = (each.name for each in fields(ReadLimits) if each.name not in others)
        return {name: getattr(self, name) for name in names}


@documented
@dataclass(frozen=True, kw_only=True)
class FetchOptions:
    """How URLs are fetched."""

    timeout: float = option(
        20.0,
        section="URLs",
        unit="seconds",
        minimum=0,
        above=True,
        help="Time allowed to connect, or without receiving data.",
    )
    total_timeout: float = option(
        120.0,
        section="URLs",
        unit="seconds",
        minimum=0,
        above=True,
        help="Time allowed for one URL, redirects and retries included. Waiting because of --per-host, "
        "--rate or Retry-After does not count.",
    )
    max_download: int = option(
        256 << 20,
        section="URLs",
        unit="bytes",
        minimum=1,
        help="Largest download; larger ones fail (too_large). --max-bytes limits downloads too.",
        details="A download is held in the scan's own memory, one per reader.",
    )
    retries: int = option(
        2,
        section="URLs",
        minimum=0,
        help="Retries after a broken connection or HTTP status 429, 502, 503 or 504.",
    )
    retry_after: float = option(
        60.0,
        section="URLs",
        unit="seconds",
        minimum=0,
        help="Longest wait that a server's Retry-After header may ask for; a longer one ends the retries.",
    )
    per_host: int = option(2, section="URLs", minimum=1, help="Simultaneous requests to one host.")
    rate: float | None = option(
        None,
        section="URLs",
        minimum=0,
        above=True,
        default_text="no limit",
        help="Requests per second to one host.",
    )
    allow_private: bool = option(
        False,
        section="URLs",
        help="Fetch from private addresses and this machine too, for archives on an intranet.",
        details="fetch.address_policy says which addresses are private.",
    )
    env_proxies: bool = option(
        False,
        section="URLs",
        help="Use the proxies named in http_proxy, https_proxy and no_proxy; without this they are ignored.",
        details="A proxy looks up names itself, so their addresses are not checked.",
    )
    respect_robots: bool = option(
        False,
        section="URLs",
        help="Refuse images whose X-Robots-Tag says noai, noimageai, noindex, noimageindex or none.",
    )
    save_dir: Path | None = option(
        None,
        section="URLs",
        path_kind="folder",
        help="Keep the bytes of every URL in FOLDER, each file named by its sha256.",
    )

    def permissions(self) -> dict[str, bool]:
        """What decides whether a URL may be fetched at all."""
        names = ("allow_private", "env_proxies", "respect_robots")
        return {name: getattr(self, name) for name in names}


@documented
@dataclass(frozen=True, kw_only=True)
class ScanConfig(ReadLimits, FetchOptions):
    """All options of a scan."""

    inputs: tuple[str, ...] = option(
        (), help="Files, folders, http(s) URLs, and s3://, gs:// and az:// objects or prefixes."
    )
    lists: tuple[str, ...] = option(
        (),
        section="Input",
        flag="--list",
        metavar="FILE",
        help="Read paths or URLs from FILE, one per line; '-' is standard input. '#' starts a comment. "
        "Repeatable.",
        details="A comment is a whole line.",
    )
    buckets: tuple[str, ...] = option(
        (),
        section="Input",
        flag="--bucket",
        metavar="URL",
        help="Read objects of this bucket that lists name, e.g. s3://photos. Repeatable. Without it, such a "
        "line is a refused row: a list is somebody else's text, and would be read with your keys.",
    )
    null: bool = option(
        False,
        section="Advanced",
        help="Names in lists end in NUL, as `find -print0` writes them.",
        details="No file's name holds a NUL character, but names may hold line breaks.",
    )
    list_column: str | None = option(
        None,
        section="Advanced",
        metavar="NAME",
        help="Lists are tables (Parquet, or CSV or TSV whose first row names their columns): read the column "
        "NAME. In a Parquet file it may hold the images themselves.",
    )
    archives: bool = option(
        True,
        section="Input",
        help="Read images in zip, tar, WARC and Parquet files, each member as an input of its own. "
        "--no-archives skips archives, one row each.",
        details="Nothing is unpacked to disk.",
    )
    hidden: bool = option(False, section="Input", help="Include hidden files and folders.")
    allow_empty: bool = option(
        False,
        section="Input",
        help="Accept a folder that is empty. Without this it is an error: its disk may not be mounted.",
    )
    exclude: str | Path | tuple[str | Path, ...] = option(
        (),
        section="Input",
        metavar="PATTERN",
        help="Leave out names or paths, as in .gitignore: '*.gif', thumbnails, images/private. Repeatable.",
        details="A Path is that file or folder alone; each excluded file or folder is one skipped row.",
    )
    sample: int | None = option(
        None,
        section="Input",
        minimum=1,
        metavar="N",
        default_text="all images",
        help="Look at N images alone, chosen from all folders in proportion. A larger N, or none, continues.",
        details="The choice depends on names and the seed alone; a larger sample contains a smaller one.",
    )
    sample_seed: int = option(
        0,
        section="Advanced",
        minimum=0,
        help="Seed of --sample, --budget and --until; another one chooses other images.",
    )
    budget: float | None = option(
        None,
        section="Input",
        unit="seconds",
        minimum=0,
        above=True,
        default_text="no limit",
        help="Stop after this time, e.g. 30m or 1h30m, and report what was seen: a sample from all folders. "
        "The same command goes on.",
        details="The batch under way is finished, so a run makes some results, however short its time.",
    )
    until: datetime | None = option(
        None,
        section="Input",
        default_text="no limit",
        help="Stop at this local time, e.g. 18:00 (the next one) or 2026-12-31T18:00; else as --budget.",
        details="Without a time zone, it is local time.",
    )
    models: tuple[str, ...] = option(
        (),
        section="Models",
        flag="--model",
        metavar="NAME|FILE",
        default_text="rine-b16 if its encoder is installed, else mini",
        help="Detector: name, checkpoint, folder of checkpoints, or exported graph. Repeatable.",
        details="Detectors that share an encoder cost one pass.",
    )
    effort: Effort = option(
        "normal",
        section="Models",
        metavar="EFFORT",
        help="'fast' scores the centre, 'full' ten crops, 'normal' as few as the decision needs.",
        details="'normal' is 'full' where a detector states no cascade. 'fast' is the same as "
        "crops='center'; 'full' can't be combined with that.",
    )
    calibrated: bool = option(
        False,
        section="Models",
        help="Report p-values, from what `sidscan calibrate` saved.",
        details="The threshold of each model is the saved one, too.",
    )
    calibrations: tuple[Path, ...] = option(
        (),
        section="Models",
        flag="--calibration",
        help="Use the calibration FILE for its model. Repeatable.",
    )
    encoder: Path | None = option(
        None,
        section="Advanced",
        path_kind="existing file",
        help="Weights of the encoder that a checkpoint was trained on, if it is not an installed one.",
    )
    runtime: RuntimeName = option(
        "auto",
        section="Advanced",
        help="What computes: 'auto' is ONNX Runtime for mini, rine-b16 and localizer-b16 on a CPU and for a "
        "FILE.onnx, else PyTorch; also for the last two models where the CPU multiplies bf16 itself, since "
        "PyTorch is faster there. "
        "'onnx' prefers a graph that `sidscan export-onnx` made.",
    )
    device: Device = option(
        "auto",
        section="Advanced",
        help="'auto' is CUDA where it works, else the CPU. A device that you name is never replaced. The "
        "last three run exported graphs only.",
    )
    precision: Precision = option(
        "auto",
        section="Advanced",
        help="Of a CLIP encoder. 'auto' is fp16 on CUDA and fp32 on a CPU; bf16 by PyTorch where the CPU "
        "multiplies bf16 itself and a trial shows that scores stay within 0.01. bf16 always takes PyTorch. "
        "'mini' is always fp32.",
    )
    cuda_mode: CudaMode = option(
        "eager",
        section="Advanced",
        help="How PyTorch runs an encoder on CUDA: one kernel after the other, as one recorded graph, or "
        "compiled by torch.compile, which takes a minute first.",
        details="Graphs run the same kernels; compiled ones may move the last digits of scores.",
    )
    batch: int | None = option(
        None,
        section="Advanced",
        minimum=1,
        default_text="40 on a CPU, 160 on CUDA, 40 for exported graphs",
        help="Crops per pass through the encoder; the crops of one image stay together. With a cascade, "
        "images per batch.",
    )
    workers: int | None = option(
        None,
        section="Advanced",
        minimum=1,
        default_text="one per core",
        help="Readers; with isolation each has a process of its own.",
    )
    isolation: bool = option(
        True,
        section="Advanced",
        help="Read images in separate processes, which may hang or crash without harm. --no-isolation reads "
        "them in one process, without limits of time and memory.",
    )
    item_timeout: float = option(
        30.0,
        section="Limits",
        unit="seconds",
        minimum=0.1,
        maximum=1_000_000,
        help="Time allowed to read one image, without fetching it. No limit with --no-isolation.",
    )
    max_members: int = option(
        1_000_000,
        section="Limits",
        minimum=1,
        help="Most members of one archive; a row of the archive says how many more it holds.",
    )
    memory_limit: int = option(
        2048,
        section="Limits",
        unit="MiB",
        minimum=64,
        maximum=1 << 30,
        help="Memory allowed to read one image (Linux only); a plain number is MiB. No limit with "
        "--no-isolation.",
    )
    journal: Path | None = option(
        None,
        section="Output",
        default_text="the first --out + .journal",
        help="Record of the run, from which the same command continues after an interruption.",
        details="None keeps the record in memory.",
    )
    fresh: bool = option(False, section="Output", help="Discard the record of an earlier run and start over.")
    retry_failed: bool = option(
        False, section="Output", help="Read inputs again that failed in an earlier run."
    )
    keep_old: bool = option(
        False,
        section="Output",
        help="Keep scores of an earlier run that another decoder or version of sidscan made; each row says "
        "which. Without this, rows whose format it reads otherwise are scored again.",
    )
    private: bool = option(
        False,
        section="Output",
        help="Leave out of reports and record, now and later, what may identify a person, a device or a "
        "place: host, command line, folder, positions, serial numbers, names, comments, ids, maker notes.",
    )
    look_closer: int = option(
        0,
        section="Output",
        minimum=0,
        maximum=10_000,
        default_text="none",
        help="At the end, score all windows of the N images with the strongest evidence, as in `inspect`; "
        "of copies, of the strongest alone. HTML reports show the maps; rows stay as they are.",
    )
    windows: int = option(
        256,
        section="Output",
        minimum=1,
        maximum=100_000,
        help="Most windows of an image on a closer look. An image that needs more to be covered gets those.",
    )
    in_order: bool = option(
        True,
        help="Read the inputs in their order. Without this, the first of many are spread over all of them, "
        "so that the time that is left can be estimated.",
        details="With a time limit, the order is always mixed.",
    )
    outputs: tuple[Path, ...] = option((), help="Files that this scan writes, which it never reads.")
    output_prefix: str = option("", help="Where this scan writes objects, as s3://BUCKET/RUN/; none is read.")
    command: tuple[str, ...] = option((), help="The command line, for the record of who made the report.")
    origins: tuple[tuple[str, tuple[str, ...], str], ...] = option(
        (), help="Options that the command line did not give, for the record: flag, values, origin."
    )

    def largest_download(self) -> tuple[int, str]:
        """The most bytes that a download may have, and the option that sets this limit."""
        return min((self.max_bytes, "--max-bytes"), (self.max_download, "--max-download"))

    @property
    def uses_object_stores(self) -> bool:
        """Whether anything is read from s3://, gs:// or az://."""
        return bool(self.buckets) or any(map(is_object_url, self.inputs))

    @property
    def has_time_limit(self) -> bool:
        """Whether the scan may stop before all inputs have a result."""
        return self.budget is not None or self.until is not None

    @property
    def sample_plan(self) -> SamplePlan | None:
        """Which images to look at; None for all, in the order of the inputs."""
        if self.sample is None and not self.has_time_limit:
            return None
        return SamplePlan(self.sample, self.sample_seed)

    def limits(self) -> dict[str, object]:
        """What decides, besides an image itself, whether it has a score and what else is read of it."""
        limits = {**self.read_limits(), "isolation": self.isolation}
        if self.isolation:
            limits |= {"item_timeout": self.item_timeout, "memory_limit": self.memory_limit}
        return limits

    def __post_init__(self) -> None:
        """Refuse options that contradict one another, and values out of range.

        Raises:
            UsageError: nothing is named, or an option has an unknown value.
        """
        self._normalise_paths()
        if not self.inputs and not self.lists:
            raise UsageError(
                "nothing was named", "Name a folder, a file or a URL, or read names with --list FILE."
            )
        if self.list_column is not None and (self.null or not self.lists):
            raise UsageError(
                "--list-column is for lists that are tables",
                "Name one with --list FILE, and leave out --null.",
            )
        if self.until is not None and not isinstance(self.until, datetime):
            raise UsageError(
                f"until must be a datetime, not {self.until!r}", "Write datetime(2026, 12, 31, 18)."
            )
        self._check_choices()
        self._check_bounds()
        self._choose_crops()
        if self.allow_truncated and not self.isolation:
            raise UsageError(
                "--allow-truncated needs isolation: truncated images are decoded in separate processes only",
                "Leave out --no-isolation or --allow-truncated.",
            )

    def _normalise_paths(self) -> None:
        """Takes a Path for a name and a name for a Path."""
        if not all(
            isinstance(names, tuple) for names in (self.inputs, self.lists, self.models, self.calibrations)
        ):
            raise UsageError(
                "inputs, lists, models and calibrations are tuples of names", 'Write inputs=("./images",).'
            )
        for bucket in self.buckets:
            check_bucket(bucket)
        for field_name in ("inputs", "lists", "models", "calibrations"):
            names = getattr(self, field_name)
            if not all(isinstance(name, (str, Path)) for name in names):
                raise UsageError(f"{field_name} must be texts or paths, not {names!r}", 'Write "./images".')
            make = Path if field_name == "calibrations" else os.fspath
            object.__setattr__(self, field_name, tuple(make(name) for name in names))
        patterns = (self.exclude,) if isinstance(self.exclude, (str, Path)) else self.exclude
        if not isinstance(patterns, tuple) or not all(isinstance(each, (str, Path)) for each in patterns):
            raise UsageError(f"exclude must be patterns or paths, not {patterns!r}", 'Write ("*.gif",).')
        if self.save_dir is not None:
            object.__setattr__(self, "save_dir", Path(self.save_dir))

    def _choose_crops(self) -> None:
        """With ``fast``, readers cut the centre crop alone."""
        if self.effort == "fast":
            object.__setattr__(self, "crops", "center")
        elif self.effort == "full" and self.crops == "center":
            raise UsageError(
                "--effort full scores all ten crops, --crops center one", "Leave one of the two out."
            )

    def _check_choices(self) -> None:
        choices = (
            ("crops", self.crops, Crops),
            ("effort", self.effort, Effort),
            ("runtime", self.runtime, RuntimeName),
            ("device", self.device, Device),
            ("precision", self.precision, Precision),
            ("cuda_mode", self.cuda_mode, CudaMode),
        )
        for name, value, known in choices:
            if value not in get_args(known):
                raise UsageError(f"{name} can't be {value!r}", f"Choose one of {', '.join(get_args(known))}.")

    def _check_bounds(self) -> None:
        types = {each.name: str(each.type) for each in fields(self)}  # annotations, e.g. "int | None"
        for name, spec in option_specs(self).items():
            value = getattr(self, name)
            if spec.minimum is None or value is None:
                continue
            whole = types[name].startswith("int")
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                kind = "whole number" if whole else "number"
                raise UsageError(f"{name} must be a {kind}, not {value!r}", f"Change {spec.flag_of(name)}.")
            if not spec.admits(value):
                bounds = (
                    f"{spec.bounds()} {spec.unit}".rstrip() if math.isfinite(value) else "a finite number"
                )
                raise UsageError(f"{name} must be {bounds}, not {value}", f"Change {spec.flag_of(name)}.")


def check_bucket(name: str) -> None:
    """Refuse what is not the URL of a bucket.

    Raises:
        UsageError: it is not.
    """
    try:
        is_bucket = not parse_object_url(name).key
    except (ValueError, TypeError):
        is_bucket = False
    if not is_bucket:
        raise UsageError(
            "--bucket takes the URL of a bucket alone", "Write, for example, --bucket s3://photos."
        )
