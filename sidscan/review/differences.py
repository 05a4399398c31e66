"""What differs between two statements of one input: the words, the order, and why. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sidscan.records import strength
from sidscan.reports.stated import PENDING, MadeBy, StatedModel, StatedResult, StatedScore

TOLERANCE = 1e-4
"""Scores that differ by no more are counted apart: other threads and devices change the last digits."""
_DECIMALS = 6  # to which HTML reports state scores
_FACTS = {  # fields of MadeBy -> what people read
    "runtime": "runtime",
    "device": "device",
    "precision": "precision",
    "effort": "effort",
    "crops": "crops",
    "decoder": "decoder",
    "sidscan_version": "sidscan",
}


class Change(str, Enum):
    """What became of an input. Several may be true of one; the first in this order is its class."""

    NEW = "new"
    GONE = "gone"
    BYTES = "changed bytes"
    STATUS = "changed status"
    SCORE = "changed score"
    EVIDENCE = "changed evidence"
    MARKED = "newly marked"
    MARK = "changed mark"
    MOVED = "moved"
    NOT_COMPARED = "not compared"
    WITHIN_TOLERANCE = "within tolerance"
    UNCHANGED = "unchanged"

    @property
    def differs(self) -> bool:
        """Whether it is listed; the others are only counted unless asked for."""
        return self not in (Change.NOT_COMPARED, Change.WITHIN_TOLERANCE, Change.UNCHANGED)


class MatchedBy(str, Enum):
    """How an input of OLD was found in NEW."""

    PATH = "path"
    FOLDER = "path below another folder"
    SHA256 = "sha256"


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that may explain another score: both state it, and it differs."""

    fact: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.fact} {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class Difference:
    """One input of OLD, of NEW, or of both.

    Attributes:
        changes: all that are true of it, its class first.
        old, new: None for an input that only the other one has.
        old_score, new_score: of one model; of several, the one whose score changed most.
        causes: what differs of that which scores depend on; none where no score changed.
        not_known: what of it one of them does not state, e.g. ``effort``.
        same_bytes: of what is new: an input of OLD with its bytes; of what is gone or has other bytes: an
            input of NEW that has the earlier bytes.
    """

    changes: tuple[Change, ...]
    old: StatedResult | None
    new: StatedResult | None
    matched_by: MatchedBy | None = None
    old_score: StatedScore | None = None
    new_score: StatedScore | None = None
    causes: tuple[Cause, ...] = ()
    not_known: tuple[str, ...] = ()
    same_bytes: str | None = None

    @property
    def change(self) -> Change:
        """Its class."""
        return self.changes[0]

    @property
    def strength(self) -> float:
        """Orders differences by the stronger evidence of the two, then by the higher score."""
        scores = [score for score in (self.old_score, self.new_score) if score]
        return max((strength(score.evidence, score.score) for score in scores), default=0.0)

    @property
    def why(self) -> str:
        """The causes in words; empty where no score changed."""
        if not {Change.SCORE, Change.EVIDENCE, Change.WITHIN_TOLERANCE}.intersection(self.changes):
            return ""
        unknown = f"not known: {', '.join(self.not_known)}" if self.not_known else ""
        causes = "; ".join(map(str, self.causes)) or "nothing that both state differs"
        return "; ".join(filter(None, (causes, unknown)))


def compare(
    old: StatedResult | None,
    new: StatedResult | None,
    matched_by: MatchedBy | None = None,
    tolerance: float = TOLERANCE,
    same_bytes: str | None = None,
    is_part: bool = False,
) -> Difference:
    """What differs; one of the two may be None.

    Args:
        is_part: whether the one that is None may be missing only because its run did not look at it.
    """
    if old is None or new is None:
        change = Change.NOT_COMPARED if is_part else Change.NEW if old is None else Change.GONE
        return Difference((change,), old, new, None, _first(old), _first(new), same_bytes=same_bytes)
    if PENDING in (old.status, new.status):
        return Difference((Change.NOT_COMPARED,), old, new, matched_by, _first(old), _first(new))
    pairs = paired_scores(old, new)
    changes = tuple(_changes(old, new, pairs, matched_by, tolerance)) or (Change.UNCHANGED,)
    if not pairs:
        return Difference(changes, old, new, matched_by, _first(old), _first(new), same_bytes=same_bytes)
    old_score, new_score = max(pairs, key=_distance)
    causes = list(_causes(old, new, old_score, new_score))
    return Difference(
        changes,
        old,
        new,
        matched_by,
        old_score,
        new_score,
        causes=tuple(cause for cause in causes if isinstance(cause, Cause)),
        not_known=tuple(cause for cause in causes if isinstance(cause, str)),
        same_bytes=same_bytes,
    )


def paired_scores(old: StatedResult, new: StatedResult) -> list[tuple[StatedScore, StatedScore]]:
    """The scores of models that both have; of the first model of each, if there are none."""
    known = {score.model: score for score in old.scores}
    pairs = [(known[score.model], score) for score in new.scores if score.model in known]
    return pairs or list(zip(old.scores[:1], new.scores[:1], strict=False))


def _first(result: StatedResult | None) -> StatedScore | None:
    return result.scores[0] if result and result.scores else None


def _distance(pair: tuple[StatedScore, StatedScore]) -> float:
    """How far two scores are apart, as far as all formats state them."""
    old, new = pair
    return abs(round(old.score, _DECIMALS) - round(new.score, _DECIMALS))


def _changes(
    old: StatedResult,
    new: StatedResult,
    pairs: list[tuple[StatedScore, StatedScore]],
    matched_by: MatchedBy | None,
    tolerance: float,
) -> Iterator[Change]:
    """All that are true, in the order of `Change`."""
    if old.sha256 and new.sha256 and old.sha256 != new.sha256:
        yield Change.BYTES
    if old.status != new.status:
        yield Change.STATUS
    distance = max(map(_distance, pairs), default=0.0)
    if distance > tolerance or any(before.model != after.model for before, after in pairs):
        yield Change.SCORE
    if any(before.evidence != after.evidence for before, after in pairs):
        yield Change.EVIDENCE
    if new.marks_known and old.mark != new.mark:
        yield from _mark_changes(old, new)
    if matched_by is MatchedBy.SHA256:
        yield Change.MOVED
    if 0 < distance <= tolerance:
        yield Change.WITHIN_TOLERANCE


def _mark_changes(old: StatedResult, new: StatedResult) -> Iterator[Change]:
    if old.mark is None:
        yield Change.MARKED
        return
    noted = new.mark is not None and bool(old.mark.by and new.mark.by)  # private reports have no notes
    if new.mark is None or old.mark.mark != new.mark.mark or (noted and old.mark.note != new.mark.note):
        yield Change.MARK


def _causes(
    old: StatedResult, new: StatedResult, old_score: StatedScore, new_score: StatedScore
) -> Iterator[Cause | str]:
    """What differs of that which scores depend on, and the names of what is not known."""
    if old.sha256 and new.sha256 and old.sha256 != new.sha256:
        yield Cause("bytes", old.sha256[:8], new.sha256[:8])
    before, after = _model(old.made_by, old_score), _model(new.made_by, new_score)
    if before.name != after.name:
        yield Cause("model", before.name, after.name)
    facts: list[tuple[str, object, object]] = [
        ("weights", before.digest, after.digest),
        ("threshold", before.threshold, after.threshold),
        ("calibration", _or_none(before.calibration), _or_none(after.calibration)),
    ]
    facts += [
        (words, getattr(old.made_by, name), getattr(new.made_by, name)) for name, words in _FACTS.items()
    ]
    for fact, stated, now in facts:
        if stated is None or now is None:
            yield fact
        elif stated != now:
            yield Cause(fact, str(stated), str(now))


def _model(made_by: MadeBy, score: StatedScore) -> StatedModel:
    return next((model for model in made_by.models if model.name == score.model), StatedModel(score.model))


def _or_none(calibration: str | None) -> str | None:
    """A calibration in words; None is not known."""
    return "none" if calibration == "" else calibration
