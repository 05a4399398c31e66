"""Results -> results.csv and results.md, beside the authors' published figures where that is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from sidscan.training.common.files import write_text
from sidscan.training.common.metrics import METRIC_NAMES

from . import published
from .published import PublishedRun
from .results import MEAN, Measured, ModelResult, ResultsConfig
from .testsets import family, title

_INTERVALS = (
    "In percent; in brackets the 95 % bootstrap interval of {} resamples of the pictures, real and synthetic "
    "ones apart. It tells what other pictures of the same kind would change, not what other generators "
    "would. A picture that several sets share counts once in each."
)
_FACTS = ("model", "digest", "crops", "perturbation", "set", "n_real", "n_synthetic", "unreadable")
_TABLES = (("Accuracy", 0), ("Average precision", 1))  # heading, and place in `published.METRICS`
_CLASSES = {"rine-1class": "1", "rine-2class": "2", "rine-4class": "4", "rine-ldm": "LDM"}
Compared = Mapping[str, PublishedRun]  # model -> the run set beside it


def write_csv(path: Path, found: Sequence[ModelResult], compared: Compared) -> None:
    """One row per model and set, one for the mean; figures with their bounds, and the published ones."""
    lines = []
    for result in found:
        run = compared.get(result.model)
        for one in (*result.sets, result.mean):
            row = dict(zip(_FACTS, _facts(result, one), strict=True))
            for name in METRIC_NAMES:
                row |= {name: one.figures[name], f"{name}_low": one.low[name], f"{name}_high": one.high[name]}
            if compared:
                acc, ap = published_cell(result, run, one.key) or (math.nan, math.nan)
                row |= {
                    "published_run": run.name if run else "",
                    "published_acc": acc,
                    "published_ap": ap,
                }
            lines.append(row)
    write_text(path, pd.DataFrame(lines).to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def write_markdown(path: Path, text: str) -> None:
    """Into place."""
    write_text(path, text)


def compare(
    models: Sequence[str], perturbation: str, asked: str, known: Mapping[str, str] | None = None
) -> dict[str, PublishedRun]:
    """The published run to set beside each model: the one called ``asked``, or, if empty, the model's own.

    Args:
        known: runs of models that are not in the catalog.

    Raises:
        UsageError: there is no such run.
    """
    if asked:
        return dict.fromkeys(models, published.find(asked))
    return {model: published.of_model(model, perturbation, (known or {}).get(model)) for model in models}


def _facts(result: ModelResult, one: Measured) -> list[object]:
    whose = [result.model, result.digest, result.crops, result.perturbation]
    return [*whose, one.key, one.real, one.synthetic, one.unreadable]


def published_cell(result: ModelResult, run: PublishedRun | None, key: str) -> tuple[float, float] | None:
    """The published accuracy and AP of a set; of ``mean``, over the same sets as the result has."""
    if run is None:
        return None
    if key != MEAN:
        return run.figures.get(key)
    if any(one.key not in run.figures for one in result.sets):
        return None
    accuracies, precisions = zip(*(run.figures[one.key] for one in result.sets), strict=True)
    return float(np.mean(accuracies)), float(np.mean(precisions))


def markdown(
    found: Sequence[ModelResult],
    config: ResultsConfig,
    compared: Compared,
    classes: Mapping[str, str] | None = None,
) -> str:
    """Two tables in the row layout of the paper's Table 2, remarks, and one detailed table per model.

    Args:
        classes: what models that are not in the catalog were trained on (`published.classes`).
    """
    known = _CLASSES | dict(classes or {})
    lines = ["# Evaluation"]
    for heading, place in _TABLES:
        lines += ["", f"## {heading}", "", *_table(found, compared, known, place)]
    lines += ["", *_remarks(found, config, compared)]
    for result in found:
        lines += ["", f"## {result.model}", "", *_details(result, config)]
    return "\n".join(lines) + "\n"


def _table(
    found: Sequence[ModelResult], compared: Compared, classes: Mapping[str, str], place: int
) -> list[str]:
    """Of accuracy (``place`` 0) or average precision (1): each result, the published one, the difference."""
    keys = list(dict.fromkeys(one.key for result in found for one in result.sets))
    lines = [
        _row("method", "# classes", *(title(key) for key in keys), "AVG"),
        _row("---", *["---:"] * (len(keys) + 2)),
    ]
    for result in found:
        run = compared.get(result.model)
        figures = {one.key: one.figures[published.METRICS[place]] for one in (*result.sets, result.mean)}
        own = [figures.get(key) for key in (*keys, MEAN)]
        lines.append(_row(result.model, classes.get(result.model, "-"), *map(_cell, own)))
        if run:
            pairs = (published_cell(result, run, key) for key in (*keys, MEAN))
            theirs = [pair[place] if pair else None for pair in pairs]
            lines.append(_row(f"published, {run.name}", str(run.classes or "LDM"), *map(_cell, theirs)))
            lines.append(_row("difference", "", *map(_gap, own, theirs)))
    return lines


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def percent(fraction: float) -> str:
    """In percent with one decimal, halves away from zero: 0.9825, as of 2,000 pictures, is 98.3."""
    return str(Decimal(f"{100 * fraction:.6f}").quantize(Decimal("0.1"), ROUND_HALF_UP))


def _cell(fraction: float | None) -> str:
    return "-" if fraction is None else percent(fraction)


def _gap(own: float | None, theirs: float | None) -> str:
    if own is None or theirs is None:
        return "-"
    gap = percent(own - theirs)
    return gap if gap.startswith("-") and gap != "-0.0" else f"+{gap.removeprefix('-')}"


def _remarks(found: Sequence[ModelResult], config: ResultsConfig, compared: Compared) -> list[str]:
    lines = [
        f"In percent; accuracy at a threshold of {config.threshold:g}. AVG: mean over the sets of the row."
    ]
    for result in found:
        crops = {"ten": "ten crops", "center": "centre crop"}.get(result.crops, result.crops)
        how = ", ".join(filter(None, (crops, result.perturbation and f"perturbed: {result.perturbation}")))
        lines.append(f"{result.model}: {how or 'crops not stated'}; digest {result.digest or 'not stated'}.")
        if result.missing():
            total = len(result.sets) + len(result.missing())
            gone = ", ".join(title(key) for key in result.missing())
            lines.append(f"**{result.model}: AVG over {len(result.sets)} of {total} sets, without {gone}.**")
        if result.mean.unreadable:
            lines.append(f"**{result.model}: {result.mean.unreadable} pictures without a score, left out.**")
    if compared:
        lines += _published_remarks(found, compared)
    return [f"- {line}" for line in lines]


def _published_remarks(found: Sequence[ModelResult], compared: Compared) -> list[str]:
    lines = ["Differences are in percentage points, this result minus the published one."]
    for name, run in compared.items():
        accuracy, precision = map(percent, run.mean())
        lines.append(
            f"Published, {run.name}: accuracy {accuracy}, average precision {precision} over its own "
            f"{len(run.figures)} sets; the configuration was chosen on these very sets."
        )
        perturbation = next(result.perturbation for result in found if result.model == name)
        if perturbation in ("compress", "combined"):
            lines.append(
                "The published figures under JPEG were made at quality 95, not 10 to 74 as here; "
                f"`--perturb {perturbation}-published` does the same as theirs."
            )
    averages = (f"{one.method} {one.accuracy:.1f} and {one.precision:.1f}" for one in published.COMPETITORS)
    lines.append(
        "Other methods over the 20 sets, the paper's average accuracy and average precision: "
        f"{'; '.join(averages)}."
    )
    return lines


def _details(result: ModelResult, config: ResultsConfig) -> list[str]:
    rate = f"TPR at {100 * config.fpr:g} % FPR"
    lines = [
        _row("set", "family", "real", "synthetic", "unreadable", "ACC", "AP", "AUROC", rate, "EER"),
        _row("---", "---", *["---:"] * 8),
    ]
    for one in (*result.sets, result.mean):
        label = ("AVG", "") if one.key == MEAN else (title(one.key), family(one.key))
        counts = (str(count) for count in (one.real, one.synthetic, one.unreadable))
        lines.append(_row(*label, *counts, *(_with_bounds(one, name) for name in METRIC_NAMES)))
    if config.draws:
        lines += ["", _INTERVALS.format(config.draws)]
    return lines


def _with_bounds(one: Measured, name: str) -> str:
    figure = percent(one.figures[name])
    if math.isnan(one.low[name]):
        return figure
    return f"{figure} ({percent(one.low[name])}-{percent(one.high[name])})"
