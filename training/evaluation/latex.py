"""Metrics -> LaTeX tables in the row layout of the paper's Table 2; they need the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from sidscan.util.bibtex import latex as escape

from . import published
from .results import MEAN_KEY, MetricsConfig, ModelMetrics
from .tables import TABLES, PublishedRuns, format_percent, has_average, published_figures, set_keys
from .testsets import title_of_set


def results_latex(models: Sequence[ModelMetrics], config: MetricsConfig, compared: PublishedRuns) -> str:
    """Tables of accuracy and average precision, published rows below the measured ones."""
    parts = [
        _table(models, config, compared, heading, metric, index)
        for index, (heading, metric) in enumerate(TABLES)
    ]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


def _table(
    models: Sequence[ModelMetrics],
    config: MetricsConfig,
    compared: PublishedRuns,
    heading: str,
    metric: str,
    index: int,
) -> str:
    keys = set_keys(models)
    columns = (*keys, MEAN_KEY) if has_average(models, compared) else tuple(keys)
    titles = ["AVG" if key == MEAN_KEY else escape(title_of_set(key)) for key in columns]
    threshold = f" at a threshold of {config.threshold:g}" if metric == "acc" else ""
    lines = [
        r"\begin{table}",
        rf"\caption{{{heading} in percent{threshold}}}",
        r"\centering",
        rf"\begin{{tabular}}{{l{'r' * len(titles)}}}",
        r"\toprule",
        _row("method", titles),
        r"\midrule",
    ]
    for model in models:
        values = {one.key: one.values[metric] for one in (*model.sets, model.mean)}
        lines.append(_row(escape(model.model), [_cell(values.get(key)) for key in columns]))
        if run := compared.get(model.model):
            pairs = [published_figures(model, run, key) for key in columns]
            cells = [_cell(pair[index] if pair else None) for pair in pairs]
            lines.append(_row(f"published, {escape(run.name)}", cells))
        elif model.model in compared and (average := published.average_of_model(model.model)):
            figure = (average.accuracy, average.precision)[index]
            cells = [*("--" for _ in keys), f"{figure:.1f}"]
            lines.append(_row(f"published, {escape(average.method)} (20 sets)", cells))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name} & {' & '.join(cells)} \\\\"


def _cell(fraction: float | None) -> str:
    return "--" if fraction is None else format_percent(fraction)
