"""What ``sidscan evaluate run`` and ``sidscan evaluate report`` write from scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli.evaluate_options import AllRunOptions, ReportOptions
from sidscan.errors import ExitCode

if TYPE_CHECKING:
    import pandas as pd

    from sidscan.training.evaluation.results import MetricsConfig, ModelMetrics
    from sidscan.training.evaluation.tables import PublishedRuns

_TABLES = (
    *("results.csv", "results.md", "results.tex", "generators.csv", "reliability.csv"),
    *("differences.csv", "agreement.csv", "only-one.csv"),
)


def require_packages(plots: bool) -> None:
    """Finds out before hours of scoring that a package is missing."""
    from sidscan.training.common.extras import import_extra

    for module in ("sklearn", *(["matplotlib"] if plots else [])):
        import_extra(module)


def write_report(
    scores: pd.DataFrame,
    config: MetricsConfig,
    choices: ReportOptions,
    runs: Mapping[str, str] | None = None,
    classes: Mapping[str, str] | None = None,
) -> list[ModelMetrics]:
    """Compute metrics and write what needs nothing but scores; prints the Markdown.

    Args:
        runs: checkpoints by name -> the published run with their configuration.
        classes: checkpoints by name -> what they were trained on.
    """
    from sidscan.training.evaluation import report, tables
    from sidscan.training.evaluation.results import compute_model_metrics

    results = compute_model_metrics(scores, config)
    check_unedited(choices)  # again: hours may have passed
    compared: PublishedRuns = {}
    if choices["compare"] is not None:
        models = [result.model for result in results]
        compared = tables.runs_to_compare(models, results[0].perturbation, choices["compare"], runs)
    click.echo(report.write_tables(choices["out"], scores, results, config, compared, classes), nl=False)
    if choices["plots"]:
        report.write_score_plots(choices["out"], results, config, compared)
    note_written(choices["out"])
    return results


def result_files(folder: Path) -> list[str]:
    """The tables, and the plots that are there."""
    plots = (
        path.name
        for stem in ("roc", "sets", "reliability", "generators", "importance", "features-*")
        for suffix in (".png", ".svg")
        for path in folder.glob(stem + suffix)
    )
    return [*_TABLES, *sorted(plots)]


def check_unedited(choices: ReportOptions | AllRunOptions) -> None:
    """Refuse to replace tables and plots that somebody edited."""
    from sidscan.training.common.files import check_unedited

    if not choices["overwrite"]:
        check_unedited(choices["out"], result_files(choices["out"]))


def note_written(folder: Path) -> None:
    from sidscan.training.common.files import note_written

    note_written(folder, result_files(folder))


def exit_code(results: list[ModelMetrics]) -> ExitCode:
    return ExitCode.DONE_WITH_FAILURES if any(result.mean.unreadable for result in results) else ExitCode.DONE
