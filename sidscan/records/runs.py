"""The facts about a run, and the record that reports are rendered from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sidscan.records.from_json import JsonObject, known
from sidscan.records.localization import KeptLocalization, LocalizerRecord
from sidscan.records.results import Counts, ScanResult

if TYPE_CHECKING:
    from sidscan.records.score_map import CloserLook


JOURNAL_FORMAT = "2"
"""Number of the journal's tables; another number means another layout (docs/reference/report-versions.md)."""


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A detector as reports state it: `models.detector_info.DetectorInfo` after JSON.

    Attributes:
        view: what it reads of an image, in words; empty for crops of native pixels.
    """

    name: str
    digest: str
    threshold: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    abstention: Mapping[str, float] = field(default_factory=dict)
    cascade: Mapping[str, float] | None = None
    cautions: tuple[JsonObject, ...] = ()
    view: str = ""

    @classmethod
    def from_dict(cls, raw: JsonObject) -> ModelRecord:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**{**known(cls, raw), "cautions": tuple(raw.get("cautions", ()))})


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """A calibration as reports state it: `scoring.calibration.Calibration` without its logits.

    Attributes:
        format: of the calibration file.
        sha256: of the calibration file, hex.
        effort: under which it was made, as in `RunHeader`.
        differences: what computed the calibration's logits otherwise than this run does.
    """

    format: str
    model: str
    weights: Mapping[str, str]
    crops: str
    runtime: str
    device: str
    precision: str
    decoder: str
    sidscan_version: str
    created: str
    unreadable: int
    skipped: int
    duplicates: int
    target_fpr: float
    pictures: int
    threshold_logit: float
    sha256: str
    effort: str = "full"
    differences: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, raw: JsonObject) -> CalibrationRecord:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**{**known(cls, raw), "differences": tuple(raw.get("differences", ()))})


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """Which images a run is to look at.

    Attributes:
        size: how many; None for as many as the time allows.
        seed: another seed chooses other images.
    """

    size: int | None
    seed: int


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A run that may look at a part of its images: which part (`journal.turns` has the rule).

    Attributes:
        size: how many images were asked for; None for as many as the time allowed.
        seed: of the choice.
        images: how many there are to choose from: inputs less those that are not read.
        folders: in how many folders (of URLs: hosts) they lie.
        mixed: whether they are taken from all folders in proportion, and not in the order of the inputs.
    """

    size: int | None
    seed: int
    images: int
    folders: int
    mixed: bool = True

    @classmethod
    def from_dict(cls, raw: JsonObject) -> SampleRecord:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**known(cls, raw))

    def __str__(self) -> str:
        """In words, e.g. ``a sample of 500 of 102331 images, seed 0, by folder``."""
        if not self.mixed:
            return f"as many of {self.images} images as time allows, in the order of the inputs"
        size = ", as large as time allows," if self.size is None else f" of {self.size}"
        return f"a sample{size} of {self.images} images, seed {self.seed}, by folder"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One start of a run (`sidscan.custody`). What is unknown or withheld is None.

    Attributes:
        started, ended: ISO 8601, UTC. A session that was killed has no end.
        ending: ``finished``, ``sampled`` (every image of the sample has a result), ``stopped`` (its time was
            up) or ``interrupted``.
        findings: number of results made in this session.
        options: what was not given on the command line but by a variable or a file: by flag, the values and
            their origin.
        command, folder, host: the command line, the current folder, the host's name.
        limits: the options that limit what an image may be and take (`ScanConfig.limits`).
        resources: threads, batches and devices used; they change scores in the last digits at most.
    """

    started: str | None = None
    ended: str | None = None
    ending: str | None = None
    findings: int | None = None
    command: tuple[str, ...] | None = None
    folder: str | None = None
    host: str | None = None
    sidscan_version: str | None = None
    platform: str | None = None
    python: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, object] = field(default_factory=dict)
    resources: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, JsonObject] | None = None

    @classmethod
    def from_dict(cls, raw: JsonObject) -> SessionRecord:
        """The inverse of `dataclasses.asdict`, after JSON."""
        command = raw.get("command")
        return cls(**{**known(cls, raw), "command": None if command is None else tuple(command)})


@dataclass(frozen=True, slots=True)
class RunHeader:
    """The facts about a run as a whole; field names are keys of the journal and of JSON reports.

    Attributes:
        format: number of the journal's tables, not of the report.
        started, finished: ISO 8601, UTC; a run that is not complete has no end.
        model_choice: why these models: ``asked for``, ``default``, or ``fallback: `` and the reason.
        model_provenance: who vouches for each weights file, e.g. ``mini: bundled``.
        precision_choice: why a precision was chosen that nobody requested; else empty.
        graph: sha256 of the exported graph; empty without one.
        crops: ``ten`` or ``center``.
        effort: ``normal`` where a cascade chose the crops, ``full`` where all were scored, ``fast`` with the
            centre alone.
        inputs, lists: as given; user names and passwords of URLs are hidden.
        calibrations: by model name; empty unless requested.
        reliability: by model name, what its card says of how often it is right (`models.reliability`).
        private: whether what `reports.private` names is left out; once set, it stays set.
        sample: which part of the images the run looks at; None for all.
        listing_complete: whether all inputs were listed; False of a run that ended before. Its counts are
            of the inputs that were listed until then.
        localizer: what made maps of some of its images; None where nobody asked for maps.
        sessions: every start of the run, the latest last.
    """

    sidscan_version: str = ""
    format: str = JOURNAL_FORMAT
    started: str | None = None
    models: tuple[ModelRecord, ...] = ()
    model_choice: str = ""
    model_provenance: str = ""
    runtime: str = ""
    device: str = ""
    precision: str = ""
    precision_choice: str = ""
    graph: str = ""
    decoder: str = ""
    crops: str = "ten"
    effort: str = "full"
    inputs: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    calibrations: Mapping[str, CalibrationRecord] = field(default_factory=dict)
    reliability: Mapping[str, JsonObject] = field(default_factory=dict)
    private: bool = False
    sample: SampleRecord | None = None
    listing_complete: bool = True
    localizer: LocalizerRecord | None = None
    finished: str | None = None
    sessions: tuple[SessionRecord, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """As JSON can hold it, in the order of a report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: JsonObject) -> RunHeader:
        """The inverse of `to_dict`; another version may have written fewer keys or more."""
        nested = {
            "models": tuple(ModelRecord.from_dict(model) for model in raw.get("models", ())),
            "calibrations": {
                name: CalibrationRecord.from_dict(calibration)
                for name, calibration in raw.get("calibrations", {}).items()
            },
            "sample": SampleRecord.from_dict(sample) if (sample := raw.get("sample")) else None,
            "localizer": LocalizerRecord.from_dict(made) if (made := raw.get("localizer")) else None,
            "sessions": tuple(SessionRecord.from_dict(session) for session in raw.get("sessions", ())),
        }
        names = {name: tuple(raw.get(name, ())) for name in ("inputs", "lists")}
        return cls(**{**known(cls, raw), **nested, **names})


