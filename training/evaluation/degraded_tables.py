"""Degradation curves -> degradation.csv, .json, .tex, a part of results.md, and the plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sidscan.training.common.degradations import KINDS, UNCHANGED, Degradation
from sidscan.training.common.files import write_json, write_text
from sidscan.util.bibtex import latex as escape

from .degraded import METRICS, Curves, Point, degraded_rows
from .figures import figure
from .tables import format_percent, markdown_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILES = ("degradation.csv", "degradation.json", "degradation.tex")
PLOT = "degradation"
_SIDES = ("values", "low", "high")
_FALLING = ("jpeg", "resize")  # kinds whose weaker strengths are larger numbers
_BEST_QUALITY = 100.0
_LABEL_WIDTH = 0.06  # of the axis
_ABOUT = (
    "In percent, mean over the sets; accuracy at the threshold above. Images are changed before they are cut "
    "or resized for a model; `none`: unchanged. `shared`: shrunk to that longest side and saved as JPEG of "
    "that quality, as often as stated; our reading of what services do."
)


def write_degraded(folder: Path, curves: Curves) -> str:
    """Write `FILES`; returns their Markdown."""
    rows = degraded_rows(curves)
    text = pd.DataFrame(rows).to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(folder / FILES[0], text)
    write_json(folder / FILES[1], rows)
    tables = "\n".join(_latex(curves, kind) for kind in curves.kinds)
    write_text(folder / FILES[2], f"% needs \\usepackage{{booktabs}}\n{tables}")
    return "\n" + "\n".join(_markdown(curves)) + "\n"


def plot_degraded(stem: Path, curves: Curves) -> None:
    """A panel for each metric (row) and kind (column), a line for each detector, with its 95 % interval."""
    kinds = curves.kinds
    axis_of = {kind: strength_axis(kind, curves.strengths(kind)) for kind in kinds}
    with figure(stem, (3.6 * len(kinds) + 1, 8.5), len(kinds), len(METRICS)) as panels:
        for index, axes in enumerate(panels):
            (heading, metric), kind = METRICS[index // len(kinds)], kinds[index % len(kinds)]
            for number, model in enumerate(curves.models):
                points = [curves.point(model, each) for each in curves.strengths(kind)]
                _draw(axes, axis_of[kind], points, metric, f"C{number % 10}", model)
            axes.set(ylim=(0, 102))
            if index % len(kinds) == 0:
                axes.set_ylabel(f"{heading}, percent")
            if index < len(kinds):
                axes.set_title(kind)
            axes.set_xticks(axis_of[kind].positions, axis_of[kind].labels, fontsize=7)
            if kind in _FALLING:
                axes.invert_xaxis()
            if index // len(kinds) == len(METRICS) - 1:
                axes.set_xlabel(KINDS[kind].title, fontsize=8)
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=7, loc="lower left")


@dataclass(frozen=True)
class StrengthAxis:
    """Where the strengths of a kind stand on the horizontal axis.

    Attributes:
        positions: the strengths themselves; of chains, which are no numbers, equal steps.
        labels: of the positions; empty where one would cover the one before.
        apart: whether the first position, the unchanged images, is no strength: it stands beside the scale.
    """

    positions: tuple[float, ...]
    labels: tuple[str, ...]
    apart: bool = False


def strength_axis(kind: str, strengths: Sequence[Degradation]) -> StrengthAxis:
    """The axis of a kind, for its strengths in the order of `Curves.strengths`."""
    if kind == "shared":
        return StrengthAxis(tuple(map(float, range(len(strengths)))), tuple(map(_chain_label, strengths)))
    unchanged = KINDS[kind].unchanged
    values = [each.values[0] for each in strengths if each.kind != UNCHANGED]
    apart = unchanged is None
    if unchanged is None:  # of JPEG: beyond the best quality
        unchanged = _BEST_QUALITY + 0.12 * max(_BEST_QUALITY - min(values), 10)
    positions = [unchanged if each.kind == UNCHANGED else each.values[0] for each in strengths]
    names = [f"{position:g}" for position in positions]
    if apart:
        names[0] = UNCHANGED
    return StrengthAxis(tuple(positions), tuple(_legible(positions, names)), apart)


def _legible(positions: Sequence[float], names: Sequence[str]) -> Iterator[str]:
    """Names, without those that stand too close to one that is shown."""
    least = _LABEL_WIDTH * (max(positions) - min(positions))
    shown: list[float] = []
    for position, name in zip(positions, names, strict=True):
        is_free = all(abs(position - other) >= least for other in shown)
        shown += [position] if is_free else []
        yield name if is_free else ""


def _draw(
    axes: Axes, axis: StrengthAxis, points: Sequence[Point | None], metric: str, colour: str, label: str
) -> None:
    """A detector's line and interval. Dots join what stands apart, for nothing lies between."""
    x = axis.positions
    values, low, high = ([_value(point, metric, side) for point in points] for side in _SIDES)
    first = 1 if axis.apart else 0
    axes.plot(x[first:], values[first:], marker="o", markersize=3, color=colour, label=label)
    axes.fill_between(x[first:], low[first:], high[first:], color=colour, alpha=0.15)
    if axis.apart:
        axes.plot(x[:2], values[:2], ":", color=colour, linewidth=1)
        axes.plot(x[0], values[0], marker="o", markersize=3, color=colour)
    for single in range(first) if len(x) > first + 1 else range(len(x)):  # an area needs two points
        axes.vlines(x[single], low[single], high[single], color=colour, alpha=0.3)


