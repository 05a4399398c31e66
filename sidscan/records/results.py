"""What came of an input: one `ScanResult`, with its scores, the marks of people and its copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidscan.records.from_json import JsonObject, known
from sidscan.records.images import Failure, ImageInfo
from sidscan.records.inputs import Kind, Stage, Status
from sidscan.records.localization import Localization

if TYPE_CHECKING:
    from sidscan.records.score_map import CloserLook


CONFLICT = "conflict"
"""The mark of an image on which people's marks differ."""

INCONCLUSIVE = "inconclusive"
EVIDENCE_WORDS = ("very strong", "strong", "moderate", "weak", INCONCLUSIVE)
"""Words of evidence, the strongest first; what is inconclusive comes last, whatever its score."""
_STRENGTH = {word: len(EVIDENCE_WORDS) - position for position, word in enumerate(EVIDENCE_WORDS)}
_MOST_LOGIT = 500.0  # above and below, a score is 1 or 0 in any precision

_RENAMED_ERRORS = {"UnsupportedPicture": "UnsupportedImage"}  # class names of 0.1.0 -> of today


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
        model_input: what the model read of the image, in words, where that is not crops of native pixels;
            else empty. It has one score then, and ``highest_crop`` is None.
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
    model_input: str = ""

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
        decisions = tuple(Decision(**known(Decision, each)) for each in raw.get("decisions", ()))
        return cls(**{**known(cls, raw), "decisions": decisions})

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
class CopyAnswer:
    """What a person said of an image and another one of its group: whether both show the same.

    Attributes:
        path: name of the other one, of the first input that has its bytes.
        sha256: of the other one's bytes, hex.
        same: whether they show the same image.
        by: who said so.
        at: when, ISO 8601, UTC.
    """

    path: str
    sha256: str
    same: bool
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class Copies:
    """How an image relates to others of its run, as it was measured, and what people said of it.

    Attributes:
        same_as: name of the first input that has the same bytes, of those with a score if any has one; None
            for that one, and without copies.
        group: name of the image with the strongest evidence of those that show the same.
        distance: Hamming distance, bits, of its perceptual hash from that image's.
        transform: what was done to that image besides, e.g. ``mirrored``; None if nothing.
        count: how many inputs show the same.
        score_min, score_max: the lowest and the highest of their scores by the run's first model; None if
            none was scored.
        answers: what people said, whom the group does not follow; in the order of time.
    """

    same_as: str | None = None
    group: str | None = None
    distance: int | None = None
    transform: str | None = None
    count: int | None = None
    score_min: float | None = None
    score_max: float | None = None
    answers: tuple[CopyAnswer, ...] = ()

    @classmethod
    def from_dict(cls, raw: JsonObject) -> Copies:
        """The inverse of `dataclasses.asdict`, after JSON."""
        answers = tuple(CopyAnswer(**known(CopyAnswer, each)) for each in raw.get("answers", ()))
        return cls(**{**known(cls, raw), "answers": answers})


@dataclass(frozen=True, slots=True)
class ScanResult:
    """One row of the report.

    Attributes:
        scanned_at: when the row was made, ISO 8601, UTC.
        stage, error, message: where, with which error class and why the input has no score; None if scored.
        scores: one per requested model, in that order; empty unless ``status`` is scored.
        views: number of views averaged: 10, 5 or 1; 0 unless scored. Crops that show the same pixels count
            as often as they occur, though they are computed once. Where no model reads crops: 1, of the
            whole image.
        share_scored: share of the image's pixels that lie in one of these views; None unless scored.
        decoder: the library that decodes images of this format, with its version; None if there is none.
        sidscan_version: of the sidscan that made the row; a later one may have kept it.
        mark, copies, localization: joined when a report is written (`sidscan.review.annotated`); a journal
            never holds them here.
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
    localization: Localization | None = None

    def agrees_with(self, look: CloserLook) -> bool:
        """Whether a closer look has the models and thresholds of the scores of crops."""
        of_crops = [score for score in self.scores if not score.model_input]
        return [(score.model, score.digest, score.threshold) for score in of_crops] == [
            (each.model, each.digest, each.threshold) for each in look.maps
        ]

    @property
    def strongest(self) -> Score | None:
        """The score by which an image is ranked and shown: of several models, the strongest evidence."""
        if len(self.scores) < 2:  # reports ask often
            return self.scores[0] if self.scores else None
        return max(self.scores, key=lambda score: score.strength)

    @property
    def strongest_of_crops(self) -> Score | None:
        """The same of the models that read crops, whose crops are shown; None where there is none."""
        of_crops = [score for score in self.scores if not score.model_input]
        return max(of_crops, key=lambda score: score.strength, default=None)

    @classmethod
    def from_dict(cls, raw: JsonObject) -> ScanResult:
        """The inverse of `dataclasses.asdict`, after JSON; another version may have written it."""
        values = {
            "kind": Kind(raw["kind"]),
            "status": Status(raw["status"]),
            "stage": Stage(raw["stage"]) if raw["stage"] else None,
            "error": _RENAMED_ERRORS.get(raw["error"], raw["error"]),
            "facts": ImageInfo.from_dict(raw["facts"]),
            "scores": tuple(Score.from_dict(known(Score, score)) for score in raw["scores"]),
            "mark": Mark.from_dict(mark) if (mark := raw.get("mark")) else None,
            "copies": Copies.from_dict(copies) if (copies := raw.get("copies")) else None,
            "localization": Localization.from_dict(made) if (made := raw.get("localization")) else None,
        }
        return cls(**{**known(cls, raw), **values})

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
