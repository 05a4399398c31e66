"""The values that pass between modules: Item -> DecodedImage | Failure -> ScanResult, and RunHeader.

All are frozen; none holds a file or a tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import DataclassInstance
    from numpy.typing import NDArray

    from sidscan.score_map import CloserLook

JOURNAL_FORMAT = "2"
"""Number of the journal's tables; another number means another layout (docs/reference/report-versions.md)."""

EXCLUDED_PREFIX = "excluded by --exclude "
"""How the reason of a row that --exclude leaves out begins."""

CONFLICT = "conflict"
"""The mark of an image on which people's marks differ."""

INCONCLUSIVE = "inconclusive"
EVIDENCE_WORDS = ("very strong", "strong", "moderate", "weak", INCONCLUSIVE)
"""Words of evidence, the strongest first; what is inconclusive comes last, whatever its score."""
_STRENGTH = {word: len(EVIDENCE_WORDS) - position for position, word in enumerate(EVIDENCE_WORDS)}
_MOST_LOGIT = 500.0  # above and below, a score is 1 or 0 in any precision

_RENAMED_ERRORS = {"UnsupportedPicture": "UnsupportedImage"}  # class names of 0.1.0 -> of today
JsonObject = Mapping[str, Any]
"""What `json.loads` makes of a JSON object."""


class Kind(str, Enum):
    """What an input names."""

    FILE = "file"
    URL = "url"


