"""Figures as PNG and SVG. matplotlib is imported when the first is drawn; no display is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common import metrics
from sidscan.training.common.extras import import_extra
from sidscan.training.common.files import writing_result

from .published import PublishedRun
from .results import ModelResult
from .tables import published_cell
from .testsets import family, title

Floats = NDArray[np.float64]

DPI = 150
_PERPLEXITY = 30  # of t-SNE, as in the authors' code
_FEW = 3 * _PERPLEXITY  # pictures; with fewer t-SNE shows nothing that PCA does not
_COLOURS = {
    "gan": "tab:red",
    "diffusion": "tab:brown",
    "deepfake": "tab:purple",
    "low-level": "tab:green",
    "perceptual": "tab:olive",
    "other": "tab:orange",
}  # of synthetic pictures by family; real ones are blue


@dataclass(frozen=True)
class Importance:
    """What the Trainable Importance Estimator makes of every block (paper, section 3.2).

    Attributes:
        mean, std: (blocks,) of softmax(alpha) over the channels.
        largest: (blocks,) share of channels whose largest weight is this block's; as in the paper's Fig. 7.
    """

    mean: Floats
    std: Floats
    largest: Floats


def importance(alpha: NDArray[Any]) -> Importance:
    """Of a RINE head's ``alpha``, (1, blocks, channels)."""
    shifted = np.exp(alpha[0].astype(np.float64) - alpha[0].max(axis=0))
    weights = shifted / shifted.sum(axis=0)
    blocks, channels = weights.shape
    largest = np.bincount(weights.argmax(axis=0), minlength=blocks) / channels
    return Importance(weights.mean(axis=1), weights.std(axis=1), largest)


def project(embeddings: Floats, seed: int = 0) -> tuple[Floats, str]:
    """(n, d') -> (n, 2) and the method: t-SNE as in the authors' code, PCA where pictures are few."""
    import_extra("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(embeddings) < _FEW:
        flat: Floats = PCA(2, random_state=seed).fit_transform(embeddings)
        return flat, "PCA"
    tsne = TSNE(2, perplexity=_PERPLEXITY, learning_rate=10, init="pca", max_iter=1000, random_state=seed)
    flat = tsne.fit_transform(embeddings)
    return flat, "t-SNE"


def plot_roc(stem: Path, found: Sequence[ModelResult], fpr: float) -> None:
    """ROC curve of every set, one panel per model."""
    with _figure(stem, (6.5 * len(found), 6), len(found)) as axes:
        for axis, result in zip(axes, found, strict=True):
            for index, one in enumerate(result.sets):
                rates, hits = metrics.roc(result.curves[one.key])
                style = ("-", "--", ":")[index // 10 % 3]  # matplotlib has ten colours
                label = f"{title(one.key)} {one.figures['auroc']:.3f}"
                axis.step(rates, hits, style, where="post", linewidth=1.2, label=label)
            axis.axvline(fpr, color="grey", linestyle=":", linewidth=1)
            axis.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
            axis.set(title=f"{result.model}: ROC", xlabel="false-positive rate", ylabel="true-positive rate")
            axis.legend(title="AUROC", fontsize=7, loc="lower right")


def plot_sets(stem: Path, found: Sequence[ModelResult], compared: Mapping[str, PublishedRun]) -> None:
    """Accuracy and AP per set with their intervals, the published values as marks beside; a row per model."""
    most = max(len(result.sets) for result in found)
    with _figure(stem, (max(6, 0.7 * most), 4 * len(found)), len(found), rows=True) as axes:
        for axis, result in zip(axes, found, strict=True):
            _bars(axis, result, compared.get(result.model))


def _bars(axis: Any, result: ModelResult, run: PublishedRun | None) -> None:
    entries = (*result.sets, result.mean)
    places = np.arange(len(entries))
    for offset, name, colour in ((-0.2, "acc", "olive"), (0.2, "ap", "gold")):
        values = np.array([one.figures[name] for one in entries])
        bounds = np.array([[one.low[name] for one in entries], [one.high[name] for one in entries]])
        reach = None if np.isnan(bounds).any() else np.abs(bounds - values)
        axis.bar(places + offset, values, 0.38, yerr=reach, color=colour, label=name.upper(), ecolor="grey")
        theirs = [published_cell(result, run, one.key) for one in entries]
        marks = [pair[name == "ap"] if pair else np.nan for pair in theirs]
        if run:
            axis.plot(places + offset, marks, "k_", markersize=9, label="published" if offset > 0 else None)
    names = [*(title(one.key) for one in result.sets), "AVG"]
    axis.set_xticks(places, names, rotation=40, ha="right")
    axis.set(ylim=(0, 1.02), title=result.model)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)


def plot_importance(stem: Path, heads: Mapping[str, Importance]) -> None:
    """Per block: share of channels that it leads (the paper's Fig. 7), and mean and spread of its weight."""
    with _figure(stem, (14, 6), 2, rows=True) as (above, below):
        width = 0.8 / len(heads)
        for index, (name, one) in enumerate(heads.items()):
            places = np.arange(1, len(one.mean) + 1) + (index - (len(heads) - 1) / 2) * width
            above.bar(places, one.largest, width, label=name)
            below.errorbar(places, one.mean, yerr=one.std, fmt="o", markersize=4, capsize=2, label=name)
        above.set(ylabel="share of channels", title="Channels whose largest importance is the block's")
        below.set(xlabel="block", ylabel="softmax(alpha)", title="Importance, mean and spread over channels")
        above.legend()
        blocks = np.arange(1, max(len(one.mean) for one in heads.values()) + 1)
        for axis in (above, below):
            axis.set_xticks(blocks)


def plot_features(
    stem: Path, model: str, embeddings: Floats, keys: Sequence[str], synthetic: NDArray[np.bool_]
) -> str:
    """The pictures' z in the plane, real and each family of generators apart; the method used."""
    flat, method = project(embeddings)
    families = np.array([family(key) for key in keys])
    with _figure(stem, (7, 5), 1) as (axis,):
        axis.scatter(
            *flat[~synthetic].T, s=12, facecolors="none", edgecolors="tab:blue", marker="d", label="real"
        )
        for name, colour in _COLOURS.items():
            chosen = flat[synthetic & (families == name)]
            if len(chosen):
                axis.scatter(*chosen.T, s=12, alpha=0.6, color=colour, label=f"synthetic, {name}")
        axis.set(title=f"{model}: z of {len(flat)} pictures, {method}", xticks=[], yticks=[])
        axis.legend(fontsize=8)
    return method


@contextmanager
def _figure(stem: Path, size: tuple[float, float], panels: int, rows: bool = False) -> Iterator[Any]:
    """A figure's axes; afterwards it is saved as ``stem`` .png and .svg."""
    import_extra("matplotlib")
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    shape = (panels, 1) if rows else (1, panels)
    yield list(figure.subplots(*shape, squeeze=False).flat)
    with rc_context({"svg.hashsalt": "sidscan"}):  # the same figure is the same file
        for suffix, facts in ((".png", {"Software": None}), (".svg", {"Date": None})):
            with writing_result(stem.with_name(stem.name + suffix)) as partial:
                figure.savefig(partial, dpi=DPI, metadata=facts)
