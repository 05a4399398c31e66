"""Train the bundled mini detector: describe random histories of the windows once, then fit the maps on them.

The encoder's filters are fixed, so its statistics of every (window, history) are computed once and kept in
memory; standardisation, projections and RINE's head then follow in closed form, in a minute on a laptop.

    python -m sidscan.training.mini --corpus DIR --out DIR

Only the training part of the split is learned from. The validation part gives the threshold; the test part
is not opened (see ``sidscan.training.card``).
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from sidscan.models import detectors
from sidscan.models.backbones.mini import MiniEncoder
from sidscan.models.heads import RineHead
from sidscan.readers.decode import Picture
from sidscan.readers.views import SIDE, cut

from .corpus import Pixels, Window, decode, fold_of_repo, read_manifest, split
from .histories import live_through, random_crop

SEED = 0
HISTORIES = 24  # random histories of every training window
PENALTY = 0.015  # on squared coefficients, in units of a standardised statistic's variance
SHRINKAGE = 10  # windows; a school of n differs from the mean of all by n / (n + this) of its difference
REPOSITORY_POWER = 0.5  # a repository of n windows weighs n ** this: many small ones outweigh one big one
ENTRANTS = 16  # schools that the head can rank in its four rounds
CHUNK = 64  # windows whose statistics are held as float32 at a time
FALSE_POSITIVES = 0.05  # share of validation photographs above the threshold
FILE = "mini.safetensors"
COMMAND = "python -m sidscan.training.mini --corpus DIR --out sidscan/weights"

R = TypeVar("R")
Job: TypeAlias = Callable[[tuple[int, Window]], R]


@torch.inference_mode()
def mean_logit(encoder: MiniEncoder, head: RineHead, pixels: Pixels) -> float:
    """The mean of the ten crops' logits, cut as the product cuts them; its sigmoid is the picture's score."""
    views = cut(Picture(Image.fromarray(pixels), "window", ()), "ten")
    logits = head(encoder(torch.from_numpy(views.crops).permute(0, 3, 1, 2)))
    return float(logits[list(views.order)].mean())


def repository_weights(windows: Sequence[Window]) -> Tensor:
    """Sampling weights (windows,): both labels weigh the same; n windows of a repository weigh n ** power."""
    counts = Counter((window.synthetic, window.repo) for window in windows)
    weights = torch.tensor([counts[w.synthetic, w.repo] ** (REPOSITORY_POWER - 1) for w in windows])
    synthetic = torch.tensor([window.synthetic for window in windows])
    for label in (synthetic, ~synthetic):
        weights[label] /= weights[label].sum()
    return weights


def one_thread() -> None:
    """Worker set-up: processes share the cores, so each computes on one thread."""
    torch.set_num_threads(1)


class Describer:
    """(index, window) -> float16 statistics of HISTORIES random histories, (HISTORIES, statistics).

    Every window has its own random generator, so the result does not depend on the number of workers.
    """

    def __init__(self, corpus: Path) -> None:
        self.corpus = corpus
        self.encoder = MiniEncoder().eval()

    def __call__(self, numbered: tuple[int, Window]) -> NDArray[np.float16]:
        index, window = numbered
        rng = np.random.default_rng([SEED, index])
        pixels = decode(self.corpus, window)
        crops = [random_crop(live_through(pixels, rng), SIDE, rng) for _ in range(HISTORIES)]
        views = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return torch.cat(self.encoder.describe(views), dim=1).half().numpy()


class Scorer:
    """(index, window) -> its mean ten-crop logit."""

    def __init__(self, corpus: Path, encoder: MiniEncoder, head: RineHead) -> None:
        self.corpus, self.encoder, self.head = corpus, encoder, head

    def __call__(self, numbered: tuple[int, Window]) -> float:
        return mean_logit(self.encoder, self.head, decode(self.corpus, numbered[1]))


def in_processes(job: Job[R], windows: Sequence[Window], workers: int, what: str) -> list[R]:
    """``job((index, window))`` of every window, in order, spread over processes, with a progress bar."""
    with multiprocessing.get_context("spawn").Pool(workers, initializer=one_thread) as pool:
        return list(tqdm(pool.imap(job, enumerate(windows), chunksize=8), total=len(windows), desc=what))


@dataclass(frozen=True)
class Described:
    """Training data after the encoder's fixed part."""

    statistics: Tensor  # (windows, histories, all depths side by side), float16
    labels: Tensor  # (windows,), 1.0 for synthetic
    weights: Tensor  # (windows,), how much each counts
    folds: Tensor  # (windows,), the fold of its repository
    repos: Tensor  # (windows,), a number for every repository

    def where(self, chosen: Tensor) -> Described:
        """The windows that a boolean mask chooses."""
        everything = (self.statistics, self.labels, self.weights, self.folds, self.repos)
        return Described(*(values[chosen] for values in everything))


