"""What an evaluation writes besides its scores: tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sidscan.training.common.files import write_text

from . import comparison_tables, cost_tables, degraded_tables, embeddings, latex, plots, tables
from .degraded import Curves
from .results import MetricsConfig, ModelMetrics
from .run import Evaluation
from .speed import FILE as SPEED_FILE
from .speed import Speed, speed_markdown, write_speed
from .tables import PublishedRuns

_MAX_FEATURE_PLOTS = 6  # nobody looks at the feature spaces of a grid of 48 models


def write_tables(
    folder: Path,
    scores: pd.DataFrame,
    models: Sequence[ModelMetrics],
    config: MetricsConfig,
    compared: PublishedRuns,
    classes: Mapping[str, str] | None = None,
    curves: Curves | None = None,
    plot_costs: bool = False,
    speeds: Sequence[Speed] = (),
) -> str:
    """Write the tables; returns the text of results.md.

    Args:
        scores: that ``models`` were computed from.
        classes: as for `tables.results_markdown`.
        curves: under degradations.
        plot_costs: whether the cost curves are drawn, too.
        speeds: what was measured of time and memory.
    """
    text = tables.results_markdown(models, config, compared, classes)
    text += comparison_tables.write_comparison(folder, scores, config.threshold)
    if speeds:
        write_speed(folder / SPEED_FILE, speeds)
    text += speed_markdown(speeds, models)
    text += cost_tables.write_costs(folder, models, config, plot_costs)
    text += _degraded(folder, curves)
    write_text(folder / "results.tex", latex.results_latex(models, config, compared))
    tables.write_reliability_csv(folder / "reliability.csv", models)
    tables.write_results_csv(folder / "results.csv", models, compared)
    write_text(folder / "results.md", text)
    if any(model.generators for model in models):
        tables.write_generators_csv(folder / "generators.csv", models)
    return text


def _degraded(folder: Path, curves: Curves | None) -> str:
    if curves is None or not curves.kinds:  # a plot that is there is of other scores
        for suffix in (".png", ".svg"):
            (folder / f"{degraded_tables.PLOT}{suffix}").unlink(missing_ok=True)
    if curves is not None:
        return degraded_tables.write_degraded(folder, curves)
    for name in degraded_tables.FILES:
        (folder / name).unlink(missing_ok=True)
    return ""


def write_score_plots(
    folder: Path,
    models: Sequence[ModelMetrics],
    config: MetricsConfig,
    compared: PublishedRuns,
    curves: Curves | None = None,
) -> None:
    """The plots that need nothing but scores."""
    plots.plot_roc(folder / "roc", models, config.fpr)
    plots.plot_sets(folder / "sets", models, compared)
    plots.plot_reliability(folder / "reliability", models)
    if any(model.generators for model in models):
        plots.plot_generators(folder / "generators", models)
    if curves is not None and curves.kinds:
        degraded_tables.plot_degraded(folder / degraded_tables.PLOT, curves)


def write_model_plots(folder: Path, evaluation: Evaluation, max_images: int) -> list[str]:
    """Importance of the blocks for RINE heads, feature spaces of the first models; returns remarks.

    Args:
        max_images: images in a feature space; 0 leaves these plots out.
    """
    alphas = {detector.info.name: embeddings.rine_alpha(detector) for detector in evaluation.detectors}
    heads = {name: plots.block_importance(alpha) for name, alpha in alphas.items() if alpha is not None}
    if heads:
        plots.plot_importance(folder / "importance", heads)
    remarks = [f"{name} does not weigh blocks: no plot of importance" for name in alphas if name not in heads]
    return remarks + (_write_feature_plots(folder, evaluation, max_images) if max_images else [])


def _write_feature_plots(folder: Path, evaluation: Evaluation, max_images: int) -> list[str]:
    """Plots the feature spaces of the first models; only those without a plot if no image is newly scored."""
    names = [detector.info.name for detector in evaluation.detectors]
    stems = {name: folder / f"features-{_safe_file_name(name)}" for name in names}
    nothing_new = evaluation.num_reused == evaluation.num_images
    remarks, missing = [], []
    for detector in evaluation.detectors[:_MAX_FEATURE_PLOTS]:
        stem = stems[detector.info.name]
        if nothing_new and stem.with_name(f"{stem.name}.svg").exists():
            remarks.append(f"{detector.info.name}: the plot of the feature space is kept")
        else:
            missing.append(detector)
    if rest := names[_MAX_FEATURE_PLOTS:]:
        remarks.append(
            f"feature spaces are drawn for {_MAX_FEATURE_PLOTS} models at most, not for {', '.join(rest)}"
        )
    if not missing:
        return remarks
    images = embeddings.sample_images(evaluation.test_sets, max_images, evaluation.config.seed)
    embedded = list(embeddings.embed_images(missing, images, evaluation.config))
    if len(embedded) < 3:  # two points do not span a plane
        return [*remarks, "too few images for a plot of the feature space"]
    keys, synthetic = [image.set_key for image in embedded], np.array([image.synthetic for image in embedded])
    for index, detector in enumerate(missing):
        z = np.stack([image.z[index] for image in embedded])
        plots.plot_feature_space(stems[detector.info.name], detector.info.name, z, keys, synthetic)
    return remarks


def _safe_file_name(model: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in model)
