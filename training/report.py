"""Everything an evaluation writes besides its scores: tables, plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import embeddings, plots, tables
from .evaluation import Evaluation
from .published import PublishedRun
from .results import ModelResult, ResultsConfig


def write_tables(
    folder: Path, found: Sequence[ModelResult], config: ResultsConfig, compared: Mapping[str, PublishedRun]
) -> str:
    """results.csv and results.md; the latter's text."""
    text = tables.markdown(found, config, compared)
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
    """Importance per block of RINE heads, and the feature space of all; what was not drawn, in words.

    The feature space is drawn again only where pictures were scored since.

    Args:
        most: pictures in the feature space; 0 leaves it out.
    """
    alphas = {one.info.name: embeddings.alpha(one) for one in evaluation.detectors}
    heads = {name: plots.importance(alpha) for name, alpha in alphas.items() if alpha is not None}
    if heads:
        plots.plot_importance(folder / "importance", heads)
    chosen = embeddings.sample(evaluation.found, most, evaluation.config.seed)
    said = [f"{name} weighs no blocks: no plot of importance" for name in alphas if name not in heads]
    for detector in evaluation.detectors:
        name = detector.info.name
        stem = folder / f"features-{_file_name(name)}"
        if evaluation.kept == evaluation.total and stem.with_name(f"{stem.name}.svg").exists():
            said.append(f"{name}: the plot of the feature space is kept")
        elif chosen:
            said += _features(stem, name, list(embeddings.embed(detector, chosen, evaluation.config)))
    return said


def _features(stem: Path, model: str, points: Sequence[embeddings.Point]) -> list[str]:
    if len(points) < 3:  # two span no plane
        return [f"{model}: too few pictures for a plot of the feature space"]
    keys, labels, z = zip(*points, strict=True)
    synthetic: NDArray[np.bool_] = np.array(labels)
    plots.plot_features(stem, model, np.stack(z), keys, synthetic)
    return []


def _file_name(model: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in model)
