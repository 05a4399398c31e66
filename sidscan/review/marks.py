"""What people decided of images, from all that they ever decided: who stands by what, and where they differ.

A decision belongs to the bytes of an image (its sha256), so it survives new names and folders. Of one
person, the latest decision counts. Decisions of several people stand side by side: where their marks differ,
that is a conflict, which nothing settles but a settlement that somebody imports by name.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sidscan import records
from sidscan.records import Mark, ScanResult
from sidscan.review.marks_file import EntryKind, MarkEntry

_ANSWERS = (EntryKind.SAME_IMAGE, EntryKind.OTHER_IMAGE)


def image_key(sha256: str | None, path: str) -> str:
    """What a decision belongs to: bytes; or the name of an input that could not be read."""
    return sha256 or f"path:{path}"


def person_key(name: str) -> str:
    """A name without what people write now so, now otherwise: capitals, blanks, kinds of characters."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


@dataclass(frozen=True, slots=True)
class HeldDecision:
    """What a person stands by.

    Attributes:
        number: of the entry, in the order in which they were recorded.
        carried: the answers that carry it over from copies of the image; none if it was made of the image.
    """

    number: int
    entry: MarkEntry
    carried: tuple[MarkEntry, ...] = ()


class Marks:
    """All decisions that were recorded for some reports.

    Args:
        entries: in the order in which they were recorded.
    """

    def __init__(self, entries: Iterable[MarkEntry] = ()) -> None:
        self._decisions: dict[str, dict[str, HeldDecision]] = {}  # by image, then by person
        self._settled: dict[str, tuple[int, MarkEntry]] = {}  # the last settlement, by image
        self._answers: dict[tuple[str, str], MarkEntry] = {}
        self._links: dict[str, dict[str, MarkEntry]] = {}  # by copy, then by what it is a copy of
        self._known: set[tuple[object, ...]] = set()
        self._hashes: dict[str, str] = {}  # by sha256
        self._count = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: MarkEntry) -> None:
        """Take in an entry that is recorded after all others; of one that is known, only its hash is new."""
        if entry.perceptual_hash:
            self._hashes[entry.sha256] = entry.perceptual_hash
        if self.knows(entry):
            return
        self._known.update(_identities(entry))
        self._count += 1
        if entry.kind in _ANSWERS:
            self._add_answer(entry)
        else:
            self._add_decision(self._count, entry)

    def _add_answer(self, entry: MarkEntry) -> None:
        self._answers[entry.sha256, entry.copy_of] = entry
        links = self._links.setdefault(entry.sha256, {})
        links.pop(entry.copy_of, None)
        if entry.kind is EntryKind.SAME_IMAGE:
            links[entry.copy_of] = entry

    def _add_decision(self, number: int, entry: MarkEntry) -> None:
        image, person = image_key(entry.sha256, entry.path), person_key(entry.by)
        decisions = self._decisions.setdefault(image, {})
        if entry.kind is EntryKind.SETTLEMENT:
            decisions.clear()
            self._settled[image] = number, entry
        earlier = decisions.get(person)
        if self._outlives(image, number, entry) and (earlier is None or earlier.entry.time <= entry.time):
            decisions[person] = HeldDecision(number, entry)

    def _outlives(self, image: str, number: int, entry: MarkEntry) -> bool:
        """Whether a decision was neither recorded nor made before the settlement of its image."""
        settled, settlement = self._settled.get(image, (0, entry))
        return number >= settled and entry.time[0] >= settlement.time[0]

    def knows(self, entry: MarkEntry) -> bool:
        """Whether the same was recorded already; of a copy, whether it is the last that was said."""
        if entry.kind in _ANSWERS:
            last = self.answer(entry.sha256, entry.copy_of)
            return last is not None and _identities(last) == _identities(entry)
        return _identities(entry)[0] in self._known

    def counts(self, entry: MarkEntry) -> bool:
        """Whether a recorded decision is what the person stands by now, or takes back what they did."""
        found = self._decisions.get(image_key(entry.sha256, entry.path), {}).get(person_key(entry.by))
        return found is not None and _identities(found.entry)[-1] == _identities(entry)[-1]

    def carries(self, entry: MarkEntry) -> bool:
        """Whether an image shows a decision only since it is a copy of the image that it was made of."""
        held = self.decisions(image_key(entry.sha256, entry.path))
        return entry.kind is EntryKind.DECISION and any(
            _words_of(each.entry) == _words_of(entry) and entry.at in each.entry.time
            for each in held
            if each.carried
        )

    def perceptual_hash(self, sha256: str) -> str:
        """Of an image that was decided on; empty where it is not known."""
        return self._hashes.get(sha256, "")

    def answer(self, copy: str, marked: str) -> MarkEntry | None:
        """What a person said of two images, by their sha256: whether ``copy`` is a copy of ``marked``."""
        return self._answers.get((copy, marked))

    def answers(self) -> Iterator[MarkEntry]:
        """What was last said of each two images."""
        return iter(self._answers.values())

    def images(self) -> Iterator[tuple[str, tuple[HeldDecision, ...]]]:
        """Keys of images on which somebody stands by a decision, and their decisions (not carried over)."""
        for image in self._decisions:
            if decisions := self.decisions(image, carried=False):
                yield image, decisions

    def decisions(self, image: str, carried: bool = True) -> tuple[HeldDecision, ...]:
        """What people stand by, in the order in which it was recorded.

        Args:
            image: its `image_key`.
            carried: also of images that it is a copy of, as people said.
        """
        found = self._gather(image, carried, frozenset())
        held = [each for each in found.values() if each.entry.mark or each.entry.note]
        return tuple(sorted(held, key=lambda each: each.number))

    def mark_of(self, result: ScanResult) -> Mark | None:
        """What a report says of an image; None where nobody decided."""
        return summary(self.decisions(image_key(result.facts.sha256, result.name)))

    def __bool__(self) -> bool:
        """Whether anything was recorded."""
        return bool(self._known)

    def _gather(self, image: str, carried: bool, visited: frozenset[str]) -> dict[str, HeldDecision]:
        found = dict(self._decisions.get(image, {}))
        if not carried:
            return found
        for answer in self._links.get(image, {}).values():
            if answer.copy_of in visited:
                continue
            for person, decision in self._gather(answer.copy_of, True, visited | {image}).items():
                if not self._outlives(image, decision.number, decision.entry):
                    continue
                own = found.get(person)
                if own is None or own.entry.time < decision.entry.time:
                    found[person] = HeldDecision(decision.number, decision.entry, (answer, *decision.carried))
        return found