class Status(str, Enum):
    """How an input ended. Every input gets exactly one of these; all but the first two count as failed."""

    SCORED = "scored"
    SKIPPED = "skipped"
    FAILED = "failed"  # it can't be read, or it holds no image
    TIMEOUT = "timeout"  # reading or fetching it took too long
    MEMORY_LIMIT = "memory_limit"
    CRASHED = "crashed"  # the process that read it ended
    TRUNCATED = "truncated"  # a part of its pixels is missing
    TOO_LARGE = "too_large"  # these four: beyond a limit (images.limits)
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG = "too_long"
    TOO_NARROW = "too_narrow"
    REFUSED = "refused"  # sidscan does not connect to its address, or its server forbids the fetch

    @property
    def failed(self) -> bool:
        """Whether an input that should have a score has none."""
        return self not in (Status.SCORED, Status.SKIPPED)


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
        name: the path or URL, as given or as the walk found it; undecodable bytes as surrogate escapes.
        fingerprint: size and modification time of a file when it was listed; shows later whether it changed.
        skip: why the input is not read; empty for an image.
    """

    name: str
    kind: Kind = Kind.FILE
    fingerprint: str = ""
    skip: str = ""


@dataclass(frozen=True, slots=True)
class Exif:
    """The EXIF data of an image. ``tags`` holds all of it, the other fields are columns of a report.

    Attributes:
        original_date: as the file states it.
        original_date_iso: the same as ISO 8601, with an offset from UTC where EXIF states one; None unless it
            is a date.
        gps_date_iso: when the position was measured, ISO 8601, UTC.
        unread_tags: number of tags that are left out because their values can't be read.
    """

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    original_date: str | None = None
    software: str | None = None
    latitude: float | None = None  # degrees, north positive
    longitude: float | None = None  # degrees, east positive
    orientation: int | None = None  # 1..8, EXIF 2.3 tag 0x0112
    tags: JsonObject = field(default_factory=dict)
    unread_tags: int = 0
    original_date_iso: str | None = None
    gps_date_iso: str | None = None


PROVENANCE_WORDS = (
    *("ai_generated", "ai_edited", "ai_hint", "held_elsewhere", "unreadable", "no_ai_claim", "none"),
)
"""What a file says of its own origin, in one word; of several markers, the first of these counts."""
PROVENANCE_STRENGTHS = ("signed_trusted", "signed_untrusted", "signed_broken", "not_checked", "plain", "weak")
"""How well a marker is backed, the strongest first; ``not_checked`` is a signature that nobody verified."""


@dataclass(frozen=True, slots=True)
class Marker:
    """A statement about a file's origin, found in its metadata. All text is as stated: anybody can write it.

    Attributes:
        id: which one it is; docs/reference/provenance.md has a table.
        verdict: one of `PROVENANCE_WORDS`: what it says.
        strength: one of `PROVENANCE_STRENGTHS`; empty for a marker that claims nothing.
        container: where it stands, e.g. ``PNG tEXt``.
        key, value: field and content; long ones are cut.
        offset: of the block that holds it, from the start of the file, bytes.
        says: software or organisation that is named as the maker; empty if none is.
        signer: organisation and name in the certificate of a C2PA claim.
    """

    id: str
    verdict: str
    strength: str
    container: str
    key: str
    value: str
    offset: int
    says: str = ""
    signer: str = ""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What is right about the C2PA manifests of a file (`provenance.signatures`); None where nothing says.

    Attributes:
        state: the verifier's own word: ``Trusted``, ``Valid`` or ``Invalid``, which is not "tampered".
        bytes_unchanged: whether the file's bytes are those that were signed.
        signature_good: whether the signatures fit the claims.
        signer_listed: whether the signer's certificate leads to a list, at the time of signing.
        signed_at: time of the active signature by its time stamp, ISO 8601.
        codes: what failed, in the words of C2PA.
        error: why nothing was verified; empty if it was.
    """

    state: str = ""
    bytes_unchanged: bool | None = None
    signature_good: bool | None = None
    signer_listed: bool | None = None
    signed_at: str | None = None
    codes: tuple[str, ...] = ()
    error: str = ""

    @property
    def strength(self) -> str:
        """One of `PROVENANCE_STRENGTHS`."""
        if self.bytes_unchanged is False or self.signature_good is False:
            return "signed_broken"
        if self.error or self.signature_good is None:
            return "not_checked"
        listed = self.signer_listed and self.bytes_unchanged
        return "signed_trusted" if listed else "signed_untrusted"

    @classmethod
    def from_dict(cls, raw: JsonObject) -> SignatureCheck:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**{**_known(cls, raw), "codes": tuple(raw.get("codes", ()))})


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a file says of its own origin.

    Attributes:
        verdict: one of `PROVENANCE_WORDS`.
        strength: one of `PROVENANCE_STRENGTHS`, of the best backed marker for the verdict; None without one.
        checked: what verified signatures; empty if nothing did.
        markers: all that were found.
        byline, credit, source, caption, copyright: of IPTC, from XMP or else IIM; None if not stated.
        signature: of its C2PA manifests; None without a verifier, and where there is no manifest.
    """

    verdict: str = "none"
    strength: str | None = None
    checked: str = ""
    markers: tuple[Marker, ...] = ()
    byline: str | None = None
    credit: str | None = None
    source: str | None = None
    caption: str | None = None
    copyright: str | None = None
    signature: SignatureCheck | None = None

    @property
    def decisive(self) -> tuple[Marker, ...]:
        """The markers that the verdict rests on."""
        return tuple(marker for marker in self.markers if marker.verdict == self.verdict)

    @property
    def by(self) -> tuple[str, ...]:
        """Ids of all markers, those that the verdict rests on first."""
        return tuple(dict.fromkeys(marker.id for marker in (*self.decisive, *self.markers)))

    @property
    def says(self) -> tuple[str, ...]:
        """Who is named as the maker by the markers that the verdict rests on."""
        return tuple(dict.fromkeys(marker.says for marker in self.decisive if marker.says))

    @classmethod
    def from_dict(cls, raw: JsonObject) -> Provenance:
        """The inverse of `dataclasses.asdict`, after JSON."""
        markers = tuple(Marker(**_known(Marker, marker)) for marker in raw.get("markers", ()))
        values: dict[str, Any] = {"markers": markers}
        if signature := raw.get("signature"):
            values["signature"] = SignatureCheck.from_dict(signature)
        return cls(**{**_known(cls, raw), **values})


@dataclass(frozen=True, slots=True)
class Response:
    """How a server answered a URL; most of it may be missing if the fetch failed.

    Attributes:
        final_url: the last URL requested.
        redirects: the URLs that led to ``final_url``, in order.
        http_status: status code of the last answer, RFC 9110.
        address: IP address that the last request connected to; the proxy's if there was one.
        fetched_at: time of the last request, ISO 8601, UTC.
        headers: the response headers listed in fetch.client.RECORDED_HEADERS, names in lower case.
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
    """What is known of an image apart from its score; some may be missing if reading failed.

    Attributes:
        sha256: of the original bytes, hex.
        flags: remarks on how the pixels were read, e.g. ``padded`` (images.decode lists them).
        response: how the server answered a URL; None for files.
        width, height: of the photograph, also where only a preview of it was read; None if not known.
        jpeg_quality: quality, 1 to 100, of the quantisation tables of a JPEG file (`images.jpeg_quality`).
        modified_at: when a file was last modified, ISO 8601, UTC; None for URLs, whose server may say it
            (``response``).
        preview_width, preview_height: of what was scored instead of the photograph (flag ``preview``).
        lossless: whether the file keeps every pixel value as it was saved; None where that is not known
            (`images.lossless`).
        provenance: what the file says of its own origin; None where nobody looked.
        perceptual_hash: of what the image shows (`images.perceptual_hash`), 64 hex digits; empty where it has
            too little detail, None where no hash was made.
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
    modified_at: str | None = None
    preview_width: int | None = None
    preview_height: int | None = None
    lossless: bool | None = None
    perceptual_hash: str | None = None
    provenance: Provenance | None = None

    @property
    def scored_size(self) -> tuple[int | None, int | None]:
        """Width and height of the pixels that were decoded."""
        return self.preview_width or self.width, self.preview_height or self.height

    @classmethod
    def from_dict(cls, raw: JsonObject) -> ImageInfo:
        """The inverse of `dataclasses.asdict`, after JSON."""
        exif = Exif(**_known(Exif, raw["exif"]))
        values = {**_known(cls, raw), "flags": tuple(raw["flags"]), "exif": exif}
        if provenance := raw.get("provenance"):
            values["provenance"] = Provenance.from_dict(provenance)
        if response := raw.get("response"):
            redirects = tuple(response["redirects"])
            values["response"] = Response(**{**_known(Response, response), "redirects": redirects})
        return cls(**values)


CropRef = tuple[int, bool]
"""The index of a crop, and whether the model sees its mirror image (left for right) instead."""


@dataclass(frozen=True, slots=True)
class CropSet:
    """The crops of an image that a model sees. Mirror images are named, not stored: devices make their own.

    Attributes:
        crops: (k, 224, 224, 3) uint8 RGB, all different, none the mirror image of another.
        order: the crop of each view (ten views, or one); views of the same pixels have the same `CropRef`.
    """

    crops: NDArray[np.uint8]
    order: tuple[CropRef, ...]

    @classmethod
    def plain(cls, crops: NDArray[np.uint8]) -> CropSet:
        """Every crop of (k, 224, 224, 3) once, not mirrored."""
        return cls(crops, tuple((index, False) for index in range(len(crops))))

    def pixels(self) -> NDArray[np.uint8]:
        """All views (views, 224, 224, 3) in order; mirrored where ``order`` says so."""
        pixels: NDArray[np.uint8] = self.crops[[index for index, _ in self.order]]
        mirrored = [mirrored for _, mirrored in self.order]
        pixels[mirrored] = pixels[mirrored][:, :, ::-1]
        return pixels


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An image, read and ready to be scored."""

    item: Item
    facts: ImageInfo
    crop_set: CropSet
    thumbnail: bytes = b""  # WebP (images.thumbnails); empty unless asked for
    pixels: NDArray[np.uint8] | None = None  # (height, width, 3) RGB, all of them; None unless asked for


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that could not be read, or was skipped. It is a value, so that no input is ever lost."""

    item: Item
    stage: Stage
    error: str  # class name
    message: str
    facts: ImageInfo = ImageInfo()
    status: Status = Status.FAILED


def strength(evidence: str, logit: float) -> float:
    """Orders scores, also those of several models: by the word of evidence, then by logit."""
    return 2 * _MOST_LOGIT * _STRENGTH.get(evidence, 0) + max(-_MOST_LOGIT, min(logit, _MOST_LOGIT))


@dataclass(frozen=True, slots=True)
class Score:
    """One model's score of one image.

    Attributes:
        digest: identifies the model's weights (`RunHeader.models` has the full hashes).
        threshold: score at which evidence stops being weak: the calibration's, else the model card's.
        score: sigmoid of ``logit``; the model's P(synthetic), calibrated only if its card says so.
        logit: mean over the views (RINE paper, section 5.8).
        evidence: ``score`` in words, relative to ``threshold``; or ``inconclusive``.
        crop_min, crop_max, crop_std: lowest, highest and standard deviation of the scores of single views.
        p_value: share of camera images that score at least as high; None without a calibration.
        highest_crop: where the view with the highest score lies, e.g. ``top left``
            (`images.crops.VIEW_NAMES`).
        percentile: share, in percent, of the photographs of the model's card that have a lower logit; None
            where its card does not say.
        inconclusive: why ``evidence`` is ``inconclusive`` (`sidscan.models.abstention`); else empty.
        cautions: kinds, of those that the model's card names for their many false positives, that the image
            looks like (`sidscan.models.cautions`). Score and evidence do not depend on them.
        crop_scores: score of each view, in the order of `images.crops.VIEW_NAMES`, to four decimals; of one
            view, that of the centre.
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
    highest_crop: str | None = None
    percentile: float | None = None
    cautions: tuple[str, ...] = ()
    crop_scores: tuple[float, ...] = ()

    @property
    def strength(self) -> float:
        """Orders scores (`strength`)."""
        return strength(self.evidence, self.logit)

    @classmethod
    def from_dict(cls, raw: JsonObject) -> Score:
        """The inverse of `dataclasses.asdict`, after JSON."""
        tuples = {name: tuple(raw.get(name, ())) for name in ("inconclusive", "cautions", "crop_scores")}
        return cls(**{**raw, **tuples})


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person stands by.

    Attributes:
        mark: ``suspicious``, ``cleared`` or ``later``; empty where they wrote only a note.
        by: who decided.
        at: when, ISO 8601, UTC.
        note: what they wrote; may be empty.
        settles: whether it replaced what others had decided before.
        copy_of: name that the image had whose copy this one is, as a person said; None where the decision was
            made of these bytes.
    """

    mark: str
    by: str
    at: str
    note: str = ""
    settles: bool = False
    copy_of: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What people decided of an image.

    Attributes:
        mark: ``suspicious``, ``cleared`` or ``later``; ``conflict`` where people's marks differ; empty where
            there is only a note.
        by: who decided; with their marks in a conflict.
        at: when the last of them did, ISO 8601, UTC.
        note: what they wrote; may be empty.
        decisions: of each of them.
    """

    mark: str
    by: str
    at: str
    note: str = ""
    decisions: tuple[Decision, ...] = ()

    @classmethod
    def from_dict(cls, raw: JsonObject) -> Mark:
        """The inverse of `dataclasses.asdict`, after JSON."""
        decisions = tuple(Decision(**_known(Decision, each)) for each in raw.get("decisions", ()))
        return cls(**{**_known(cls, raw), "decisions": decisions})

    @classmethod
    def of_decisions(cls, decisions: tuple[Decision, ...]) -> Mark | None:
        """The decisions on an image as one; None if there are none."""
        if not decisions:
            return None
        marks = sorted({each.mark for each in decisions if each.mark})
        if len(marks) > 1:
            by = "; ".join(f"{each.by}: {each.mark}" for each in decisions if each.mark)
        else:
            by = ", ".join(each.by for each in decisions)
        alone = len(decisions) == 1
        notes = (each.note if alone else f"{each.by}: {each.note}" for each in decisions if each.note)
        return cls(
            mark=CONFLICT if len(marks) > 1 else "".join(marks),
            by=by,
            at=max(each.at for each in decisions),
            note="; ".join(notes),
            decisions=decisions,
        )


