"""Everything an evaluation writes besides its scores: tables, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from . import embeddings, plots, tables
from .published import PublishedRun
from .results import ModelResult, ResultsConfig
from .run import Evaluation

FEATURE_SPACES = 6  # models whose feature space is drawn; of a grid of 48 nobody looks at all


def write_tables(
    folder: Path,
    found: Sequence[ModelResult],
    config: ResultsConfig,
    compared: Mapping[str, PublishedRun],
    classes: Mapping[str, str] | None = None,
) -> str:
    """results.csv and results.md; the latter's text. ``classes``: as for `tables.markdown`."""
    text = tables.markdown(found, config, compared, classes)
    tables.write_csv(folder / "results.csv", found, compared)
    tables.write_markdown(folder / "results.md", text)
    return text


def write_plots(
    folder: Path, found: Sequence[ModelResult], config: ResultsConfig, compared: Mapping[str, PublishedRun]
) -> None:
    """The plots that need nothing but scores."""
    plots.plot_roc(folder / "roc", found, config.fpr)
    plots.plot_sets(folder / "sets", found, compared)


def write_model_plots(folder: Path, evaluation: Evaluation, most: int) -> list[str]:
    """Importance per block of RINE heads, feature spaces of the first models; what is not drawn, in words.

    A feature space is drawn again only where pictures were scored since.

    Args:
        most: pictures in a feature space; 0 leaves these plots out.
    """
    alphas = {one.info.name: embeddings.alpha(one) for one in evaluation.detectors}
    heads = {name: plots.importance(alpha) for name, alpha in alphas.items() if alpha is not None}
    if heads:
        plots.plot_importance(folder / "importance", heads)
    said = [f"{name} weighs no blocks: no plot of importance" for name in alphas if name not in heads]
    return said + (_write_feature_spaces(folder, evaluation, most) if most else [])


def _write_feature_spaces(folder: Path, evaluation: Evaluation, most: int) -> list[str]:
    stems = {one.info.name: folder / f"features-{_file_name(one.info.name)}" for one in evaluation.detectors}
    said, drawn = [], []
    for detector in evaluation.detectors[:FEATURE_SPACES]:
        name = detector.info.name
        if evaluation.kept == evaluation.total and stems[name].with_name(f"{stems[name].name}.svg").exists():
            said.append(f"{name}: the plot of the feature space is kept")
        else:
            drawn.append(detector)
    rest = [detector.info.name for detector in evaluation.detectors[FEATURE_SPACES:]]
    if rest:
        said.append(f"feature spaces are drawn of {FEATURE_SPACES} models at most, not of {', '.join(rest)}")
    if not drawn:
        return said
    chosen = embeddings.sample(evaluation.found, most, evaluation.config.seed)
    points = list(embeddings.embed(drawn, chosen, evaluation.config))
    if len(points) < 3:  # two span no plane
        return [*said, "too few pictures for a plot of the feature space"]
    keys, synthetic = [point.key for point in points], np.array([point.synthetic for point in points])
    for place, detector in enumerate(drawn):
        z = np.stack([point.z[place] for point in points])
        plots.plot_features(stems[detector.info.name], detector.info.name, z, keys, synthetic)
    return said


def _file_name(model: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in model)
