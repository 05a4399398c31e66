"""Figures -> results.csv, results.json and results.md, beside what DeCLIP's authors published."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from sidscan.training.common.degradations import UNCHANGED
from sidscan.training.common.files import write_json, write_text

from .published import AUTHORS_SETS, PUBLISHED_BY, PUBLISHED_IOU, SOURCE
from .results import MEAN_KEY, MapFigures

RESULT_FILES = ("results.csv", "results.json", "results.md")
_COLUMNS = tuple(field.name for field in fields(MapFigures))
_METRICS = (  # heading, field, factor that makes it percent
    ("IoU", "iou", 1),
    ("AP", "ap", 100),
    ("F1 at 0.5", "f1_fixed", 100),
    ("F1 best", "f1_best", 100),
    ("AUROC by area", "auroc_area", 100),
    ("AUROC by mean", "auroc_mean", 100),
)
_MEANING = (
    "In percent. IoU: mean over images with a synthetic part, pixels above 0.5 against the mask in its own "
    "size; 100 where both are empty. AP and best F1 are computed for each image. F1 ignores pixels near the "
    "border of a region."
)
_AUROC = (
    "AUROC: how often an image with a synthetic part is marked more than a real one, by marked area and by "
    "the map's mean."
)
_EVERYTHING = "everything: the IoU of a map that marks all of the image."


def write_results(folder: Path, results: Sequence[MapFigures]) -> str:
    """Write the three files; returns the text of results.md."""
    text = results_markdown(results)
    write_text(folder / "results.csv", results_csv(results))
    write_json(folder / "results.json", [asdict(each) for each in results])
    write_text(folder / "results.md", text)
    return text


def results_csv(results: Sequence[MapFigures]) -> str:
    """One row for each set, localizer and perturbation, and one for each mean."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in results:
        values = [getattr(each, name) for name in _COLUMNS]
        writer.writerow([f"{value:.6f}" if isinstance(value, float) else value for value in values])
    return out.getvalue()


def results_markdown(results: Sequence[MapFigures]) -> str:
    """IoU of each localizer on each set, beside the published table; then all figures; then perturbations."""
    plain = [each for each in results if each.perturbation == UNCHANGED]
    lines = ["# Evaluation of maps", "", "## IoU, test sets by localizers", "", *_iou_table(plain)]
    if {each.set for each in plain} & set(AUTHORS_SETS):
        lines += ["", "## Published IoU, test sets by training sets", "", *_published_table(plain)]
    lines += ["", *(f"- {remark}" for remark in (_MEANING, _AUROC, _EVERYTHING, *_faults(results)))]
    for model in dict.fromkeys(each.model for each in plain):
        own = [each for each in plain if each.model == model]
        lines += ["", f"## {model}", "", *_details(own)]
    if len(plain) < len(results):
        lines += ["", "## IoU under perturbations, mean over the sets", "", *_perturbations_table(results)]
    return "\n".join(lines) + "\n"


def _iou_table(results: Sequence[MapFigures]) -> list[str]:
    models = list(dict.fromkeys(each.model for each in results))
    sets = list(dict.fromkeys(each.set for each in results))
    cells = {(each.set, each.model): each for each in results}
    trained = {each.model: each.trained_on for each in results}
    heads = [f"{model} (trained on {trained[model]})" if trained[model] else model for model in models]
    lines = [_row("test set", *heads, "everything"), _row("---", *["---:"] * (len(models) + 1))]
    for name in sets:
        first = cells[name, models[0]]
        values = [_cell(cells[name, model].iou, 1) for model in models]
        lines.append(_row(name, *values, _cell(first.constant_iou, 1)))
    return lines


def _published_table(results: Sequence[MapFigures]) -> list[str]:
    lines = [_row("test set", *AUTHORS_SETS), _row("---", *["---:"] * len(AUTHORS_SETS))]
    for test in AUTHORS_SETS:
        lines.append(_row(test, *(f"{PUBLISHED_IOU[test, train]:.1f}" for train in AUTHORS_SETS)))
    other = any(each.protocol != "global" for each in results)
    return [*lines, "", f"{SOURCE} {PUBLISHED_BY}" if other else SOURCE]


def _details(results: Sequence[MapFigures]) -> list[str]:
    lines = [
        _row("set", "synthetic", "real", *(heading for heading, _, _ in _METRICS)),
        _row("---", *["---:"] * (len(_METRICS) + 2)),
    ]
    for each in results:
        values = [_cell(getattr(each, name), factor) for _, name, factor in _METRICS]
        lines.append(_row(each.set, str(each.synthetic), str(each.real), *values))
    mean = results[-1]
    return [*lines, "", f"Protocol {mean.protocol or '-'}; digest {mean.digest}."]


def _perturbations_table(results: Sequence[MapFigures]) -> list[str]:
    means = [each for each in results if each.set == MEAN_KEY]
    models = list(dict.fromkeys(each.model for each in means))
    cells = {(each.perturbation, each.model): each.iou for each in means}
    lines = [_row("perturbation", *models), _row("---", *["---:"] * len(models))]
    for perturbation in dict.fromkeys(each.perturbation for each in means):
        lines.append(_row(perturbation, *(_cell(cells.get((perturbation, model)), 1) for model in models)))
    return lines


def _faults(results: Sequence[MapFigures]) -> list[str]:
    """What was left out, for each localizer: nobody may overlook it."""
    faults = []
    for each in results:
        if each.set != MEAN_KEY or each.perturbation != UNCHANGED:
            continue
        if each.unreadable:
            faults.append(f"**{each.model}: images left out because they can't be used: {each.unreadable}.**")
        if each.without_f1:
            faults.append(f"{each.model}: regions too small for F1, left out there: {each.without_f1}.")
    return faults


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(value: float | None, factor: float) -> str:
    return "-" if value is None else f"{factor * value:.1f}"
