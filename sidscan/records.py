"""The values that travel: Item -> DecodedImage | Failure -> ScanResult.

All frozen; none holds a file or a tensor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Kind(str, Enum):
    """What an input names."""

    FILE = "file"
    URL = "url"


class Status(str, Enum):
    """How an input ended. Every input ends in exactly one of these; all but the first two count as failed."""

    SCORED = "scored"
    SKIPPED = "skipped"
    FAILED = "failed"  # it can't be read, or there is no picture in it
    TIMEOUT = "timeout"  # it was not read, or fetched, in time
    MEMORY_LIMIT = "memory_limit"
    CRASHED = "crashed"  # the process that read it ended
    TRUNCATED = "truncated"  # a part of its pixels is missing
    TOO_LARGE = "too_large"  # these four: beyond a limit (images.limits)
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG = "too_long"
    TOO_NARROW = "too_narrow"
    REFUSED = "refused"  # an address that is not connected to, or a server that forbids it

    @property
    def failed(self) -> bool:
        """Whether an input that should have a score has none."""
        return self not in (Status.SCORED, Status.SKIPPED)


_OF_LIMITS = {"truncated", "metadata_limit", "metadata_timeout", "metadata_crashed"}  # flags


class Stage(str, Enum):
    """Where an input failed or was left out."""

    LIST = "list"
    READ = "read"
    FETCH = "fetch"
    DECODE = "decode"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Item:
    """One input: a file or a URL.

    Attributes:
        name: the path or URL, as given or as walked to; undecodable bytes as surrogate escapes.
        fingerprint: size and modification time of a file when it was listed; tells later whether it changed.
        skip: why the input is not looked at; empty for a picture.
    """

    name: str
    kind: Kind = Kind.FILE
    fingerprint: str = ""
    skip: str = ""


@dataclass(frozen=True, slots=True)
class Exif:
    """The EXIF context of a picture. ``tags`` holds all of it, the other fields the columns of a report."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    original_date: str | None = None
    software: str | None = None
    latitude: float | None = None  # degrees, north positive
    longitude: float | None = None  # degrees, east positive
    orientation: int | None = None  # 1..8, EXIF 2.3 tag 0x0112
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """How a URL was answered; a fetch that failed may lack much of it.

    Attributes:
        final_url: the last URL asked for, after ``redirects``: the URLs that led there, in order.
        http_status: of the last answer, RFC 9110.
        address: IP address that was connected to for it; a proxy's where one was used.
        fetched_at: when it was asked for, ISO 8601, UTC.
        headers: those of the answer that matter (fetch.client.HEADERS), names in lower case.
        saved_as: file of ``--save-dir`` that holds the bytes.
    """

    final_url: str
    redirects: tuple[str, ...] = ()
    http_status: int | None = None
    address: str | None = None
    fetched_at: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    saved_as: str | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of a picture apart from its score; a failed one may lack some.

    Attributes:
        sha256: of the original bytes, hex.
        flags: remarks on how the pixels were read, e.g. ``padded`` (images.decode lists them).
        jpeg_quality: of a JPEG file, the quality, 1 to 100, of its tables (`images.jpeg_quality`).
        response: how a URL was answered; None for files.
    """

    bytes: int | None = None
    sha256: str | None = None
    format: str | None = None
    width: int | None = None  # pixels, as stored: EXIF orientation is not applied
    height: int | None = None  # pixels
    flags: tuple[str, ...] = ()
    exif: Exif = Exif()
    response: Response | None = None
    jpeg_quality: int | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ImageInfo:
        """The inverse of `dataclasses.asdict`, after JSON."""
        known = {**raw, "flags": tuple(raw["flags"]), "exif": Exif(**raw["exif"])}
        if response := raw.get("response"):
            known["response"] = Response(**{**response, "redirects": tuple(response["redirects"])})
        return cls(**known)


CropRef = tuple[int, bool]
"""The index of a crop, and whether its mirror image (left for right) is looked at instead of it."""


@dataclass(frozen=True, slots=True)
class CropSet:
    """What a model looks at in a picture. Mirror images are named, not stored: devices make their own.

    Attributes:
        crops: (k, 224, 224, 3) uint8 RGB, all different, none the mirror image of another.
        order: of each view (ten, or one) its crop; views of the same pixels are the same `View`.
    """

    crops: NDArray[np.uint8]
    order: tuple[CropRef, ...]

    @classmethod
    def plain(cls, crops: NDArray[np.uint8]) -> CropSet:
        """Every crop (k, 224, 224, 3) once, as it is."""
        return cls(crops, tuple((index, False) for index in range(len(crops))))

    def pixels(self) -> NDArray[np.uint8]:
        """All views (views, 224, 224, 3), mirrored where they are, in their order."""
        pixels: NDArray[np.uint8] = self.crops[[index for index, _ in self.order]]
        mirrored = [mirrored for _, mirrored in self.order]
        pixels[mirrored] = pixels[mirrored][:, :, ::-1]
        return pixels


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A picture, read and ready to be scored."""

    item: Item
    facts: ImageInfo
    views: CropSet


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be read, or was left out. A value, so that no input is ever lost."""

    item: Item
    stage: Stage
    error: str  # class name
    message: str
    facts: ImageInfo = ImageInfo()
    status: Status = Status.FAILED


@dataclass(frozen=True, slots=True)
class Score:
    """What one model says of one picture.

    Attributes:
        logit: mean over the views (paper, section 5.8).
        score: sigmoid of ``logit``; the model's P(synthetic), calibrated only where its card says so.
        evidence: ``score`` in words, relative to the model's threshold; or ``inconclusive``.
        threshold: score at which evidence stops being weak: the calibration's, else the model card's.
        crop_min, crop_max, crop_std: spread of the views' own scores.
        p_value: share of camera pictures that score as high, as calibrated; None without a calibration.
        inconclusive: why evidence is that (`sidscan.models.abstention`); else empty.
    """

    model: str
    digest: str
    threshold: float
    score: float
    logit: float
    evidence: str
    crop_min: float
    crop_max: float
    crop_std: float
    p_value: float | None = None
    inconclusive: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Score:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**{**raw, "inconclusive": tuple(raw.get("inconclusive", ()))})


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One row of the report.

    Attributes:
        scores: one per model asked for, in that order; empty unless ``status`` is scored.
        views: number of views averaged; 0 unless scored.
        scanned_at: when the row was made, ISO 8601, UTC.
    """

    name: str
    kind: Kind
    status: Status
    facts: ImageInfo
    scanned_at: str
    stage: Stage | None = None
    error: str | None = None
    message: str | None = None
    scores: tuple[Score, ...] = ()
    views: int = 0

    @classmethod
    def of_failure(cls, failure: Failure, scanned_at: str) -> ScanResult:
        """The row of a picture that has no score."""
        return cls(
            name=failure.item.name,
            kind=failure.item.kind,
            status=failure.status,
            facts=failure.facts,
            scanned_at=scanned_at,
            stage=failure.stage,
            error=failure.error,
            message=failure.message,
        )


