"""Tables of model cards, Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from .figure_types import ConditionMetrics, DataSource, Rates


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a bar in a cell becomes a slash."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def percent(share: float) -> str:
    """A fraction, with one decimal."""
    return f"{100 * share:.1f} %"


def conditions_table(metrics: Mapping[str, ConditionMetrics], names: Mapping[str, str]) -> str:
    """One row per condition.

    Args:
        names: what to call each condition.
    """
    header = (
        "images",
        "AUROC",
        "95 % interval",
        "mean AUROC of synthetic repositories",
        "found at 5 % false positives",
        "95 % interval",
        "found at the threshold",
        "false positives at the threshold",
    )
    rows = [
        (
            names[condition],
            f"{figures['auroc']:.3f}",
            "{:.3f} to {:.3f}".format(*figures["auroc_interval"]),
            f"{figures['auroc_of_repositories']:.3f}",
            percent(figures["tpr_at_5"]),
            "{:.0f} to {:.0f} %".format(*(100 * bound for bound in figures["tpr_at_5_interval"])),
            percent(figures["tpr"]),
            percent(figures["fpr"]),
        )
        for condition, figures in metrics.items()
    ]
    return table(header, rows)


def folds_table(per_fold: Mapping[str, Mapping[str, Rates]], names: Mapping[str, str]) -> str:
    """One row per fold, three columns per condition in ``names``.

    Args:
        per_fold: by condition, then by fold.
    """
    rows = []
    for fold, clean in per_fold["clean"].items():
        cells: list[object] = [fold, clean["real"], clean["synthetic"]]
        for condition in names:
            rates = per_fold[condition][fold]
            cells += [f"{rates['auroc']:.3f}", percent(rates["tpr_at_5"]), percent(rates["fpr"])]
        rows.append(cells)
    header = ["fold", "photographs", "synthetic"]
    for name in names.values():
        header += [f"{name}: AUROC", "found at 5 %", "false positives at the threshold"]
    return table(header, rows)


def generators_table(metrics: Mapping[str, ConditionMetrics], names: Mapping[str, str]) -> str:
    """One row per family of generators, two columns per condition in ``names``."""
    rows = []
    for name, clean in metrics["clean"]["generators"].items():
        cells: list[object] = [name, clean["synthetic"]]
        for condition in names:
            rates = metrics[condition]["generators"][name]
            cells += [f"{rates['auroc']:.3f}", percent(rates["tpr"])]
        rows.append(cells)
    header = ["generator", "n"]
    for name in names.values():
        header += [f"{name}: AUROC", "found"]
    return table(header, rows)


def false_positives_table(
    metrics: Mapping[str, ConditionMetrics],
    names: Mapping[str, str],
    group: Literal["real_kinds", "real_repositories"],
    title: str,
) -> str:
    """One row per kind or repository of photographs, one column per condition in ``names``."""
    rows = []
    for name, clean in metrics["clean"][group].items():
        shares = [percent(metrics[condition][group][name]["fpr"]) for condition in names]
        rows.append([name, clean["n"], *shares])
    return table([title, "n", *names.values()], rows)


def sources_table(sources: Sequence[DataSource]) -> str:
    """One row per repository and label."""
    rows = [
        (
            row["fold"],
            row["label"],
            row["repository"],
            row["windows"],
            ", ".join(row["what"][:6]) + (" ..." if len(row["what"]) > 6 else ""),
            row["licence"],
        )
        for row in sources
    ]
    header = ("fold", "label", "repository", "windows", "generator or kind", "licence as stated")
    return table(header, rows)
