"""All options of a scan: `ReadLimits`, `FetchOptions`, and those of neither."""
# ruff: noqa: RUF009  (`option` is dataclasses.field with metadata)

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sidscan.config.checks import check_bounds, check_bucket, check_choices
from sidscan.config.choices import CudaMode, Device, Effort, Precision, RuntimeName
from sidscan.config.fetch_options import FetchOptions
from sidscan.config.read_limits import ReadLimits
from sidscan.errors import UsageError
from sidscan.records import SamplePlan
from sidscan.util.object_urls import is_object_url
from sidscan.util.option_specs import documented, option


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
        path_kind="output file",
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
        check_choices(self)
        check_bounds(self)
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
