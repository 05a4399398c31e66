"""Fit the mini detector's maps on described windows, in closed form.

Standardisation, one linear discriminant per school of synthesis, the logit's line, and the RINE head that
holds them. Sums over the folds are kept apart, so that leaving one out costs no second pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from typing import TypeAlias

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from sidscan.models.backbones.mini import MiniEncoder
from sidscan.models.heads.rine import RineHead

UNREAD = 1e-12  # importance of a depth that a discriminant does not read
LOOSENESS = 1e4  # of the calibration: its ridge on the squared slope is half of the inverse
CHUNK = 64  # windows whose statistics are held as float32 at a time

Network: TypeAlias = tuple[MiniEncoder, RineHead]


@dataclass(frozen=True)
class Settings:
    """What is chosen, not fitted; the values are the shipped ones.

    Attributes:
        penalty: on squared coefficients, in units of a standardised statistic's variance.
        shrinkage: windows; a school of n differs from the mean of all by n / (n + this) of its difference.
        synthetic_share: of the covariance; the rest is of photographs, which schools must stand out from.
        bar: standard deviations of photographs; what readings exceed it by counts.
        consensus: weight of the mean reading beside the mean of that.
    """

    penalty: float = 0.03
    shrinkage: float = 10.0
    synthetic_share: float = 0.2
    bar: float = 2.0
    consensus: float = 0.25


SETTINGS = Settings()


@dataclass(frozen=True)
class Described:
    """Training data after the encoder's fixed part."""

    statistics: Tensor  # (windows, histories, all depths side by side), float16
    certainty: Tensor  # (windows, histories), what features are multiplied by
    labels: Tensor  # (windows,), 1.0 for synthetic
    weights: Tensor  # (windows,), how much each counts
    folds: Tensor  # (windows,), the fold of its repository
    repos: Tensor  # (windows,), a number for every repository

    def where(self, chosen: Tensor) -> Described:
        """The windows that an index or a boolean mask chooses."""
        return Described(*(getattr(self, one.name)[chosen] for one in fields(self)))


def standardise(encoder: MiniEncoder, described: Described) -> None:
    """Set the encoder's centre and spread to the statistics' mean and standard deviation."""
    columns = torch.split(described.statistics.flatten(0, 1), encoder.widths, dim=1)
    for centre, spread, values in zip(encoder.centre, encoder.spread, columns, strict=True):
        centre.data.copy_(values.float().mean(dim=0))
        spread.data.copy_(values.float().std(dim=0) + 1e-3)


def normalised(encoder: MiniEncoder, statistics: Tensor) -> Tensor:
    """(windows, histories, all depths side by side), float16 -> the same standardised, float32."""
    return torch.cat(encoder.normalise(list(torch.split(statistics.float(), encoder.widths, dim=2))), dim=2)


@dataclass(frozen=True)
class Moments:
    """Weighted sums of standardised statistics x; sums of different windows add up."""

    weight: Tensor  # (), of all windows
    first: Tensor  # (statistics,), of weight * x
    second: Tensor  # (statistics, statistics), of weight * x x'

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.weight + other.weight, self.first + other.first, self.second + other.second)

    def of(self, columns: Tensor) -> Moments:
        """Those of some statistics alone."""
        return Moments(self.weight, self.first[columns], self.second[columns][:, columns])

    @property
    def mean(self) -> Tensor:
        """(statistics,)."""
        return self.first / self.weight

    @property
    def covariance(self) -> Tensor:
        """(statistics, statistics)."""
        return self.second / self.weight - torch.outer(self.mean, self.mean)


def moments(encoder: MiniEncoder, described: Described) -> Moments:
    """The moments of some windows, all histories alike."""
    size, histories = described.statistics.shape[2], described.statistics.shape[1]
    first, second = torch.zeros(size), torch.zeros(size, size)
    for chunk in torch.split(torch.arange(len(described.labels)), CHUNK):
        values = normalised(encoder, described.statistics[chunk])
        weighted = (values * described.weights[chunk, None, None] / histories).flatten(0, 1)
        first += weighted.sum(dim=0)
        second.addmm_(weighted.T, values.flatten(0, 1))
    return Moments(described.weights.sum(), first, second)