def _chain_label(degradation: Degradation) -> str:
    if degradation.kind == UNCHANGED:
        return UNCHANGED
    side, quality, uploads = (f"{value:g}" for value in degradation.values)
    return f"{side}\nq{quality}\n{uploads}x"


def _value(point: Point | None, metric: str, side: str) -> float:
    if point is None:
        return np.nan
    value: float = 100 * getattr(point.mean, side)[metric]
    return value


def _markdown(curves: Curves) -> Iterator[str]:
    yield "## Degradation"
    for kind in curves.kinds:
        strengths = curves.strengths(kind)
        titles = [each.strength or UNCHANGED for each in strengths]
        yield from ("", f"### {_heading(kind)}", "")
        yield markdown_row("detector", "metric", *titles)
        yield markdown_row("---", "---", *["---:"] * len(titles))
        for model, heading, cells in _cells(curves, strengths):
            yield markdown_row(model, heading, *(cell or "-" for cell in cells))
    yield from ("", _ABOUT)
    for why in curves.left_out:
        yield from ("", f"Left out: {why}.")


def _heading(kind: str) -> str:
    title = KINDS[kind].title
    return title[0].upper() + title[1:]


def _cells(curves: Curves, strengths: Sequence[Degradation]) -> Iterator[tuple[str, str, list[str]]]:
    """Detector, heading of a metric, and its figures; empty where it was not measured."""
    for model in curves.models:
        for heading, metric in METRICS:
            points = [curves.point(model, each) for each in strengths]
            yield model, heading, [format_percent(p.mean.values[metric]) if p else "" for p in points]


def _latex(curves: Curves, kind: str) -> str:
    strengths = curves.strengths(kind)
    titles = [each.strength or UNCHANGED for each in strengths]
    rows = [
        f"{escape(model)} & {heading} & {' & '.join(cell or '--' for cell in cells)} \\\\"
        for model, heading, cells in _cells(curves, strengths)
    ]
    lines = [
        r"\begin{table}",
        rf"\caption{{{escape(_heading(kind))}: mean over the sets, in percent}}",
        r"\centering",
        rf"\begin{{tabular}}{{ll{'r' * len(titles)}}}",
        r"\toprule",
        f"detector & metric & {' & '.join(titles)} \\\\",
        r"\midrule",
        *rows,
    ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])