def standardise(encoder: MiniEncoder, described: Described) -> None:
    """Set the encoder's centre and spread to the statistics' mean and standard deviation."""
    widths = [len(centre) for centre in encoder.centre]
    columns = torch.split(described.statistics.flatten(0, 1), widths, dim=1)
    for centre, spread, values in zip(encoder.centre, encoder.spread, columns, strict=True):
        centre.data.copy_(values.float().mean(dim=0))
        spread.data.copy_(values.float().std(dim=0) + 1e-3)


def scatter(encoder: MiniEncoder, described: Described) -> tuple[Tensor, Tensor]:
    """Weighted mean (statistics,) and covariance (statistics, statistics) of standardised statistics."""
    size = described.statistics.shape[2]
    mean, matrix = torch.zeros(size), torch.zeros(size, size)
    weights = described.weights / described.weights.sum() / described.statistics.shape[1]
    for chunk in torch.split(torch.arange(len(weights)), CHUNK):
        values = normalised(encoder, described.statistics[chunk])
        weighted = values * weights[chunk, None, None]
        mean += weighted.sum(dim=(0, 1))
        matrix += weighted.flatten(0, 1).T @ values.flatten(0, 1)
    return mean, matrix - torch.outer(mean, mean)


def school_means(encoder: MiniEncoder, synthetic: Described, mean: Tensor) -> Tensor:
    """Mean standardised statistics of every school, shrunk to ``mean``, (schools, statistics)."""
    means = []
    for repo in sorted(set(synthetic.repos.tolist())):
        school = synthetic.where(synthetic.repos == repo)
        windows = len(school.labels)
        own = normalised(encoder, school.statistics).mean(dim=(0, 1))
        means.append(mean + (own - mean) * windows / (windows + SHRINKAGE))
    return torch.stack(means)


def normalised(encoder: MiniEncoder, statistics: Tensor) -> Tensor:
    """(windows, histories, all depths side by side), float16 -> the same standardised, float32."""
    widths = [len(centre) for centre in encoder.centre]
    return torch.cat(encoder.normalise(list(torch.split(statistics.float(), widths, dim=2))), dim=2)


def fit_projections(encoder: MiniEncoder, described: Described) -> Tensor:
    """Set ``encoder.project``: one linear discriminant over all depths per school of synthesis.

    A school is a synthetic repository. Its discriminant separates it from all photographs with the pooled
    covariance of both labels, and reads in standard deviations above the average photograph. Every depth
    gets its share, divided by the share's importance (its part of the sum of all shares' standard
    deviations over photographs), so that the features of all depths have one size.

    Returns:
        importance (blocks, schools); features weighed by it sum to the readings.
    """
    real, synthetic = (described.where(described.labels == label) for label in (0.0, 1.0))
    mean, spread = scatter(encoder, real)
    synthetic_mean, synthetic_spread = scatter(encoder, synthetic)
    pooled = (spread + synthetic_spread) / 2 + PENALTY * torch.eye(len(mean))
    differences = school_means(encoder, synthetic, synthetic_mean) - mean
    whole = torch.cholesky_solve(differences.T, torch.linalg.cholesky(pooled)).T
    whole /= ((whole @ spread) * whole).sum(dim=1, keepdim=True).sqrt()
    places = torch.split(torch.arange(len(mean)), [len(centre) for centre in encoder.centre])
    spreads = [((whole[:, p] @ spread[p][:, p]) * whole[:, p]).sum(dim=1).sqrt() for p in places]
    importance = torch.stack(spreads) / torch.stack(spreads).sum(dim=0)
    encoder.project = nn.ModuleList(
        linear(whole[:, place] / share[:, None], -(whole[:, place] @ mean[place]) / share)
        for place, share in zip(places, importance, strict=True)
    )
    encoder.width = len(whole)
    return importance


@torch.no_grad()
def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with these parameters."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


@torch.inference_mode()
def readings(encoder: MiniEncoder, importance: Tensor, described: Described) -> Tensor:
    """The highest school's reading of every history, (windows, histories)."""
    widths = [len(centre) for centre in encoder.centre]
    chunks = []
    for chunk in torch.split(described.statistics, CHUNK):
        features = encoder.embed(list(torch.split(chunk.flatten(0, 1).float(), widths, dim=1)))
        chunks.append((features * importance).sum(dim=1).amax(dim=1).reshape(chunk.shape[:2]))
    return torch.cat(chunks)


def unseen_readings(encoder: MiniEncoder, described: Described) -> Tensor:
    """``readings`` of every window from projections fitted without the fold of its repository.

    On what they were fitted on, projections look better than they are: logits would be overconfident.
    """
    unseen = torch.empty(described.statistics.shape[:2])
    for fold in sorted(set(described.folds.tolist())):
        inside = described.folds == fold
        importance = fit_projections(encoder, described.where(~inside))
        unseen[inside] = readings(encoder, importance, described.where(inside))
    return unseen


def calibrate(unseen: Tensor, described: Described) -> tuple[float, float]:
    """Logistic regression of the label on the reading: slope, bias."""
    line = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.LBFGS([line], max_iter=50)
    weights = (described.weights / described.weights.sum())[:, None].expand_as(unseen) / unseen.shape[1]
    labels = described.labels[:, None].expand_as(unseen)

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = line[0] * unseen + line[1]
        value = functional.binary_cross_entropy_with_logits(logits, labels, weights, reduction="sum")
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    slope, bias = line.tolist()
    return slope, bias