@dataclass(frozen=True)
class Sums:
    """All that the projections need to know of the windows of one fold."""

    real: Moments
    synthetic: Moments
    schools: tuple[tuple[int, Tensor], ...]  # windows of every synthetic repository, mean statistics

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.real + other.real, self.synthetic + other.synthetic, self.schools + other.schools)

    def of(self, columns: Tensor) -> Sums:
        """Those of some statistics alone."""
        schools = tuple((n, mean[columns]) for n, mean in self.schools)
        return Sums(self.real.of(columns), self.synthetic.of(columns), schools)


def sums(encoder: MiniEncoder, described: Described) -> Sums:
    """The sums over one fold's windows."""
    real, synthetic = (described.where(described.labels == label) for label in (0.0, 1.0))
    repos = [synthetic.where(synthetic.repos == repo) for repo in sorted(set(synthetic.repos.tolist()))]
    means = [normalised(encoder, repo.statistics).mean(dim=(0, 1)) for repo in repos]
    sizes = [len(repo.labels) for repo in repos]
    return Sums(moments(encoder, real), moments(encoder, synthetic), tuple(zip(sizes, means, strict=True)))


@dataclass(frozen=True)
class Discriminants:
    """One linear discriminant per school of synthesis.

    Attributes:
        directions: (schools, statistics); they read in standard deviations of photographs.
        mean, spread: of photographs, (statistics,) and (statistics, statistics).
    """

    directions: Tensor
    mean: Tensor
    spread: Tensor


def discriminants(known: Sums, settings: Settings = SETTINGS) -> Discriminants:
    """One per school, a synthetic repository.

    It separates the school from all photographs with the covariance of both labels, above all theirs, and
    reads in standard deviations above the average photograph.
    """
    mean, spread = known.real.mean, known.real.covariance
    share = settings.synthetic_share
    pooled = (1 - share) * spread + share * known.synthetic.covariance
    pooled += settings.penalty * torch.eye(len(mean))
    average, shrinkage = known.synthetic.mean, settings.shrinkage
    shrunk = [average + (own - average) * n / (n + shrinkage) for n, own in known.schools]
    differences = torch.stack(shrunk) - mean
    directions = torch.cholesky_solve(differences.T, torch.linalg.cholesky(pooled)).T
    directions /= deviations(directions, spread)[:, None]
    return Discriminants(directions, mean, spread)


def fit_projections(encoder: MiniEncoder, folds: Sequence[Sums]) -> Tensor:
    """Set ``encoder.project``: the discriminants of all that these folds know, cut into depths.

    Every depth gets its share, divided by the share's importance (its part of the sum of all shares' standard
    deviations over photographs), so that the features of all depths have one size.

    Returns:
        importance (blocks, schools); features weighed by it sum to the readings.
    """
    found = discriminants(reduce(add, folds))
    whole, mean, spread = found.directions, found.mean, found.spread
    places = torch.split(torch.arange(len(mean)), encoder.widths)
    spreads = [deviations(whole[:, place], spread[place][:, place]) for place in places]
    importance = torch.stack(spreads) / torch.stack(spreads).sum(dim=0)
    encoder.project = nn.ModuleList(
        linear(whole[:, place] / share[:, None], -(whole[:, place] @ mean[place]) / share)
        for place, share in zip(places, importance, strict=True)
    )
    encoder.width = len(whole)
    return importance


def deviations(directions: Tensor, covariance: Tensor) -> Tensor:
    """Standard deviation along every direction (n, statistics); a trace where few windows have none. (n,)."""
    variance = ((directions @ covariance) * directions).sum(dim=1)
    return variance.clamp_min(1e-5 * (directions * directions).sum(dim=1)).sqrt()


@torch.no_grad()
def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with these parameters."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


@torch.inference_mode()
def evidence(encoder: MiniEncoder, importance: Tensor, described: Described) -> Tensor:
    """`verdict` of every history: (windows, histories)."""
    chunks = []
    for chunk, certainty in zip(
        torch.split(described.statistics, CHUNK), torch.split(described.certainty, CHUNK), strict=True
    ):
        features = encoder.embed(list(torch.split(chunk.flatten(0, 1).float(), encoder.widths, dim=1)))
        readings = (features * importance).sum(dim=1) * certainty.flatten()[:, None]
        chunks.append(verdict(readings).reshape(chunk.shape[:2]))
    return torch.cat(chunks)


