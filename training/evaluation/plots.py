"""Plots of scores, metrics, heads and feature spaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common import metrics
from sidscan.training.common.extras import import_extra

from .figures import figure
from .published import PublishedRun
from .results import MEAN_KEY, ModelMetrics, SetMetrics
from .tables import generators_of, published_figures
from .testsets import family_of_set, title_of_set

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

_PERPLEXITY = 30  # of t-SNE, as in the authors' code
_LINES = ("-", "--", ":", "-.")
_MARKERS = ("o", "x", "s", "+", "^")
_FEW_IMAGES = 10  # of a label: a figure over fewer says how many
_LIGHT = 0.18  # relative luminance above which black text has more contrast than white (WCAG 2.2: 0.179)
_MIN_TSNE_IMAGES = 3 * _PERPLEXITY  # with fewer, t-SNE shows nothing that PCA does not
_FAMILY_COLOURS = {
    "gan": "tab:red",
    "diffusion": "tab:brown",
    "deepfake": "tab:purple",
    "low-level": "tab:green",
    "perceptual": "tab:olive",
    "other": "tab:orange",
}  # of synthetic images; real ones are blue


@dataclass(frozen=True)
class BlockImportance:
    """The weights that RINE's Trainable Importance Estimator gives the blocks (paper, section 3.2).

    Attributes:
        mean, std: (blocks,) of softmax(alpha) over the channels.
        largest: (blocks,) share of channels in which the block has the largest weight; the paper's Fig. 7.
    """

    mean: Floats
    std: Floats
    largest: Floats


def block_importance(alpha: NDArray[np.floating]) -> BlockImportance:
    """The weights in a RINE head's ``alpha``, (1, blocks, channels)."""
    shifted = np.exp(alpha[0].astype(np.float64) - alpha[0].max(axis=0))
    weights = shifted / shifted.sum(axis=0)
    blocks, channels = weights.shape
    largest = np.bincount(weights.argmax(axis=0), minlength=blocks) / channels
    return BlockImportance(weights.mean(axis=1), weights.std(axis=1), largest)


