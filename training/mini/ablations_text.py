"""Ablations and learning curve -> Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COMMAND = "python -m sidscan.training.mini.ablations --corpus DIR --corpus MORE --out docs/log/ablations.md"


@dataclass(frozen=True)
class Row:
    """One variant; every tuple has one entry a condition.

    Attributes:
        auroc: over all its windows.
        interval: 95 %, of the AUROC for the first row, of its difference to the first row's for all others.
        tpr_at_5: share of synthetic windows above what 5 % of the photographs exceed.
    """

    name: str
    auroc: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]
    tpr_at_5: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """Some of the repositories, in several choices.

    Attributes:
        fitted: mean numbers of repositories with synthetic pictures and with photographs.
        choices: how many there were.
        auroc: mean over them, one entry a condition.
        interval: 95 %, of that mean.
    """

    fitted: tuple[float, ...]
    choices: int
    auroc: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]


def render(everything: Sequence[Row], first: Sequence[Row], points: Sequence[Point]) -> str:
    """The whole document."""
    return f"""# What the ingredients of the bundled detector are worth

<!-- made by: {COMMAND} -->

Every row is fitted on four folds of repositories and measured on the fifth, in turn; AUROC as they are, after
JPEG 75 and at half size, and the share of synthetic windows found at 5 % false positives in the same order.
Brackets: 95 % interval from a bootstrap over whole repositories, in the first row of its AUROC, in all others
of the difference to the first row's. Where it holds 0, that ingredient may as well be chance; and of so many
intervals some miss 0 by chance. Settings were chosen on these folds, which favours the first row.
`training/mini/ablations.py` says what differs from the card's way of measuring; docs/log/detector.md has what
was tried and is not in the shipped detector.

## All windows

{_table(everything)}

## The first corpus's windows (fitted on both)

{_table(first)}

## Learning curve

The shipped recipe on an eighth, a quarter, a half and all of the repositories outside the fold, over all
windows. Mean over several choices of them, and its 95 % interval from the same bootstrap.

{_curve(points)}
"""


def _table(rows: Sequence[Row]) -> str:
    lines = ["| variant | as they are | JPEG 75 | half size | found at 5 % |", "|" + " --- |" * 5]
    for row in rows:
        cells = [
            f"{_short(area)} ({_short(low, row is not rows[0])} to {_short(high, row is not rows[0])})"
            for area, (low, high) in zip(row.auroc, row.interval, strict=True)
        ]
        found = " / ".join(f"{100 * share:.0f} %" for share in row.tpr_at_5)
        lines.append(f"| {row.name} | {' | '.join(cells)} | {found} |")
    return "\n".join(lines)


def _curve(points: Sequence[Point]) -> str:
    lines = [
        "| repositories fitted on: synthetic, photographs | choices | as they are | JPEG 75 | half size |",
        "|" + " --- |" * 5,
    ]
    for point in points:
        cells = [
            f"{_short(area)} ({_short(low)} to {_short(high)})"
            for area, (low, high) in zip(point.auroc, point.interval, strict=True)
        ]
        synthetic, real = point.fitted
        lines.append(f"| {synthetic:.0f}, {real:.0f} | {point.choices} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(value: float, signed: bool = False) -> str:
    """.853, -.010, +.004."""
    return f"{value:{'+' if signed else ''}.3f}".replace("0.", ".")