@dataclass(frozen=True, slots=True)
class Copies:
    """How an image relates to others of its run.

    Attributes:
        same_as: name of the first input that has the same bytes, of those with a score if any has one; None
            for that one, and without copies.
        group: name of the image with the strongest evidence of those that show the same.
        distance: Hamming distance, bits, of its perceptual hash from that image's.
        transform: what was done to that image besides, e.g. ``mirrored``; None if nothing.
        count: how many inputs show the same.
        score_min, score_max: the lowest and the highest of their scores by the run's first model; None if
            none was scored.
    """

    same_as: str | None = None
    group: str | None = None
    distance: int | None = None
    transform: str | None = None
    count: int | None = None
    score_min: float | None = None
    score_max: float | None = None


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One row of the report.

    Attributes:
        scanned_at: when the row was made, ISO 8601, UTC.
        stage, error, message: where, with which error class and why the input has no score; None if scored.
        scores: one per requested model, in that order; empty unless ``status`` is scored.
        views: number of views averaged: 10, 5 or 1; 0 unless scored. Crops that show the same pixels count
            as often as they occur, though they are computed once.
        share_scored: share of the image's pixels that lie in one of these views; None unless scored.
        decoder: the library that decodes images of this format, with its version; None if there is none.
        sidscan_version: of the sidscan that made the row; a later one may have kept it.
        mark, copies: joined when a report is written (`sidscan.review.annotated`); a journal never holds
            them.
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
    share_scored: float | None = None
    decoder: str | None = None
    sidscan_version: str | None = None
    mark: Mark | None = None
    copies: Copies | None = None

    def agrees_with(self, look: CloserLook) -> bool:
        """Whether a closer look has the models and thresholds of the scores."""
        return [(score.model, score.digest, score.threshold) for score in self.scores] == [
            (each.model, each.digest, each.threshold) for each in look.maps
        ]

    @property
    def strongest(self) -> Score | None:
        """The score by which an image is ranked and shown: of several models, the strongest evidence."""
        if len(self.scores) < 2:  # reports ask often
            return self.scores[0] if self.scores else None
        return max(self.scores, key=lambda score: score.strength)

    @classmethod
    def from_dict(cls, raw: JsonObject) -> ScanResult:
        """The inverse of `dataclasses.asdict`, after JSON; another version may have written it."""
        values = {
            "kind": Kind(raw["kind"]),
            "status": Status(raw["status"]),
            "stage": Stage(raw["stage"]) if raw["stage"] else None,
            "error": _RENAMED_ERRORS.get(raw["error"], raw["error"]),
            "facts": ImageInfo.from_dict(raw["facts"]),
            "scores": tuple(Score.from_dict(_known(Score, score)) for score in raw["scores"]),
            "mark": Mark.from_dict(mark) if (mark := raw.get("mark")) else None,
            "copies": Copies(**_known(Copies, copies)) if (copies := raw.get("copies")) else None,
        }
        return cls(**{**_known(cls, raw), **values})

    @classmethod
    def of_failure(cls, failure: Failure, scanned_at: str) -> ScanResult:
        """The row of an input that has no score."""
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
class Counts:
    """How the inputs of a run ended; ``enumerated`` is the sum of the others when a run is complete."""

    enumerated: int
    scored: int
    failed: int
    skipped: int

    @property
    def pending(self) -> int:
        """Inputs without a result, as after an interruption."""
        return self.enumerated - self.scored - self.failed - self.skipped


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A detector as reports state it: `models.detector_info.DetectorInfo` after JSON."""

    name: str
    digest: str
    threshold: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    abstention: Mapping[str, float] = field(default_factory=dict)
    cascade: Mapping[str, float] | None = None
    cautions: tuple[JsonObject, ...] = ()

    @classmethod
    def from_dict(cls, raw: JsonObject) -> ModelRecord:
        """The inverse of `dataclasses.asdict`, after JSON."""
        return cls(**{**_known(cls, raw), "cautions": tuple(raw.get("cautions", ()))})


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
        return cls(**{**_known(cls, raw), "differences": tuple(raw.get("differences", ()))})


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One start of a run (`sidscan.custody`). What is unknown or withheld is None.

    Attributes:
        started, ended: ISO 8601, UTC. A session that was killed has no end.
        ending: ``finished`` or ``interrupted``.
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
        return cls(**{**_known(cls, raw), "command": None if command is None else tuple(command)})


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
            "sessions": tuple(SessionRecord.from_dict(session) for session in raw.get("sessions", ())),
        }
        names = {name: tuple(raw.get(name, ())) for name in ("inputs", "lists")}
        return cls(**{**_known(cls, raw), **nested, **names})


@cache
def _field_names(record: type[DataclassInstance]) -> frozenset[str]:
    return frozenset(column.name for column in fields(record))


def _known(record: type[DataclassInstance], raw: JsonObject) -> dict[str, Any]:
    """The entries that are fields of a record; another version may have written more."""
    names = _field_names(record)
    return {name: value for name, value in raw.items() if name in names}


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

    def closer_look(self, sha256: str) -> CloserLook | None:
        """All windows of an image with these bytes, scored; None if nobody looked closer."""
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