def verdict(readings: Tensor, settings: Settings = SETTINGS) -> Tensor:
    """Readings (n, schools) -> mean of what they exceed the bar by + consensus * their mean, (n,)."""
    return (readings - settings.bar).relu().mean(dim=1) + settings.consensus * readings.mean(dim=1)


def unseen_evidence(encoder: MiniEncoder, described: Described, folds: Mapping[int, Sums]) -> Tensor:
    """``evidence`` of every window from projections fitted without the fold of its repository.

    On what they were fitted on, projections look better than they are: logits would be overconfident.
    """
    unseen = torch.empty(described.statistics.shape[:2])
    for fold in folds:
        inside = described.folds == fold
        importance = fit_projections(encoder, [found for other, found in folds.items() if other != fold])
        unseen[inside] = evidence(encoder, importance, described.where(inside))
    return unseen


def balanced(weights: Tensor, labels: Tensor) -> Tensor:
    """``weights`` scaled so that those of each label sum to one half, (windows,)."""
    synthetic, real = (weights * labels).sum(), (weights * (1 - labels)).sum()
    return weights * torch.where(labels > 0, 0.5 / synthetic, 0.5 / real)


def calibrate(unseen: Tensor, described: Described) -> tuple[float, float]:
    """Logistic regression of the label on the evidence: slope, bias.

    Fitted in standard deviations and with a trace of ridge, so that it ends where the labels don't overlap.
    """
    scale = float(unseen.std())
    weights = balanced(described.weights, described.labels)[:, None].expand_as(unseen) / unseen.shape[1]
    labels = described.labels[:, None].expand_as(unseen)
    values, truth, shares = (part.double().flatten().numpy() for part in (unseen / scale, labels, weights))
    line = LogisticRegression(C=LOOSENESS).fit(values[:, None], truth, shares)
    return float(line.coef_[0, 0]) / scale, float(line.intercept_[0])


@torch.no_grad()
def verdict_head(importance: Tensor, slope: float, bias: float) -> RineHead:
    """A RINE head: logit = slope * `verdict` + bias.

    The Trainable Importance Estimator holds the importance of every depth. The ReLUs before it pass a value
    as two halves, positive and negative; behind it, one unit per school passes what its reading exceeds the
    bar by, and two the halves of the mean reading. A head fitted by gradient learnt less
    (docs/log/detector.md), so these parameters are set, not descended to.
    """
    blocks, schools = importance.shape
    width = 2 * schools + 2
    head = RineHead(blocks, schools, width, 1).eval()
    for parameter in head.parameters():
        parameter.zero_()
    halves = torch.cat([torch.eye(schools), -torch.eye(schools), torch.zeros(2, schools)])
    head.get_parameter("proj1.1.weight").copy_(halves)
    head.alpha[0, :, : 2 * schools] = importance.clamp_min(UNREAD).log().repeat(1, 2)
    average = halves.mean(dim=1)
    read = torch.cat([halves.T, average[None], -average[None]])  # every reading, and the mean both ways
    found = torch.tensor([1 / schools] * schools + [SETTINGS.consensus, -SETTINGS.consensus])
    head.get_parameter("proj2.1.weight")[: len(read)] = read
    head.get_parameter("proj2.1.bias")[:schools] = -SETTINGS.bar
    head.get_parameter("head.0.weight")[0, : len(found)] = found
    head.get_parameter("head.0.weight")[1, : len(found)] = -found
    head.get_parameter("head.3.weight")[:2, :2] = torch.eye(2)
    head.get_parameter("head.6.weight")[0, :2] = torch.tensor([slope, -slope])
    head.get_parameter("head.6.bias").fill_(bias)
    return head


def fit(described: Described) -> Network:
    """Standardise, fit the projections, then the head that weighs them."""
    encoder = MiniEncoder().eval()
    standardise(encoder, described)
    found = {
        fold: sums(encoder, described.where(described.folds == fold))
        for fold in sorted(set(described.folds.tolist()))
    }
    slope, bias = calibrate(unseen_evidence(encoder, described, found), described)
    importance = fit_projections(encoder, list(found.values()))
    return encoder, verdict_head(importance, slope, bias)