@dataclass(frozen=True, slots=True)
class ReuseKeys:
    """Digests of what a finding depends on besides the picture's bytes; it holds while its own is the same.

    Attributes:
        score: of what makes a score.
        limits: of that, and of what decides whether there is a score, and what else is read.
        urls: of what makes a score, and of what may be fetched.
    """

    score: str
    limits: str
    urls: str

    def key_for(self, result: ScanResult) -> str:
        """The one that a result depends on."""
        if result.status is not Status.SCORED or not _OF_LIMITS.isdisjoint(result.facts.flags):
            return self.limits
        return self.urls if result.kind is Kind.URL else self.score


@dataclass(frozen=True, slots=True)
class Counts:
    """How the inputs of a run ended; ``enumerated`` is the sum of the others when a run is complete."""

    enumerated: int
    scored: int
    failed: int
    skipped: int

    @property
    def pending(self) -> int:
        """Inputs without a finding, as after an interruption."""
        return self.enumerated - self.scored - self.failed - self.skipped


class RunRecord(Protocol):
    """What a report is rendered from; the journal is one."""

    def header(self) -> dict[str, Any]:
        """Facts about the run."""
        ...

    def counts(self) -> Counts:
        """How many inputs there are, and how they ended."""
        ...

    def findings(self) -> Iterator[ScanResult]:
        """All findings, in the order of the inputs."""
        ...