def project_to_plane(embeddings: Floats, seed: int = 0) -> tuple[Floats, str]:
    """(n, d') -> (n, 2) and the method: t-SNE as in the authors' code, or PCA for few images."""
    import_extra("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(embeddings) < _MIN_TSNE_IMAGES:
        points: Floats = PCA(2, random_state=seed).fit_transform(embeddings)
        return points, "PCA"
    tsne = TSNE(2, perplexity=_PERPLEXITY, learning_rate=10, init="pca", max_iter=1000, random_state=seed)
    points = tsne.fit_transform(embeddings)
    return points, "t-SNE"


def plot_roc(stem: Path, models: Sequence[ModelMetrics], fpr: float) -> None:
    """ROC curve of every set, one panel for each model."""
    with figure(stem, (6.5 * len(models), 6), len(models)) as panels:
        for axes, model in zip(panels, models, strict=True):
            for index, one_set in enumerate(model.sets):
                rates, hits = metrics.roc(model.curves[one_set.key])
                label = f"{title_of_set(one_set.key)} {one_set.values['auroc']:.3f}"
                axes.step(rates, hits, _line(index), where="post", linewidth=_width(index), label=label)
            axes.axvline(fpr, color="grey", linestyle=":", linewidth=1)
            axes.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
            axes.set(title=f"{model.model}: ROC", xlabel="false-positive rate", ylabel="true-positive rate")
            axes.legend(title="AUROC", fontsize=7, loc="lower right")


def plot_reliability(stem: Path, models: Sequence[ModelMetrics]) -> None:
    """Share of synthetic images by mean score, a line for every set, one panel for each model."""
    with figure(stem, (6.5 * len(models), 6), len(models)) as panels:
        for axes, model in zip(panels, models, strict=True):
            for index, (key, bins) in enumerate(model.reliability.items()):
                used = bins.images > 0
                axes.plot(
                    bins.score[used],
                    bins.synthetic[used],
                    _line(index),
                    linewidth=_width(index),
                    marker=_MARKERS[index % len(_MARKERS)],
                    markersize=3 + _width(index),
                    markerfacecolor="none",
                    label=f"{title_of_set(key)} {bins.ece:.3f}",
                )
            axes.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
            axes.set(
                title=f"{model.model}: reliability", xlabel="mean score", ylabel="share of synthetic images"
            )
            axes.legend(title="ECE", fontsize=7, loc="upper left")


def _line(index: int) -> str:
    """Dashes of a set's line: with matplotlib's ten colours, no two of 20 sets have the same line."""
    return _LINES[index % len(_LINES)]


def _width(index: int) -> float:
    """Points. Earlier lines are wider: they show beside a later one that has the same values."""
    return (3.0, 1.8, 1.2)[min(index, 2)]


def plot_generators(stem: Path, models: Sequence[ModelMetrics]) -> None:
    """AUROC of every generator of a set (row) by model (column), as a heat map."""
    pairs = generators_of(models)
    by_model = [{(one.key, one.generator): one.values["auroc"] for one in each.generators} for each in models]
    cells = np.array([[found.get(pair, np.nan) for found in by_model] for pair in pairs])
    counts = {(one.key, one.generator): one for each in models for one in each.generators}
    labels = [_generator_label(counts[pair]) for pair in pairs]
    size = (1 + 0.075 * max(map(len, labels)) + max(3.5, 1.2 * len(models)), 1.6 + 0.35 * len(pairs))
    with figure(stem, size, 1) as (axes,):
        drawn = axes.imshow(cells, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
        for (row, column), value in np.ndenumerate(cells):
            if not np.isnan(value):
                text = f"{100 * value:.1f}"
                colour = text_colour(drawn.to_rgba(value)[:3])
                axes.text(column, row, text, color=colour, ha="center", va="center", fontsize=8)
        axes.set_yticks(range(len(pairs)), labels, fontsize=8)
        names = [model.model for model in models]
        axes.set_xticks(range(len(models)), names, rotation=30, ha="right", fontsize=8)
        axes.set_title("AUROC in percent, by generator")


def _generator_label(one: SetMetrics) -> str:
    title = title_of_set(one.key)
    label = one.generator if one.generator == title else f"{title}: {one.generator}"
    few = [
        f"{images} {name}"
        for images, name in ((one.real, "real"), (one.synthetic, "synthetic"))
        if images < _FEW_IMAGES
    ]
    return f"{label} (n: {', '.join(few)})" if few else label


def text_colour(background: Iterable[float]) -> str:
    """Black or white, whichever contrasts more with a colour of sRGB, 0 to 1 (WCAG's luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in background]
    luminance = np.dot(linear, (0.2126, 0.7152, 0.0722))
    return "black" if luminance > _LIGHT else "white"


def plot_sets(
    stem: Path, models: Sequence[ModelMetrics], compared: Mapping[str, PublishedRun | None]
) -> None:
    """Accuracy and AP for each set with intervals, published values as marks; one row for each model."""
    num_sets = max(len(model.sets) for model in models)
    with figure(stem, (max(6, 0.7 * num_sets), 4 * len(models)), 1, len(models)) as panels:
        for axes, model in zip(panels, models, strict=True):
            _draw_bars(axes, model, compared.get(model.model))


def _draw_bars(axes: Axes, model: ModelMetrics, run: PublishedRun | None) -> None:
    entries = (*model.sets, model.mean) if len(model.sets) > 1 else model.sets
    positions = np.arange(len(entries))
    for offset, name, colour in ((-0.2, "acc", "olive"), (0.2, "ap", "gold")):
        values = 100 * np.array([entry.values[name] for entry in entries])
        bounds = 100 * np.array(
            [[entry.low[name] for entry in entries], [entry.high[name] for entry in entries]]
        )
        reach = None if np.isnan(bounds).all() else np.abs(bounds - values)
        axes.bar(
            positions + offset, values, 0.38, yerr=reach, color=colour, label=name.upper(), ecolor="grey"
        )
        pairs = [published_figures(model, run, entry.key) for entry in entries]
        marks = [100 * pair[name == "ap"] if pair else np.nan for pair in pairs]
        if run:
            label = "published" if offset > 0 else None
            axes.plot(positions + offset, marks, "k_", markersize=9, label=label)
    names = ["AVG" if entry.key == MEAN_KEY else title_of_set(entry.key) for entry in entries]
    axes.set_xticks(positions, names, rotation=40, ha="right")
    axes.set(ylim=(0, 102), title=model.model, ylabel="ACC and AP in percent")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)


def plot_importance(stem: Path, heads: Mapping[str, BlockImportance]) -> None:
    """For each block: share of channels that it leads (the paper's Fig. 7), mean and spread of its weight."""
    with figure(stem, (14, 6), 1, 2) as (above, below):
        width = 0.8 / len(heads)
        for index, (name, head) in enumerate(heads.items()):
            positions = np.arange(1, len(head.mean) + 1) + (index - (len(heads) - 1) / 2) * width
            above.bar(positions, head.largest, width, label=name)
            below.errorbar(positions, head.mean, yerr=head.std, fmt="o", markersize=4, capsize=2, label=name)
        above.set(ylabel="share of channels", title="Channels whose largest importance is the block's")
        below.set(xlabel="block", ylabel="softmax(alpha)", title="Importance, mean and spread over channels")
        above.legend()
        blocks = np.arange(1, max(len(head.mean) for head in heads.values()) + 1)
        for axes in (above, below):
            axes.set(xticks=blocks, xlim=(0.4, len(blocks) + 0.6))


def plot_feature_space(
    stem: Path, model: str, embeddings: Floats, keys: Sequence[str], synthetic: NDArray[np.bool_]
) -> str:
    """The images' embeddings in the plane, coloured by family of generators; returns the method."""
    points, method = project_to_plane(embeddings)
    families = np.array([family_of_set(key) for key in keys])
    with figure(stem, (7, 5), 1) as (axes,):
        x, y = points[~synthetic].T
        axes.scatter(x, y, s=12, facecolors="none", edgecolors="tab:blue", marker="d", label="real")
        for name, colour in _FAMILY_COLOURS.items():
            x, y = points[synthetic & (families == name)].T
            if len(x):
                axes.scatter(x, y, s=12, alpha=0.6, color=colour, label=f"synthetic, {name}")
        axes.set(
            title=f"{model}: features (z) of {len(points)} images, in the plane by {method}",
            xticks=[],
            yticks=[],
        )
        axes.legend(fontsize=8)
    return method
