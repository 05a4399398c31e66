"""What ``sidscan evaluate run`` and ``sidscan evaluate report`` write from scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli.evaluate_options import AllRunOptions, MeasureOptions
from sidscan.errors import ExitCode

if TYPE_CHECKING:
    import pandas as pd

    from sidscan.training.evaluation.results import MetricsConfig
    from sidscan.training.evaluation.speed import Speed
    from sidscan.training.evaluation.tables import PublishedRuns

_TABLES = (
    *("results.csv", "results.md", "results.tex", "generators.csv", "reliability.csv"),
    *("differences.csv", "agreement.csv", "only-one.csv"),
    *("cost-curves.csv", "costs.csv", "speed.csv"),
    *("degradation.csv", "degradation.json", "degradation.tex"),
)


def require_packages(plots: bool) -> None:
    """Finds out before hours of scoring that a package is missing."""
    from sidscan.training.common.extras import import_extra

    for module in ("sklearn", *(["matplotlib"] if plots else [])):
        import_extra(module)


def write_report(
    scores: pd.DataFrame,
    config: MetricsConfig,
    choices: MeasureOptions,
    runs: Mapping[str, str] | None = None,
    classes: Mapping[str, str] | None = None,
    scored_in: Path | None = None,
    measured: Sequence[Speed] = (),
) -> ExitCode:
    """Compute metrics and write what needs nothing but scores; prints the Markdown.

    Args:
        scored_in: the folder of an evaluation, which may hold scores of degraded images and measured speeds.
        measured: speeds that were measured just now.
        runs: checkpoints by name -> the published run with their configuration.
        classes: checkpoints by name -> what they were trained on.
    """
    from sidscan.training.evaluation import degraded, report, speed, tables
    from sidscan.training.evaluation.results import compute_model_metrics

    results = compute_model_metrics(scores, config)
    check_unedited(choices)  # again: hours may have passed
    compared: PublishedRuns = {}
    if choices["compare"] is not None:
        models = [result.model for result in results]
        compared = tables.runs_to_compare(models, results[0].perturbation, choices["compare"], runs)
    out = choices["out"]
    curves = degraded.read_curves(scored_in, scores, results, config) if scored_in else None
    speeds = measured or (speed.read_speed(scored_in / speed.FILE) if scored_in else [])
    text = report.write_tables(
        out, scores, results, config, compared, classes, curves, choices["plots"], speeds
    )
    click.echo(text, nl=False)
    if choices["plots"]:
        report.write_score_plots(out, results, config, compared, curves)
    note_written(out)
    failed = any(result.mean.unreadable for result in results) or degraded.has_failures(curves)
    return ExitCode.DONE_WITH_FAILURES if failed else ExitCode.DONE


def result_files(folder: Path) -> list[str]:
    """The tables, and the plots that are there."""
    plots = (
        path.name
        for stem in (
            "roc",
            "sets",
            "reliability",
            "generators",
            "importance",
            "features-*",
            "degradation",
            "costs",
        )
        for suffix in (".png", ".svg")
        for path in folder.glob(stem + suffix)
    )
    return [*_TABLES, *sorted(plots)]


def check_unedited(choices: MeasureOptions | AllRunOptions) -> None:
    """Refuse to replace tables and plots that somebody edited."""
    from sidscan.training.common.files import check_unedited

    if not choices["overwrite"]:
        check_unedited(choices["out"], result_files(choices["out"]))


def note_written(folder: Path) -> None:
    from sidscan.training.common.files import note_written

    note_written(folder, result_files(folder))
