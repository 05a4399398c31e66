"""Costs of errors -> cost-curves.csv, costs.csv, a part of results.md, and the plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from sidscan.training.common.files import write_text

from .costs import IMAGES, CostCurve, TriageCost, cost_curve, error_rates, triage_costs
from .figures import figure
from .results import MEAN_KEY, MetricsConfig, ModelMetrics
from .tables import markdown_row

FILES = ("cost-curves.csv", "costs.csv")
PLOT = "costs"
_AXIS = (
    "synthetic images are rare, or a miss is cheap (0) ... frequent, or a miss is dear (1)\n"
    "probability cost: prevalence weighted by the cost of a miss, p c / (p c + 1 - p)"
)


def write_costs(folder: Path, models: Sequence[ModelMetrics], config: MetricsConfig, plots: bool) -> str:
    """Write `FILES` and the plot; returns the Markdown."""
    rates = [one for model in models for one in error_rates(model, config.threshold)]
    curves = [cost_curve(one) for one in rates]
    costs = [cost for one in rates for cost in triage_costs(one, config)]
    _write(folder / FILES[0], [row for curve in curves for row in _curve_rows(curve)])
    _write(folder / FILES[1], [asdict(cost) for cost in costs])
    if plots:
        _plot(folder / PLOT, [curve for curve in curves if curve.set == MEAN_KEY], config.threshold)
    return "\n" + "\n".join(_markdown([cost for cost in costs if cost.set == MEAN_KEY], config)) + "\n"


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _curve_rows(curve: CostCurve) -> Iterator[dict[str, object]]:
    for point in zip(curve.axis, curve.chosen, curve.best, curve.trivial, strict=True):
        names = ("probability_cost", "at_threshold", "best", "trivial")
        yield {"model": curve.model, "set": curve.set, **dict(zip(names, point, strict=True))}


def _markdown(costs: Sequence[TriageCost], config: MetricsConfig) -> Iterator[str]:
    models = list(dict.fromkeys(cost.model for cost in costs))
    by_key = {(cost.model, cost.prevalence, cost.miss_cost): cost for cost in costs}
    yield from ("## Cost of a triage", "")
    yield markdown_row("synthetic", "a miss costs", "look at none", "look at all", *models)
    yield markdown_row(*["---:"] * (4 + len(models)))
    for prevalence in config.prevalences:
        for miss_cost in config.miss_costs:
            own = [by_key[model, prevalence, miss_cost] for model in models]
            cells = [f"{each.cost:,.0f}; {each.best_cost:,.0f} at {_threshold(each)}" for each in own]
            without = (f"{own[0].look_at_none:,.0f}", f"{own[0].look_at_all:,.0f}")
            yield markdown_row(f"{100 * prevalence:g} %", f"{miss_cost:g}", *without, *cells)
    yield ""
    yield (
        f"Expected cost of {IMAGES:,} images in needless looks, mean over the sets: at a threshold of "
        f"{config.threshold:g}; then at the threshold that is best for the row. It was found on these same "
        "images, so expect a higher cost on others."
    )


def _threshold(cost: TriageCost) -> str:
    if cost.best_threshold < 0:
        return "0 (all)"
    return f"{cost.best_threshold:.3g}"


def _plot(stem: Path, curves: Sequence[CostCurve], threshold: float) -> None:
    """Normalised expected cost of each detector, mean over the sets."""
    with figure(stem, (7.5, 5.5), 1) as (axes,):
        axes.plot(
            curves[0].axis, curves[0].trivial, color="lightgrey", linewidth=4, label="look at all, or at none"
        )
        for curve in curves:
            (line,) = axes.plot(curve.axis, curve.best, label=f"{curve.model}, best threshold")
            label = f"{curve.model}, threshold {threshold:g}"
            axes.plot(curve.axis, curve.chosen, "--", color=line.get_color(), linewidth=1, label=label)
        top = max(0.5, *(float(curve.chosen.max()) for curve in curves))
        axes.set(
            xlim=(0, 1),
            ylim=(-0.02 * top, 1.02 * top),  # a best threshold that costs nothing shows above the frame
            title="Cost curves, mean over the sets",
            xlabel=_AXIS,
            ylabel="expected cost (1: every image is an error)",
        )
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
