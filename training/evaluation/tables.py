"""Metrics -> results.csv and results.md, on request beside the authors' published figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from sidscan.errors import UsageError
from sidscan.training.common.files import write_text
from sidscan.training.common.metrics import METRIC_NAMES

from . import published
from .published import PublishedRun
from .results import FEWEST_IMAGES, MEAN_KEY, MetricsConfig, ModelMetrics, SetMetrics
from .testsets import family_of_set, title_of_set

_INTERVALS = (
    "In percent; in brackets the 95 % bootstrap interval of {} resamples of the images, real and synthetic "
    "ones apart. It shows how much other images of the same kind would change the value, not other "
    "generators. An image that several sets share counts once in each."
)
_NO_INTERVAL = (
    f"A set with fewer than {FEWEST_IMAGES} images of a label has no interval, and neither has an average "
    "over it."
)
_SET_COLUMNS = ("model", "digest", "crops", "perturbation", "set", "n_real", "n_synthetic", "unreadable")
TABLES = tuple(zip(("Accuracy", "Average precision"), published.PUBLISHED_METRICS, strict=True))
"""Heading and metric of the two tables in the layout of the paper's Table 2."""
_CLASSES = {"rine-1class": "1", "rine-2class": "2", "rine-4class": "4", "rine-ldm": "LDM"}
PublishedRuns = Mapping[str, PublishedRun | None]
"""Model -> the published run to compare it with; None where the paper prints an average alone."""


