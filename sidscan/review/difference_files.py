"""Differences as CSV and JSON. docs/reference/differences.md describes the columns and keys."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TextIO

from sidscan.reports.csv_escape import escape_cell
from sidscan.reports.json import ijson_text, undecodable_bytes
from sidscan.reports.stated import StatedResult, StatedScore
from sidscan.review.compared_runs import ComparedRun
from sidscan.review.comparison import Comparison
from sidscan.review.differences import Change, Difference, MatchedBy

DIFFERENCES_FORMAT_NUMBER = 1
"""Number of the layout of both formats; it rises as that of reports does."""
_Cell = str | float | None
_Column = Callable[[Difference], _Cell]


def _of(side: str, fact: Callable[[StatedResult], _Cell]) -> _Column:
    def cell(difference: Difference) -> _Cell:
        result = getattr(difference, side)
        return None if result is None else fact(result)

    return cell


def _of_score(side: str, fact: Callable[[StatedScore], _Cell]) -> _Column:
    def cell(difference: Difference) -> _Cell:
        score = getattr(difference, f"{side}_score")
        return None if score is None else fact(score)

    return cell


def _mark(name: str) -> Callable[[StatedResult], _Cell]:
    return lambda result: getattr(result.mark, name) if result.mark else None


def _both(name: str, fact: Callable[[StatedResult], _Cell]) -> dict[str, _Column]:
    return {f"{side}_{name}": _of(side, fact) for side in ("old", "new")}


def _both_scores(name: str, fact: Callable[[StatedScore], _Cell]) -> dict[str, _Column]:
    return {f"{side}_{name}": _of_score(side, fact) for side in ("old", "new")}


CSV_CELLS: Mapping[str, _Column] = {
    "change": lambda d: d.change.value,
    "also": lambda d: ", ".join(change.value for change in d.changes[1:]),
    **_both("path", lambda result: result.name),
    "matched_by": lambda d: d.matched_by.value if d.matched_by else None,
    **_both("status", lambda result: result.status),
    **_both("message", lambda result: result.message),
    **_both_scores("model", lambda score: score.model),
    **_both_scores("score", lambda score: score.score),
    **_both_scores("evidence", lambda score: score.evidence),
    "why": lambda d: d.why,
    **_both("mark", _mark("mark")),
    "mark_by": _of("new", _mark("by")),
    "mark_at": _of("new", _mark("at")),
    "note": _of("new", _mark("note")),
    **_both("sha256", lambda result: result.sha256),
    "same_bytes": lambda d: d.same_bytes,
    "differences_format": lambda _: DIFFERENCES_FORMAT_NUMBER,
}
"""Every column of the CSV format, in order, and its cell."""


def write_csv(differences: Iterable[Difference], file: TextIO) -> None:
    """One row per difference (RFC 4180); texts are escaped as in reports."""
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(CSV_CELLS)
    for difference in differences:
        cells = (column(difference) for column in CSV_CELLS.values())
        writer.writerow(escape_cell(cell) if isinstance(cell, str) else cell for cell in cells)


def write_json(
    old: ComparedRun,
    new: ComparedRun,
    comparison: Comparison,
    differences: Iterable[Difference],
    file: TextIO,
) -> None:
    """One document, with one difference per line."""
    head = {
        "differences_format": DIFFERENCES_FORMAT_NUMBER,
        "old": _run_object(old),
        "new": _run_object(new),
        "tolerance": comparison.tolerance,
        "matched_by": {how.value: comparison.matched_by[how] for how in MatchedBy},
        "folders": comparison.folders,
        "counts": {change.value: comparison.counts[change] for change in Change},
    }
    file.write(ijson_text(head)[:-1] + ', "differences": [')
    for position, difference in enumerate(differences):
        file.write((",\n" if position else "\n") + ijson_text(_object(difference)))
    file.write("\n]}\n")


def _run_object(run: ComparedRun) -> dict[str, object]:
    return {
        "path": str(run.path),
        "kind": run.kind,
        "inputs": run.inputs,
        "pending": run.pending,
        "part": run.part or None,
        "models": [{"name": model.name, "digest": model.digest} for model in run.models],
        "sidscan_versions": list(run.versions),
        "marks_known": run.marks_known,
    }


def _object(difference: Difference) -> dict[str, object]:
    return {
        "change": difference.change.value,
        "also": [change.value for change in difference.changes[1:]],
        "matched_by": difference.matched_by.value if difference.matched_by else None,
        "old": _result_object(difference.old, difference.old_score),
        "new": _result_object(difference.new, difference.new_score),
        "causes": [asdict(cause) for cause in difference.causes],
        "not_known": list(difference.not_known),
        "same_bytes": difference.same_bytes,
    }


def _result_object(result: StatedResult | None, score: StatedScore | None) -> dict[str, object] | None:
    if result is None:
        return None
    return {
        "path": result.name,
        "path_bytes": undecodable_bytes(result.name),
        "sha256": result.sha256,
        "status": result.status,
        "message": result.message,
        "model": score.model if score else None,
        "score": score.score if score else None,
        "evidence": score.evidence if score else None,
        "mark": asdict(result.mark) if result.mark else None,
    }