def words(decisions: Iterable[HeldDecision]) -> tuple[str, ...]:
    """The different marks among decisions; more than one is a conflict."""
    return tuple(sorted({each.entry.mark for each in decisions if each.entry.mark}))


def summary(decisions: Sequence[HeldDecision]) -> Mark | None:
    """The decisions on an image as one; None if there are none."""
    return Mark.of_decisions(tuple(map(_recorded, decisions)))


def _recorded(decision: HeldDecision) -> records.Decision:
    entry = decision.entry
    return records.Decision(
        entry.mark,
        entry.by,
        entry.time[0],
        entry.note,
        settles=entry.kind is EntryKind.SETTLEMENT,
        copy_of=entry.path if decision.carried else None,
    )


def _words_of(entry: MarkEntry) -> tuple[str, ...]:
    """What was said and by whom, whatever the image."""
    return person_key(entry.by), entry.mark, entry.note


def _identities(entry: MarkEntry) -> list[tuple[object, ...]]:
    """What makes an entry the same as another; a settlement is a decision, too."""
    image, person = image_key(entry.sha256, entry.path), person_key(entry.by)
    kinds = [EntryKind.SETTLEMENT, EntryKind.DECISION] if entry.kind is EntryKind.SETTLEMENT else [entry.kind]
    return [(kind, image, entry.copy_of, person, entry.at, entry.mark, entry.note) for kind in kinds]
