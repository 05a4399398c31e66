"""Tables of several detectors on the same images: differences with tests, and what only one of them finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from sidscan.training.common.files import write_text

from .paired import Agreement, PairedTest, agreement, only_one, paired_tests
from .tables import format_percent, markdown_row
from .testsets import title_of_set

_MOST_SHOWN = 4  # detectors whose pairs stand in results.md; differences.csv has all
FILES = ("differences.csv", "agreement.csv", "only-one.csv")
_ABOUT_P = "p: DeLong's two-sided test that both have one AUROC, for each pair and set alone."


def write_comparison(folder: Path, scores: pd.DataFrame, threshold: float) -> str:
    """Write `FILES`; returns their Markdown, empty where no two detectors have scored the same images.

    Args:
        scores: as `scores.read_scores` gives them.
        threshold: images that score above it count as found.
    """
    agreed = agreement(scores, threshold)
    if not agreed:
        for name in FILES:  # of an earlier run with several detectors
            (folder / name).unlink(missing_ok=True)
        return ""
    tests = paired_tests(scores)
    _write(folder / FILES[0], [_flat(test) for test in tests])
    _write(folder / FILES[1], [asdict(each) for each in agreed])
    write_text(folder / FILES[2], only_one(scores, threshold).to_csv(index=False, lineterminator="\n"))
    lines = ["## Agreement", "", *_agreement_lines(agreed, threshold)]
    if tests and len(agreed) <= _MOST_SHOWN:
        lines = ["## Differences between detectors", "", *_difference_lines(tests), "", *lines]
    return "\n" + "\n".join(lines) + "\n"


def _flat(test: PairedTest) -> dict[str, object]:
    result = test.result
    named = {"set": test.set, "first": test.first, "second": test.second}
    counts = {"n_real": test.real, "n_synthetic": test.synthetic}
    figures = {"difference": result.difference, "low": result.low, "high": result.high, "p": result.p}
    return {**named, **counts, **figures}


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _difference_lines(tests: Sequence[PairedTest]) -> list[str]:
    lines = [
        markdown_row("set", "first", "second", "AUROC, first - second", "p"),
        markdown_row("---", "---", "---", "---:", "---:"),
    ]
    for test in tests:
        result = test.result
        bounds = f"({format_percent(result.low)} to {format_percent(result.high)})"
        p = "-" if math.isnan(result.p) else f"{result.p:.2g}"
        cells = (title_of_set(test.set), test.first, test.second)
        lines.append(markdown_row(*cells, f"{format_percent(result.difference)} {bounds}", p))
    return [*lines, "", f"Percentage points, in brackets the 95 % interval. {_ABOUT_P}"]


def _agreement_lines(agreed: Sequence[Agreement], threshold: float) -> list[str]:
    lines = [
        markdown_row("detector", "found", "only it finds", "only it misses", "flagged", "only it flags"),
        markdown_row("---", *["---:"] * 5),
    ]
    for each in agreed:
        counts = (each.found, each.only_found, each.only_missed, each.flagged, each.only_flagged)
        lines.append(markdown_row(each.model, *map(str, counts)))
    first = agreed[0]
    about = (
        f"Images that score above {threshold:g}: found, of {first.synthetic} synthetic ones; flagged, of "
        f"{first.real} real ones. Only images that all of these detectors have scored, each once. "
        "only-one.csv names those that one detector alone has above it."
    )
    return [*lines, "", about]
