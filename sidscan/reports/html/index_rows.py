"""The index of an HTML report: what its list shows, sorts and filters by, one short array per input."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sidscan.records import ScanResult
from sidscan.reports.columns import camera
from sidscan.reports.json import undecodable_bytes
from sidscan.reports.provenance_words import said

Cell = str | int | float | None | list[list[str | bool | None]]
_EXIF_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d)( .*)?")  # EXIF 2.3, DateTimeOriginal


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the index.

    Attributes:
        repeats: whether many rows share a text; then rows hold its number in the table of strings.
    """

    name: str
    cell: Callable[[ScanResult], Cell]
    repeats: bool = False


def _why(result: ScanResult) -> str | None:
    """Why there is no score, or none that says something."""
    score = result.strongest
    return (" ".join(score.inconclusive) or None) if score else result.message


def _cautions(result: ScanResult) -> str | None:
    score = result.strongest
    return (" ".join(score.cautions) or None) if score else None


def _decisions(result: ScanResult) -> Cell:
    """What each person stands by; the page joins it with the decisions in the browser."""
    if result.mark is None:
        return None
    return [[d.mark, d.by, d.at, d.note, d.settles, d.copy_of] for d in result.mark.decisions]


def _answers(result: ScanResult) -> Cell:
    """What people said of it and others of its group."""
    answers = result.copies.answers if result.copies else ()
    return [[a.sha256, a.path, a.same, a.by, a.at] for a in answers] or None


def _date(result: ScanResult) -> str | None:
    """The date taken with dashes, so that texts sort by time; other texts as they are."""
    stated, iso = result.facts.exif.original_date, result.facts.exif.original_date_iso
    if iso:
        return iso.replace("T", " ")
    match = _EXIF_DATE.fullmatch(stated or "")
    return f"{match[1]}-{match[2]}-{match[3]}{match[4] or ''}" if match else stated


def _compared(result: ScanResult) -> int:
    """Whether it was compared with what other images show: 0 no, 1 yes, 2 it has too little detail."""
    perceptual_hash = result.facts.perceptual_hash
    return 0 if perceptual_hash is None else 1 if perceptual_hash else 2


def _markers(result: ScanResult) -> str | None:
    """Ids of all markers of origin, those that the verdict rests on first."""
    provenance = result.facts.provenance
    return (" ".join(provenance.by) or None) if provenance else None


_COLUMNS = (
    _Column("path", lambda r: r.name),
    _Column("status", lambda r: r.status.value, repeats=True),
    _Column("score", lambda r: round(score.score, 6) if (score := r.strongest) else None),
    _Column("evidence", lambda r: score.evidence if (score := r.strongest) else None, repeats=True),
    _Column("why", _why, repeats=True),
    _Column("flags", lambda r: " ".join(r.facts.flags) or None, repeats=True),
    _Column("cautions", _cautions, repeats=True),
    _Column("width", lambda r: r.facts.width),
    _Column("height", lambda r: r.facts.height),
    _Column("format", lambda r: r.facts.format, repeats=True),
    _Column("bytes", lambda r: r.facts.bytes),
    _Column("date", _date),
    _Column("camera", camera, repeats=True),
    _Column("latitude", lambda r: r.facts.exif.latitude),
    _Column("longitude", lambda r: r.facts.exif.longitude),
    _Column("sha256", lambda r: r.facts.sha256),
    _Column("copy_group", lambda r: r.copies.group if r.copies else None, repeats=True),
    _Column("copy_distance", lambda r: r.copies.distance if r.copies else None),
    _Column("copy_transform", lambda r: r.copies.transform if r.copies else None, repeats=True),
    _Column("copy_count", lambda r: r.copies.count if r.copies else None),
    _Column("copy_answers", _answers),
    _Column("compared", _compared),
    _Column("said", lambda r: said(r.facts.provenance) if r.facts.provenance else None, repeats=True),
    _Column("markers", _markers, repeats=True),
    _Column("traces", lambda r: r.facts.trace_ids, repeats=True),
    _Column("finding", lambda r: (r.localization.finding or None) if r.localization else None, repeats=True),
    _Column("path_bytes", lambda r: undecodable_bytes(r.name)),
    _Column("decisions", _decisions),
    _Column("saved_as", lambda r: r.facts.response.saved_as if r.facts.response else None),
    # The page does not show these in its list; `sidscan diff` says by them why scores differ.
    _Column("model", lambda r: score.model if (score := r.strongest) else None, repeats=True),
    _Column("views", lambda r: r.views or None),
    _Column("decoder", lambda r: r.decoder, repeats=True),
    _Column("sidscan_version", lambda r: r.sidscan_version, repeats=True),
)
COLUMN_NAMES = [column.name for column in _COLUMNS]
REPEATING_COLUMNS = [column.name for column in _COLUMNS if column.repeats]


class StringTable:
    """Texts by number; each is stored once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text, new or known."""
        return self._numbers.setdefault(text, len(self._numbers))

    def texts(self) -> list[str]:
        """All texts, in the order of their numbers."""
        return list(self._numbers)


def index_row(result: ScanResult, strings: StringTable) -> list[Cell]:
    """The cells of a result, in the order of `COLUMN_NAMES`."""
    cells = ((column, column.cell(result)) for column in _COLUMNS)
    return [
        strings.number(cell) if column.repeats and isinstance(cell, str) else cell for column, cell in cells
    ]