def write_results_csv(path: Path, models: Sequence[ModelMetrics], compared: PublishedRuns) -> None:
    """One row for each set of a model, and one for the mean: metrics, their bounds, and published figures."""
    rows = []
    for model in models:
        run = compared.get(model.model)
        for one_set in (*model.sets, model.mean):
            row = dict(zip(_SET_COLUMNS, _set_cells(model, one_set), strict=True))
            for name in METRIC_NAMES:
                row[name] = one_set.values[name]
                row |= {f"{name}_low": one_set.low[name], f"{name}_high": one_set.high[name]}
            row["ece"] = one_set.ece
            if compared:
                acc, ap = published_figures(model, run, one_set.key) or (math.nan, math.nan)
                row |= {
                    "published_run": run.name if run else "",
                    "published_acc": acc,
                    "published_ap": ap,
                }
            rows.append(row)
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def write_generators_csv(path: Path, models: Sequence[ModelMetrics]) -> None:
    """One row for each generator of a set and model, against all real images of the set."""
    rows = []
    for model in models:
        for one in model.generators:
            row = dict(zip(_SET_COLUMNS, _set_cells(model, one), strict=True)) | {"generator": one.generator}
            for name in METRIC_NAMES:
                row[name] = one.values[name]
                row |= {f"{name}_low": one.low[name], f"{name}_high": one.high[name]}
            row["ece"] = one.ece
            rows.append(row)
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def write_reliability_csv(path: Path, models: Sequence[ModelMetrics]) -> None:
    """One row for each bin of scores of a set and model that has images."""
    rows = [
        {
            "model": model.model,
            "set": key,
            "low": index / len(bins.images),
            "high": (index + 1) / len(bins.images),
            "images": bins.images[index],
            "score": bins.score[index],
            "synthetic": bins.synthetic[index],
        }
        for model in models
        for key, bins in model.reliability.items()
        for index in range(len(bins.images))
        if bins.images[index]
    ]
    write_text(path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6f", lineterminator="\n"))


def runs_to_compare(
    models: Sequence[str], perturbation: str, run_name: str, known: Mapping[str, str] | None = None
) -> PublishedRuns:
    """The published run to compare with each model: ``run_name``, or the model's own run if that is empty.

    Of other methods the paper prints averages, which have no run. A model of which nothing was published is
    left out if something was of another.

    Args:
        known: model -> name of its run, for models that are not in the catalog.

    Raises:
        UsageError: no such run was published, or nothing of any of the models.
    """
    if run_name:
        return dict.fromkeys(models, published.find_run(run_name))
    compared: dict[str, PublishedRun | None] = {}
    missing: dict[str, UsageError] = {}
    for model in models:
        try:
            compared[model] = published.run_of_model(model, perturbation, (known or {}).get(model))
        except UsageError as error:
            if not perturbation and published.average_of_model(model):
                compared[model] = None
            else:
                missing[model] = error
    if missing and not compared:
        raise published.nothing_published(missing, perturbation)
    return compared


def _set_cells(model: ModelMetrics, one_set: SetMetrics) -> list[object]:
    return [
        *(model.model, model.digest, model.crops, model.perturbation),
        *(one_set.key, one_set.real, one_set.synthetic, one_set.unreadable),
    ]


def published_figures(model: ModelMetrics, run: PublishedRun | None, key: str) -> tuple[float, float] | None:
    """The published accuracy and AP for a set; for ``mean``, over the same sets as the model's mean."""
    if run is None:
        return None
    if key != MEAN_KEY:
        return run.figures.get(key)
    if any(one_set.key not in run.figures for one_set in model.sets):
        return None
    accuracies, precisions = zip(*(run.figures[one_set.key] for one_set in model.sets), strict=True)
    return float(np.mean(accuracies)), float(np.mean(precisions))


def results_markdown(
    models: Sequence[ModelMetrics],
    config: MetricsConfig,
    compared: PublishedRuns,
    classes: Mapping[str, str] | None = None,
) -> str:
    """Two tables in the row layout of the paper's Table 2, remarks, and one detailed table for each model.

    Args:
        classes: what models that are not in the catalog were trained on (`published.training_classes`).
    """
    all_classes = _CLASSES | dict(classes or {})
    lines = ["# Evaluation"]
    for metric_index, (heading, _) in enumerate(TABLES):
        lines += ["", f"## {heading}", "", *_paper_table(models, compared, all_classes, metric_index)]
    lines += ["", *_remarks(models, config, compared)]
    if has_several_generators(models):
        lines += ["", "## By generator", "", *_generator_table(models)]
    for model in models:
        lines += ["", f"## {model.model}", "", *_details(model, config)]
    return "\n".join(lines) + "\n"


def _paper_table(
    models: Sequence[ModelMetrics], compared: PublishedRuns, classes: Mapping[str, str], metric_index: int
) -> list[str]:
    """Rows for each model: its values, the published ones, the difference.

    Args:
        metric_index: 0 for accuracy, 1 for average precision.
    """
    keys = set_keys(models)
    columns = (*keys, MEAN_KEY) if has_average(models, compared) else tuple(keys)
    titles = ["AVG" if key == MEAN_KEY else title_of_set(key) for key in columns]
    lines = [
        markdown_row("method", "# classes", *titles),
        markdown_row("---", *["---:"] * (len(columns) + 1)),
    ]
    metric = published.PUBLISHED_METRICS[metric_index]
    for model in models:
        run = compared.get(model.model)
        by_key = {one_set.key: one_set.values[metric] for one_set in (*model.sets, model.mean)}
        measured = [by_key.get(key) for key in columns]
        lines.append(markdown_row(model.model, classes.get(model.model, "-"), *map(_cell, measured)))
        if run:
            pairs = (published_figures(model, run, key) for key in columns)
            theirs = [pair[metric_index] if pair else None for pair in pairs]
            run_classes = str(run.classes or "LDM")
            lines.append(markdown_row(f"published, {run.name}", run_classes, *map(_cell, theirs)))
            lines.append(markdown_row("difference", "", *map(_difference, measured, theirs)))
        elif model.model in compared and (average := published.average_of_model(model.model)):
            figure = (average.accuracy, average.precision)[metric_index]
            cells = [*("-" for _ in keys), f"{figure:.1f}"]
            lines.append(markdown_row(f"published, {average.method} (20 sets)", "-", *cells))
    return lines


def has_average(models: Sequence[ModelMetrics], compared: PublishedRuns) -> bool:
    """Whether an average says more than the columns of the sets: of several sets, or of a published table."""
    averages = (
        model.model in compared and not compared[model.model] and published.average_of_model(model.model)
        for model in models
    )
    return len(set_keys(models)) > 1 or any(averages)


def has_several_generators(models: Sequence[ModelMetrics]) -> bool:
    """Whether some set has images of more than one generator, which its own row does not tell apart."""
    keys = [(model.model, one.key) for model in models for one in model.generators]
    return len(set(keys)) < len(keys)


def generators_of(models: Sequence[ModelMetrics]) -> list[tuple[str, str]]:
    """Set and generator of every row of the table by generator, in the order of the sets."""
    return list(dict.fromkeys((one.key, one.generator) for model in models for one in model.generators))


def set_keys(models: Sequence[ModelMetrics]) -> list[str]:
    """The sets of all models, in the order of tables."""
    return list(dict.fromkeys(one_set.key for model in models for one_set in model.sets))


def _generator_table(models: Sequence[ModelMetrics]) -> list[str]:
    """AUROC of each generator by model."""
    lines = [
        markdown_row("set", "generator", "images", *(model.model for model in models)),
        markdown_row("---", "---", "---:", *["---:"] * len(models)),
    ]
    by_model = [{(one.key, one.generator): one for one in model.generators} for model in models]
    for pair in generators_of(models):
        found = [each.get(pair) for each in by_model]
        images = max(one.synthetic for one in found if one)
        cells = (_with_bounds(one, "auroc") if one else "-" for one in found)
        lines.append(markdown_row(title_of_set(pair[0]), pair[1], str(images), *cells))
    return [*lines, "", "AUROC in percent, each generator against all real images of its set."]


def markdown_row(*cells: str) -> str:
    """A row of a table; what would end a cell is escaped."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def format_percent(fraction: float) -> str:
    """Percent with one decimal, halves rounded away from zero: 0.9825, as of 2,000 images, gives 98.3."""
    return str(Decimal(f"{100 * fraction:.6f}").quantize(Decimal("0.1"), ROUND_HALF_UP))


def _cell(fraction: float | None) -> str:
    return "-" if fraction is None else format_percent(fraction)


def _difference(measured: float | None, theirs: float | None) -> str:
    if measured is None or theirs is None:
        return "-"
    points = format_percent(measured - theirs)
    return points if points.startswith("-") and points != "-0.0" else f"+{points.removeprefix('-')}"


def _remarks(models: Sequence[ModelMetrics], config: MetricsConfig, compared: PublishedRuns) -> list[str]:
    average = " AVG: mean over the sets of the row." if has_average(models, compared) else ""
    lines = [f"In percent; accuracy at a threshold of {config.threshold:g}.{average}"]
    for model in models:
        crops = {"ten": "ten crops", "center": "centre crop"}.get(model.crops, model.crops)
        how = ", ".join(filter(None, (crops, model.perturbation and f"perturbed: {model.perturbation}")))
        lines.append(f"{model.model}: {how or 'crops not stated'}; digest {model.digest or 'not stated'}.")
        missing = model.missing_sets()
        if missing:
            total = len(model.sets) + len(missing)
            titles = ", ".join(title_of_set(key) for key in missing)
            lines.append(f"**{model.model}: AVG over {len(model.sets)} of {total} sets, without {titles}.**")
        if keys := model.one_sided_sets():
            titles = ", ".join(title_of_set(key) for key in keys)
            side = f"all scores lie on one side of the threshold {config.threshold:g}"
            lines.append(f"**{model.model}: {side}, in {titles}.**")
        if count := model.mean.unreadable:
            images = "1 image" if count == 1 else f"{count} images"
            lines.append(f"**{model.model}: {images} without a score, left out.**")
    if compared:
        lines += _published_remarks(models, compared)
    return [f"- {line}" for line in lines]


def _published_remarks(models: Sequence[ModelMetrics], compared: PublishedRuns) -> list[str]:
    lines = ["Differences are in percentage points, this result minus the published one."]
    for name, run in compared.items():
        if run is None:
            continue
        accuracy, precision = map(format_percent, run.mean())
        lines.append(
            f"Published, {run.name}: accuracy {accuracy}, average precision {precision} over its own "
            f"{len(run.figures)} sets; the authors chose the configuration on these same sets."
        )
        perturbation = next(model.perturbation for model in models if model.model == name)
        if perturbation in ("compress", "combined"):
            lines.append(
                "The published figures under JPEG are for quality 95, not 10 to 74 as here; "
                f"`--perturb {perturbation}-published` compresses as the authors did."
            )
    averages = "; ".join(
        f"{method.method} {method.accuracy:.1f} and {method.precision:.1f}"
        for method in published.OTHER_METHODS
    )
    lines.append(
        f"Other methods over the 20 sets, the paper's average accuracy and average precision: {averages}."
    )
    return lines


def _details(model: ModelMetrics, config: MetricsConfig) -> list[str]:
    rate = f"TPR at {100 * config.fpr:g} % FPR"
    lines = [
        markdown_row(
            "set", "family", "real", "synthetic", "unreadable", "ACC", "AP", "AUROC", rate, "EER", "ECE"
        ),
        markdown_row("---", "---", *["---:"] * 9),
    ]
    for one_set in (*model.sets, model.mean) if len(model.sets) > 1 else model.sets:
        key = one_set.key
        label = ("AVG", "") if key == MEAN_KEY else (title_of_set(key), family_of_set(key))
        counts = (str(count) for count in (one_set.real, one_set.synthetic, one_set.unreadable))
        figures = [*(_with_bounds(one_set, name) for name in METRIC_NAMES), format_percent(one_set.ece)]
        lines.append(markdown_row(*label, *counts, *figures))
    if config.resamples:
        lines += ["", _INTERVALS.format(config.resamples)]
        if any(one_set.has_few_images for one_set in model.sets):
            lines += ["", _NO_INTERVAL]
    return lines


def _with_bounds(one_set: SetMetrics, name: str) -> str:
    value = format_percent(one_set.values[name])
    if math.isnan(one_set.low[name]):
        return value
    return f"{value} ({format_percent(one_set.low[name])}-{format_percent(one_set.high[name])})"
