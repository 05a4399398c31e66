"""Degradation curves -> degradation.csv, .json, .tex, a part of results.md, and the plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sidscan.training.common.degradations import KINDS, UNCHANGED, Degradation
from sidscan.training.common.files import write_json, write_text
from sidscan.util.bibtex import latex as escape

from .degraded import METRICS, Curves, Point, degraded_rows
from .figures import figure
from .tables import format_percent, markdown_row

FILES = ("degradation.csv", "degradation.json", "degradation.tex")
PLOT = "degradation"
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
    with figure(stem, (3.6 * len(kinds) + 1, 8.5), len(kinds), len(METRICS)) as panels:
        for index, axes in enumerate(panels):
            (heading, metric), kind = METRICS[index // len(kinds)], kinds[index % len(kinds)]
            strengths = curves.strengths(kind)
            for model in curves.models:
                points = [curves.point(model, each) for each in strengths]
                values, low, high = (
                    [_value(point, metric, side) for point in points] for side in ("values", "low", "high")
                )
                (line,) = axes.plot(range(len(points)), values, marker="o", markersize=3, label=model)
                axes.fill_between(range(len(points)), low, high, color=line.get_color(), alpha=0.15)
            axes.set(ylim=(0, 102))
            if index % len(kinds) == 0:
                axes.set_ylabel(f"{heading}, percent")
            if index < len(kinds):
                axes.set_title(kind)
            axes.set_xticks(range(len(strengths)), [_tick(each) for each in strengths], fontsize=7)
            if index // len(kinds) == len(METRICS) - 1:
                axes.set_xlabel(KINDS[kind].title, fontsize=8)
            axes.grid(alpha=0.3)
        panels[0].legend(fontsize=7, loc="lower left")


def _tick(degradation: Degradation) -> str:
    if degradation.kind == UNCHANGED:
        return UNCHANGED
    if degradation.kind != "shared":
        return degradation.strength
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
