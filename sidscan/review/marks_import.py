"""Imports people's decisions into the marks file beside a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.reports.reader import ReportRow
from sidscan.review.marks import Marks, image_key
from sidscan.review.marks_csv import read_marks_csv
from sidscan.review.marks_file import MarkEntry, append_marks, marks_path, read_marks_file


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        file: the marks file.
        added: decisions that are new there.
        known: decisions that it had already, or that an image shows as a copy of another.
        hashed: of those, how many get a perceptual hash, which was not known before.
        blank: rows that decide nothing.
        elsewhere: names of images, of the new decisions, that the report does not have.
        future: new decisions whose time is later than now, by the clock of who made them; now counts.
        overruled: names of images of new decisions that don't count: the same person decided later, or
            somebody settled the image later.
    """

    file: Path
    added: int
    known: int
    hashed: int
    blank: int
    elsewhere: tuple[str, ...]
    future: int
    overruled: tuple[str, ...] = ()


def import_marks(
    sources: Sequence[Path],
    report: Path,
    rows: Iterable[ReportRow],
    hashes: Mapping[str, str],
    now: str,
    by: str = "",
    settle: bool = False,
    keep_unknown: bool = False,
) -> Imported:
    """Add the decisions of some CSV files to the marks of a report.

    Nothing is written unless all files can be read.

    Args:
        rows: of the report.
        hashes: perceptual hashes of its images, by their sha256, as far as they are known.
        now: ISO 8601, UTC.
        by: who decided where a file does not say.
        settle: the decisions replace what others decided of these images before.
        keep_unknown: accept files that have decisions on other images alone.

    Raises:
        UsageError: a file can't be read, or none of its images is in the report.
        OutputError: the marks file can't be written, or is damaged.
    """
    file = marks_path(report)
    marks, images = Marks(read_marks_file(file)), {image_key(row.sha256, row.name): row.name for row in rows}
    new, again, blank, known = dict[MarkEntry, None](), dict[MarkEntry, None](), 0, 0
    for source in sources:
        found = read_marks_csv(source, by, now, settle)
        if not keep_unknown:
            _check_same_images(source, report, found.entries, images, marks)
        blank += found.blank
        for decision in found.entries:
            entry = replace(decision, perceptual_hash=hashes.get(decision.sha256, ""), recorded_at=now)
            if not (marks.knows(entry) or marks.carries(entry)):
                new[entry] = None
                marks.add(entry)
                continue
            known += 1
            if entry.perceptual_hash and marks.knows(entry) and not marks.perceptual_hash(entry.sha256):
                again[entry] = None
                marks.add(entry)
    if new or again:
        append_marks(file, [*again, *new], now)
    elsewhere = tuple(entry.path or entry.sha256 for entry in new if _key(entry) not in images)
    future = sum(entry.at > now for entry in new)
    overruled = tuple(
        entry.path or images.get(_key(entry), entry.sha256) for entry in new if not marks.counts(entry)
    )
    return Imported(file, len(new), known, len(again), blank, elsewhere, future, overruled)


def _check_same_images(
    source: Path, report: Path, entries: Sequence[MarkEntry], images: Mapping[str, str], marks: Marks
) -> None:
    if not entries or any(_key(entry) in images or marks.decisions(_key(entry)) for entry in entries):
        return
    raise UsageError(
        f"none of the {len(entries)} images that {source} marks is in {report}",
        "Name the report that they were marked in; or keep these marks all the same, with --keep-unknown.",
    )


def _key(entry: MarkEntry) -> str:
    return image_key(entry.sha256, entry.path)
