"""The images with the strongest evidence, for a person to look at first."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Sequence
from typing import NamedTuple

from sidscan.records import ScanResult, Score
from sidscan.reports.output_files import printing
from sidscan.util.terminal import ELLIPSIS, clipped_start, safe_line
from sidscan.util.urls import mask_credentials

_LEAST = 20  # columns of a path that are always shown


class Ranked(NamedTuple):
    """An image and the strongest of its models' scores."""

    score: Score
    result: ScanResult

    @property
    def key(self) -> float:
        """Orders images by evidence, then by logit."""
        return self.score.strength

    @property
    def copies(self) -> int:
        """How many inputs show the image."""
        return (self.result.copies and self.result.copies.count) or 1


class Ranking:
    """Keeps the images with the strongest evidence of those that it is shown.

    For inputs that show the same image, the strongest of them speaks (`sidscan.review.copies`).

    Args:
        size: how many it keeps.
    """

    def __init__(self, size: int) -> None:
        self._size, self._seen = size, 0
        self._heap: list[tuple[float, int, Ranked]] = []  # the weakest first

    def add(self, result: ScanResult) -> None:
        """Show it one more result; one without a score is passed over."""
        strongest = result.strongest
        if strongest is None or (result.copies and result.copies.group != result.name):
            return
        best = Ranked(strongest, result)
        self._seen += 1
        entry = (best.key, -self._seen, best)  # of equals, the earlier one ranks higher
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def is_full(self) -> bool:
        """Whether a weaker image would not be kept any more."""
        return len(self._heap) >= self._size

    def highest(self) -> list[Ranked]:
        """The images that it keeps, the strongest evidence first."""
        return [ranked for *_, ranked in sorted(self._heap, reverse=True)]


def highest_lines(ranked: Sequence[Ranked]) -> list[str]:
    """One line for each image below a title: score, evidence with cautions, which of several models, path."""
    if not ranked:
        return []
    cells: list[tuple[str, ...]] = [
        (f"{entry.score.score:.3f}", _with_cautions(entry.score)) for entry in ranked
    ]
    if _several_models(ranked):
        models = (safe_line(entry.score.model) for entry in ranked)
        cells = [(*row, model) for row, model in zip(cells, models, strict=True)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lefts = ("  ".join(map(str.ljust, row, widths)) for row in cells)
    lines = (f"  {left}  {_name(entry)}{_copies(entry)}" for left, entry in zip(lefts, ranked, strict=True))
    return ["highest evidence:", *lines]


def _several_models(ranked: Sequence[Ranked]) -> bool:
    return any(len(entry.result.scores) > 1 for entry in ranked)


def _with_cautions(score: Score) -> str:
    return f"{score.evidence} ({', '.join(score.cautions)})" if score.cautions else score.evidence


def table(ranked: Sequence[Ranked], width: int) -> list[str]:
    """The lines of a table with a title; flags and paths are cut to ``width`` columns a line."""
    several_models = _several_models(ranked)
    titles = ("score", "evidence", *(["model"] if several_models else []), "format", "flags")
    rows = [titles, *(_cells(entry, several_models, width // 4) for entry in ranked)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lefts = ["  ".join(map(str.ljust, row, widths)) + "  " for row in rows]
    paths = ["path", *(_clipped(entry, max(width - len(lefts[0]), _LEAST)) for entry in ranked)]
    return list(map(str.__add__, lefts, paths))


def print_table(ranked: Sequence[Ranked]) -> None:
    """Print `table` on standard output, as wide as the terminal.

    Raises:
        OutputError: it can't be written.
        BrokenPipeError: nobody reads it any more.
    """
    with printing() as stream:
        stream.write("\n".join(table(ranked, shutil.get_terminal_size().columns)) + "\n")


def _cells(entry: Ranked, with_model: bool, flags_width: int) -> tuple[str, ...]:
    score, facts = entry.score, entry.result.facts
    flags = " ".join((*score.cautions, *facts.flags, *score.inconclusive)) or "-"
    if len(flags) > flags_width:
        flags = flags[: flags_width - len(ELLIPSIS)] + ELLIPSIS
    model = [safe_line(score.model)] if with_model else []
    return f"{score.score:.3f}", score.evidence, *model, facts.format or "-", flags


def _clipped(entry: Ranked, width: int) -> str:
    copies = _copies(entry)
    return clipped_start(_name(entry), width - len(copies)) + copies


def _copies(entry: Ranked) -> str:
    """How many inputs show the image, and between which scores they lie."""
    copies = entry.result.copies
    if copies is None:
        return ""
    low, high = (f"{score or 0:.2f}" for score in (copies.score_min, copies.score_max))
    return f" ({copies.count} copies)" if low == high else f" ({copies.count} copies, {low} to {high})"


def _name(entry: Ranked) -> str:
    return safe_line(mask_credentials(entry.result.name))
