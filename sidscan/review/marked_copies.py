"""Images that may be copies of marked ones: a mark goes over to them only if somebody says so.

A copy that was saved again has other bytes. Its perceptual hash is near that of the marked image. But
near is not the same: what looks alike may be another photograph of a series. So it is a question, asked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from sidscan.errors import SidscanError
from sidscan.journal.reading import StoredRecord, find_records
from sidscan.records import Mark
from sidscan.reports.reader import ReportRow
from sidscan.review.marks import Marks, summary
from sidscan.review.marks_file import EntryKind, MarkEntry


@dataclass(frozen=True, slots=True)
class Image:
    """Distinct bytes of a report that have a perceptual hash.

    Attributes:
        name: of the first input that has them.
    """

    sha256: str
    name: str
    perceptual_hash: str


@dataclass(frozen=True, slots=True)
class MaybeCopy:
    """An image that nobody decided on, near one that somebody did.

    Attributes:
        distance: bits of 256 in which the perceptual hashes differ.
        transform: what was done to the other image besides, e.g. ``mirrored``; None if nothing.
    """

    image: Image
    distance: int
    transform: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """Whether images are copies of a marked one.

    Attributes:
        path: the name that the marked image had.
        mark: what people decided of it; None if they took it back.
        answered: what somebody said before; None in a question that is open.
    """

    sha256: str
    path: str
    mark: Mark | None
    copies: tuple[MaybeCopy, ...]
    answered: MarkEntry | None = None

    def singly(self) -> Iterator[Question]:
        """The same of each copy by itself."""
        return (replace(self, copies=(each,)) for each in self.copies)

    def answers(self, same: bool, by: str, now: str) -> Iterator[MarkEntry]:
        """What to record."""
        kind = EntryKind.SAME_IMAGE if same else EntryKind.OTHER_IMAGE
        for each in self.copies:
            image = each.image
            yield MarkEntry(
                *(kind, image.sha256, image.name, "", "", by, now),
                perceptual_hash=image.perceptual_hash,
                copy_of=self.sha256,
                distance=each.distance,
            )


class Images:
    """The distinct images of a report that have a perceptual hash.

    Attributes:
        unread: why hashes that the report's record may have could not be read.
    """

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self.unread: list[str] = []

    def add(self, sha256: str | None, name: str, perceptual_hash: str | None) -> None:
        """Take in a row."""
        if sha256 and perceptual_hash:
            self._images.setdefault(sha256, Image(sha256, name, perceptual_hash))

    def __iter__(self) -> Iterator[Image]:
        return iter(self._images.values())

    def get(self, sha256: str) -> Image | None:
        """The one with these bytes."""
        return self._images.get(sha256)

    def hashes(self) -> dict[str, str]:
        """Their perceptual hashes, by sha256."""
        return {image.sha256: image.perceptual_hash for image in self}


def images_of_report(report: Path, rows: Iterable[ReportRow]) -> Images:
    """Those of a report; hashes that its format leaves out are in its record.

    A record that a scan uses, or that is damaged, is stated in `Images.unread`.
    """
    images = Images()
    for row in rows:
        images.add(row.sha256, row.name, row.perceptual_hash)
    if not images.hashes():
        for path in find_records(report, in_use=True):
            try:
                with closing(StoredRecord(path)) as record:
                    for result in record.results():
                        images.add(result.facts.sha256, result.name, result.facts.perceptual_hash)
            except SidscanError as error:
                images.unread.append(error.message)
        if images.hashes():
            images.unread.clear()
    return images


def open_questions(marks: Marks, images: Images) -> list[Question]:
    """Per marked image, the images of a report that may be its copies, and that nobody said anything of.

    An image near several marked ones belongs to the nearest about which nobody answered.
    """
    marked = _marked(marks, images.hashes())
    free = [image for image in images if not marks.decisions(image.sha256)]
    nearest: dict[str, tuple[int, str, MaybeCopy]] = {}
    for sha256, copy in _near(marked, free):
        if marks.answer(copy.image.sha256, sha256) is None:
            found = (copy.distance, sha256, copy)
            known = nearest.setdefault(copy.image.sha256, found)
            nearest[copy.image.sha256] = min(known, found, key=lambda each: each[:2])
    copies: dict[str, list[MaybeCopy]] = {}
    for _, sha256, copy in nearest.values():
        copies.setdefault(sha256, []).append(copy)
    return [_question(marks, images, sha256, found) for sha256, found in copies.items()]


def answered_questions(marks: Marks, images: Images) -> list[Question]:
    """What people answered before, each two images by themselves."""
    return [_answered(marks, images, answer) for answer in marks.answers()]


def _answered(marks: Marks, images: Images, answer: MarkEntry) -> Question:
    copy = images.get(answer.sha256) or Image(answer.sha256, answer.path, answer.perceptual_hash)
    maybe = MaybeCopy(copy, answer.distance or 0, transform=None)
    return replace(_question(marks, images, answer.copy_of, [maybe]), answered=answer)


def _marked(marks: Marks, in_report: Mapping[str, str]) -> dict[str, str]:
    """The perceptual hashes of images on which somebody stands by a decision, where they are known."""
    hashes = {}
    for image, _ in marks.images():
        if perceptual_hash := in_report.get(image) or marks.perceptual_hash(image):
            hashes[image] = perceptual_hash
    return hashes


def _near(marked: Mapping[str, str], free: list[Image]) -> Iterator[tuple[str, MaybeCopy]]:
    if not marked or not free:
        return
    from sidscan.review.near_hashes import HashIndex  # needs NumPy, for which `--help` does not wait

    index = HashIndex([image.perceptual_hash for image in free])
    for sha256, found in zip(marked, index.near_each(list(marked.values())), strict=True):
        for near in found:
            yield sha256, MaybeCopy(free[near.index], near.distance, near.transform)


def _question(marks: Marks, images: Images, sha256: str, copies: list[MaybeCopy]) -> Question:
    decisions, image = marks.decisions(sha256), images.get(sha256)
    name = decisions[0].entry.path if decisions else image.name if image else sha256
    ordered = sorted(copies, key=lambda copy: (copy.distance, copy.image.name))
    return Question(sha256, name, summary(decisions), tuple(ordered))
