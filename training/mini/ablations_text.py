"""Ablations and learning curve -> Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ABLATIONS_COMMAND = (
    "python -m sidscan.training.mini.ablations --corpus DIR --corpus MORE --out docs/log/ablations.md"
)


@dataclass(frozen=True)
class VariantRow:
    """One variant; every tuple has one entry per condition.

    Attributes:
        auroc: over all windows.
        interval: 95 %, of the AUROC for the first row, of the difference to the first row's for all others.
        tpr_at_5: share of synthetic windows above what 5 % of the photographs exceed.
    """

    name: str
    auroc: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]
    tpr_at_5: tuple[float, ...]


@dataclass(frozen=True)
class CurvePoint:
    """The detector fitted on a part of the repositories, for several choices of that part.

    Attributes:
        fitted: mean numbers of repositories with synthetic images and with photographs.
        choices: how many choices.
        auroc: mean over them, one entry per condition.
        interval: 95 %, of that mean.
    """

    fitted: tuple[float, ...]
    choices: int
    auroc: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]


def render_ablations(
    all_rows: Sequence[VariantRow], first_rows: Sequence[VariantRow], points: Sequence[CurvePoint]
) -> str:
    """The whole document."""
    return f"""# What the ingredients of the bundled detector are worth

<!-- made by: {ABLATIONS_COMMAND} -->

Every row is fitted on four folds of repositories and measured on the fifth, in turn. The columns are AUROC
for images as they are, after JPEG 75 and at half size. The last column is the share of synthetic windows
found at 5 % false positives, in the same order. Brackets hold a 95 % interval from a bootstrap over whole
repositories: of the AUROC in the first row, and of the difference to the first row in all others. Where an
interval holds 0, the difference may be chance. There are many intervals, so a few miss 0 by chance.
Settings were chosen on these folds, which favours the first row. `training/mini/ablations.py` says what
differs from the card's way of measuring. docs/log/detector.md lists what was tried and is not in the
shipped detector.

## All windows

{_variant_table(all_rows)}

## The first corpus's windows (fitted on both)

{_variant_table(first_rows)}

## Learning curve

The shipped recipe, fitted on an eighth, a quarter, a half and all of the repositories outside the fold, and
measured over all windows. Figures are means over several choices of the repositories, with the 95 % interval
from the same bootstrap.

{_curve_table(points)}
"""


def _variant_table(rows: Sequence[VariantRow]) -> str:
    lines = ["| variant | as they are | JPEG 75 | half size | found at 5 % |", "|" + " --- |" * 5]
    for row in rows:
        signed = row is not rows[0]
        cells = [
            f"{_short(area)} ({_short(low, signed)} to {_short(high, signed)})"
            for area, (low, high) in zip(row.auroc, row.interval, strict=True)
        ]
        tprs = " / ".join(f"{100 * share:.0f} %" for share in row.tpr_at_5)
        lines.append(f"| {row.name} | {' | '.join(cells)} | {tprs} |")
    return "\n".join(lines)


def _curve_table(points: Sequence[CurvePoint]) -> str:
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