@torch.no_grad()
def tournament_head(importance: Tensor, slope: float, bias: float) -> RineHead:
    """A RINE head that lets the schools compete: logit = slope * (highest reading) + bias.

    The Trainable Importance Estimator holds the importance of every depth. The ReLUs before it pass a value
    as two halves, positive and negative; each of the four behind it plays a round of a knock-out tournament:
    max(a, b) = relu(a - b) + relu(b) - relu(-b). On so few repositories a head fitted by gradient only learnt
    less (see the model card), so these parameters are set, not descended to.

    Raises:
        ValueError: more schools than four rounds can rank.
    """
    blocks, schools = importance.shape
    if schools > ENTRANTS:
        raise ValueError(f"{schools} schools, but four rounds rank at most {ENTRANTS}")
    head = RineHead(blocks, schools, projected=2 * ENTRANTS, layers=2).eval()
    for parameter in head.parameters():
        parameter.zero_()
    halves = torch.cat([torch.eye(schools), -torch.eye(schools)])
    head.get_parameter("proj1.1.weight")[: len(halves)] = halves
    head.get_parameter("proj1.4.weight").copy_(torch.eye(2 * ENTRANTS))
    head.alpha[0, :, : len(halves)] = importance.log().repeat(1, 2)
    values = functional.pad(halves.T, (0, 2 * ENTRANTS - len(halves)))  # how to read each entrant
    for name in ("proj2.1", "proj2.4", "head.0", "head.3"):
        one, other = values[0::2], values[1::2]
        other = torch.cat([other, one[len(other) :]])  # the last of an odd number meets itself
        games = torch.stack([one - other, other, -other], dim=1).flatten(0, 1)
        head.get_parameter(f"{name}.weight")[: len(games)] = games
        results = torch.tensor([[1.0, 1.0, -1.0]])
        values = torch.kron(torch.eye(len(one)), results)
        values = functional.pad(values, (0, 2 * ENTRANTS - values.shape[1]))
    head.get_parameter("head.6.weight").copy_(slope * values)
    head.get_parameter("head.6.bias").fill_(bias)
    return head


def fit(described: Described) -> tuple[MiniEncoder, RineHead]:
    """Standardise, fit the projections, then the head that weighs them."""
    encoder = MiniEncoder().eval()
    standardise(encoder, described)
    slope, bias = calibrate(unseen_readings(encoder, described), described)
    importance = fit_projections(encoder, described)
    return encoder, tournament_head(importance, slope, bias)


def threshold_of(scorer: Scorer, validation: Sequence[Window], workers: int) -> float:
    """The score that FALSE_POSITIVES of the validation photographs exceed."""
    photographs = [window for window in validation if not window.synthetic]
    logits = in_processes(scorer, photographs, workers, "threshold")
    return float(torch.tensor(logits).sigmoid().quantile(1 - FALSE_POSITIVES))


def summary(windows: Sequence[Window]) -> str:
    """One line on the training data, for the weights file."""
    photographs = [w for w in windows if not w.synthetic]
    return (
        f"{len(windows) - len(photographs)} synthetic windows and {len(photographs)} windows of photographs "
        f"from {len({w.repo for w in windows})} public repositories; see the model card"
    )


def save(path: Path, encoder: MiniEncoder, head: RineHead, metadata: dict[str, str]) -> None:
    """Write ``encoder.*`` and ``head.*`` as float32 safetensors."""
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata)
    path.chmod(0o644)  # safetensors makes files private to the user


def load(path: Path) -> tuple[MiniEncoder, RineHead, dict[str, str]]:
    """Encoder and head, ready to score, and the file's metadata."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    return *detectors.mini(load_file(path)), metadata


@click.command()
@click.option("--corpus", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--workers", default=2, show_default=True, help="Processes that decode and describe.")
def main(corpus: Path, out: Path, workers: int) -> None:
    """Train the mini detector on CORPUS and write its weights into OUT."""
    windows = read_manifest(corpus)
    folds, parts = fold_of_repo(windows), split(windows)
    train = parts["train"]
    statistics = in_processes(Describer(corpus), train, workers, "describe")
    described = Described(
        torch.from_numpy(np.stack(statistics)),
        torch.tensor([float(window.synthetic) for window in train]),
        repository_weights(train),
        torch.tensor([folds[window.repo] for window in train]),
        torch.tensor([sorted(folds).index(window.repo) for window in train]),
    )
    encoder, head = fit(described)
    threshold = threshold_of(Scorer(corpus, encoder, head), parts["validation"], workers)
    metadata = {
        "name": "mini",
        "version": "1",
        "licence": "Apache-2.0",
        "threshold": f"{threshold:.4f}",
        "training_data": summary(train),
    }
    save(out / FILE, encoder, head, metadata)


if __name__ == "__main__":
    main()