@dataclass(frozen=True, slots=True)
class Selection:
    """What a report shows of a run, where that is not all in the order of the inputs.

    Attributes:
        only: conditions that all rows meet, as given, e.g. ``evidence>=moderate``.
        sort: the column by which they are ordered, ``-`` in front for the highest first; ``evidence`` is the
            strongest first, ``inputs`` the order of the inputs.
        top: the most rows that are shown; None for all.
        shown: rows that are shown.
        total: results of the run.
    """

    only: tuple[str, ...]
    sort: str
    top: int | None
    shown: int
    total: int

    def __str__(self) -> str:
        """In words, e.g. ``12 of 345 results: only score>=0.8; sorted by -score; at most 20``."""
        conditions = f"only {' and '.join(self.only)}" if self.only else ""
        top = "" if self.top is None else f"at most {self.top}"
        how = "; ".join(filter(None, (conditions, f"sorted by {self.sort}", top)))
        return f"{self.shown} of {self.total} {'result' if self.total == 1 else 'results'}: {how}"


class RunRecord(Protocol):
    """What reports are rendered from; `sidscan.journal.Journal` is one."""

    def header(self) -> RunHeader:
        """The facts about the run."""
        ...

    def counts(self) -> Counts:
        """How many inputs there are, and how they ended."""
        ...

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        ...

    def output_digests(self, out: Path) -> Collection[str] | None:
        """The sha256 of what this run last wrote to ``out``, hex; None if the record does not say."""
        ...

    def expect_output(self, out: Path, sha256: str) -> None:
        """Note, right before it happens, that ``out`` is replaced by bytes with this sha256."""
        ...

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Note that ``out`` was replaced by bytes with this sha256."""
        ...

    def ranked(self) -> Iterator[ScanResult]:
        """All results, the strongest evidence first, inputs without a score last."""
        ...

    def crop(self, sha256: str, view: str) -> bytes | None:
        """A view of an image at full size (WebP, 224 x 224), as it lies in the image; None if not kept."""
        ...

    def thumbnail(self, sha256: str) -> bytes | None:
        """The thumbnail (WebP) of an image's bytes; None if there is none."""
        ...

    def second_image(self, sha256: str) -> bytes | None:
        """The preview (WebP) in an image's bytes that shows another image; None if there is none."""
        ...

    def closer_look(self, sha256: str) -> CloserLook | None:
        """All windows of an image with these bytes, scored; None if nobody looked closer."""
        ...

    def localization(self, sha256: str) -> KeptLocalization | None:
        """What a localizer made of an image with these bytes; None if nobody asked one."""
        ...

    def selection(self) -> Selection | None:
        """What is shown of the run; None where that is all, in the order of the inputs."""
        ...


def num_rows(record: RunRecord) -> int:
    """How many rows a report of this record has."""
    if selection := record.selection():
        return selection.shown
    counts = record.counts()
    return counts.enumerated - counts.pending
