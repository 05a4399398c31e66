"""Fit the mini detector to the features of training windows, in closed form.

The fit makes the standardisation, one linear discriminant per source of synthetic images (a repository), the
logit's slope and bias, and the RINE head that holds them. Sufficient statistics of the folds are kept apart,
so that leaving one fold out costs no second pass.
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

MIN_IMPORTANCE = 1e-12  # of a feature group that a discriminant does not use; its logarithm must be finite
INVERSE_RIDGE = 1e4  # the logit's fit: its ridge on the squared slope is half of the inverse of this
_CHUNK = 64  # windows whose statistics are held as float32 at a time

MiniNetwork: TypeAlias = tuple[MiniEncoder, RineHead]


@dataclass(frozen=True)
class FitConfig:
    """What is chosen, not fitted; the defaults are the shipped values.

    Attributes:
        penalty: on squared coefficients, in units of a standardised statistic's variance.
        shrinkage: windows; a source of n windows keeps n / (n + shrinkage) of its difference from the mean.
        synthetic_share: of the covariance; the rest is of photographs, which sources must stand out from.
        margin: standard deviations of photographs; a source's score counts by what exceeds it.
        consensus: weight of the mean score, added to the mean of what exceeds the margin.
    """

    penalty: float = 0.03
    shrinkage: float = 10.0
    synthetic_share: float = 0.2
    margin: float = 2.0
    consensus: float = 0.25


DEFAULT_FIT = FitConfig()


@dataclass(frozen=True)
class WindowFeatures:
    """Training data after the encoder's fixed part."""

    statistics: Tensor  # (windows, degradations, statistics of all feature groups), float16
    content_weight: Tensor  # (windows, degradations), what features are multiplied by
    labels: Tensor  # (windows,), 1.0 for synthetic
    weights: Tensor  # (windows,), how much each counts
    folds: Tensor  # (windows,), the fold of its repository
    repos: Tensor  # (windows,), a number for every repository

    def where(self, chosen: Tensor) -> WindowFeatures:
        """The windows that an index or a boolean mask chooses."""
        return WindowFeatures(*(getattr(self, field.name)[chosen] for field in fields(self)))


def standardise(encoder: MiniEncoder, features: WindowFeatures) -> None:
    """Set the encoder's centre and spread to the statistics' mean and standard deviation."""
    columns = torch.split(features.statistics.flatten(0, 1), encoder.group_sizes, dim=1)
    for centre, spread, values in zip(encoder.centre, encoder.spread, columns, strict=True):
        centre.data.copy_(values.float().mean(dim=0))
        spread.data.copy_(values.float().std(dim=0) + 1e-3)


def normalised(encoder: MiniEncoder, statistics: Tensor) -> Tensor:
    """(windows, degradations, statistics), float16 -> the same standardised, float32."""
    groups = list(torch.split(statistics.float(), encoder.group_sizes, dim=2))
    return torch.cat(encoder.normalise(groups), dim=2)


@dataclass(frozen=True)
class Moments:
    """Weighted sums of standardised statistics x; sums of different windows add up."""

    weight: Tensor  # (), of all windows
    first: Tensor  # (statistics,), of weight * x
    second: Tensor  # (statistics, statistics), of weight * x x'

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.weight + other.weight, self.first + other.first, self.second + other.second)

    def select(self, columns: Tensor) -> Moments:
        """The moments of these statistics alone."""
        return Moments(self.weight, self.first[columns], self.second[columns][:, columns])

    @property
    def mean(self) -> Tensor:
        """(statistics,)."""
        return self.first / self.weight

    @property
    def covariance(self) -> Tensor:
        """(statistics, statistics)."""
        return self.second / self.weight - torch.outer(self.mean, self.mean)


def moments(encoder: MiniEncoder, features: WindowFeatures) -> Moments:
    """The moments of some windows; all degradations of a window weigh alike."""
    _, degradations, size = features.statistics.shape
    first, second = torch.zeros(size), torch.zeros(size, size)
    for chunk in torch.split(torch.arange(len(features.labels)), _CHUNK):
        values = normalised(encoder, features.statistics[chunk])
        weighted = (values * features.weights[chunk, None, None] / degradations).flatten(0, 1)
        first += weighted.sum(dim=0)
        second.addmm_(weighted.T, values.flatten(0, 1))
    return Moments(features.weights.sum(), first, second)


@dataclass(frozen=True)
class SufficientStats:
    """All that the projections need to know of some windows, e.g. those of one fold."""

    real: Moments
    synthetic: Moments
    sources: tuple[tuple[int, Tensor], ...]  # of every synthetic repository: windows, mean statistics

    def __add__(self, other: SufficientStats) -> SufficientStats:
        return SufficientStats(
            self.real + other.real, self.synthetic + other.synthetic, self.sources + other.sources
        )

    def select(self, columns: Tensor) -> SufficientStats:
        """What is known of these statistics alone."""
        sources = tuple((n, mean[columns]) for n, mean in self.sources)
        return SufficientStats(self.real.select(columns), self.synthetic.select(columns), sources)


def sufficient_stats(encoder: MiniEncoder, features: WindowFeatures) -> SufficientStats:
    """The sufficient statistics of some windows."""
    real, synthetic = (features.where(features.labels == label) for label in (0.0, 1.0))
    repos = [synthetic.where(synthetic.repos == repo) for repo in sorted(set(synthetic.repos.tolist()))]
    means = [normalised(encoder, repo.statistics).mean(dim=(0, 1)) for repo in repos]
    sizes = [len(repo.labels) for repo in repos]
    sources = tuple(zip(sizes, means, strict=True))
    return SufficientStats(moments(encoder, real), moments(encoder, synthetic), sources)


@dataclass(frozen=True)
class Discriminants:
    """One linear discriminant per source of synthetic images.

    Attributes:
        directions: (sources, statistics); scores along them are in standard deviations of photographs.
        mean, covariance: of photographs, (statistics,) and (statistics, statistics).
    """

    directions: Tensor
    mean: Tensor
    covariance: Tensor


def discriminants(stats: SufficientStats, config: FitConfig = DEFAULT_FIT) -> Discriminants:
    """One discriminant per source.

    It separates the source from all photographs. The covariance is of both labels, mostly of photographs. A
    score is in standard deviations above the average photograph.
    """
    mean, covariance = stats.real.mean, stats.real.covariance
    share = config.synthetic_share
    pooled = (1 - share) * covariance + share * stats.synthetic.covariance
    pooled += config.penalty * torch.eye(len(mean))
    average, shrinkage = stats.synthetic.mean, config.shrinkage
    shrunk = [average + (of_source - average) * n / (n + shrinkage) for n, of_source in stats.sources]
    shifts = torch.stack(shrunk) - mean
    directions = torch.cholesky_solve(shifts.T, torch.linalg.cholesky(pooled)).T
    directions /= std_along(directions, covariance)[:, None]
    return Discriminants(directions, mean, covariance)


def fit_projections(encoder: MiniEncoder, folds: Sequence[SufficientStats]) -> Tensor:
    """Set ``encoder.project`` to the discriminants of these folds, cut into feature groups.

    The importance of a group in a discriminant is the standard deviation of its part over photographs,
    divided by the sum over all groups. Every part is divided by its importance, so that the features of all
    groups have one size.

    Returns:
        importance (num_blocks, sources); features weighted by it sum to the source scores.
    """
    fitted = discriminants(reduce(add, folds))
    directions, mean, covariance = fitted.directions, fitted.mean, fitted.covariance
    groups = torch.split(torch.arange(len(mean)), encoder.group_sizes)
    sizes = [std_along(directions[:, group], covariance[group][:, group]) for group in groups]
    importance = torch.stack(sizes) / torch.stack(sizes).sum(dim=0)
    encoder.project = nn.ModuleList(
        linear_layer(directions[:, group] / share[:, None], -(directions[:, group] @ mean[group]) / share)
        for group, share in zip(groups, importance, strict=True)
    )
    encoder.embed_dim = len(directions)
    return importance


def std_along(directions: Tensor, covariance: Tensor) -> Tensor:
    """Standard deviation along every direction, (n, statistics) -> (n,).

    A small floor keeps it positive where few windows have no variance.
    """
    variance = ((directions @ covariance) * directions).sum(dim=1)
    return variance.clamp_min(1e-5 * (directions * directions).sum(dim=1)).sqrt()


@torch.no_grad()
def linear_layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer with these parameters."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
    return layer


@torch.inference_mode()
def compute_evidence(encoder: MiniEncoder, importance: Tensor, features: WindowFeatures) -> Tensor:
    """`pool_scores` of every degradation: (windows, degradations)."""
    chunks = []
    for statistics, content_weight in zip(
        torch.split(features.statistics, _CHUNK), torch.split(features.content_weight, _CHUNK), strict=True
    ):
        groups = torch.split(statistics.flatten(0, 1).float(), encoder.group_sizes, dim=1)
        blocks = encoder.embed(list(groups))
        source_scores = (blocks * importance).sum(dim=1) * content_weight.flatten()[:, None]
        chunks.append(pool_scores(source_scores).reshape(statistics.shape[:2]))
    return torch.cat(chunks)


def pool_scores(source_scores: Tensor, config: FitConfig = DEFAULT_FIT) -> Tensor:
    """Source scores (n, sources) -> evidence (n,): mean excess over the margin + consensus * mean."""
    excess = (source_scores - config.margin).relu().mean(dim=1)
    return excess + config.consensus * source_scores.mean(dim=1)


def held_out_evidence(
    encoder: MiniEncoder, features: WindowFeatures, folds: Mapping[int, SufficientStats]
) -> Tensor:
    """Evidence of every window from projections fitted without the fold of its repository.

    Projections look better than they are on what they were fitted on, so logits would be overconfident.
    """
    held_out = torch.empty(features.statistics.shape[:2])
    for fold in folds:
        inside = features.folds == fold
        importance = fit_projections(encoder, [stats for other, stats in folds.items() if other != fold])
        held_out[inside] = compute_evidence(encoder, importance, features.where(inside))
    return held_out


def balanced(weights: Tensor, labels: Tensor) -> Tensor:
    """``weights`` scaled so that those of each label sum to one half, (windows,)."""
    synthetic, real = (weights * labels).sum(), (weights * (1 - labels)).sum()
    return weights * torch.where(labels > 0, 0.5 / synthetic, 0.5 / real)


def fit_logit(held_out: Tensor, features: WindowFeatures) -> tuple[float, float]:
    """Logistic regression of the label on the evidence: slope, bias.

    It is fitted in standard deviations and with a small ridge, so that it converges even where the labels
    don't overlap.
    """
    scale = float(held_out.std())
    weights = balanced(features.weights, features.labels)[:, None].expand_as(held_out) / held_out.shape[1]
    labels = features.labels[:, None].expand_as(held_out)
    values, truth, shares = (part.double().flatten().numpy() for part in (held_out / scale, labels, weights))
    line = LogisticRegression(C=INVERSE_RIDGE).fit(values[:, None], truth, shares)
    return float(line.coef_[0, 0]) / scale, float(line.intercept_[0])


@torch.no_grad()
def pooling_head(importance: Tensor, slope: float, bias: float) -> RineHead:
    """A RINE head whose logit is slope * `pool_scores` + bias.

    The Trainable Importance Estimator holds the importance of every feature group. The ReLUs before it pass
    a value as two halves, positive and negative. Behind it, one unit per source passes what its score exceeds
    the margin by, and two units pass the halves of the mean score. A head fitted by gradient descent learned
    less (docs/log/detector.md), so these parameters are set in closed form.
    """
    num_blocks, sources = importance.shape
    head = RineHead(num_blocks, sources, 2 * sources + 2, 1).eval()  # Q1's width, layers
    for parameter in head.parameters():
        parameter.zero_()
    halves = torch.cat([torch.eye(sources), -torch.eye(sources), torch.zeros(2, sources)])
    head.get_parameter("proj1.1.weight").copy_(halves)
    head.alpha[0, :, : 2 * sources] = importance.clamp_min(MIN_IMPORTANCE).log().repeat(1, 2)
    average = halves.mean(dim=1)
    scores = torch.cat([halves.T, average[None], -average[None]])  # every source's, and the mean both ways
    pooling = torch.tensor([1 / sources] * sources + [DEFAULT_FIT.consensus, -DEFAULT_FIT.consensus])
    head.get_parameter("proj2.1.weight")[: len(scores)] = scores
    head.get_parameter("proj2.1.bias")[:sources] = -DEFAULT_FIT.margin
    head.get_parameter("head.0.weight")[0, : len(pooling)] = pooling
    head.get_parameter("head.0.weight")[1, : len(pooling)] = -pooling
    head.get_parameter("head.3.weight")[:2, :2] = torch.eye(2)
    head.get_parameter("head.6.weight")[0, :2] = torch.tensor([slope, -slope])
    head.get_parameter("head.6.bias").fill_(bias)
    return head


def fit_detector(features: WindowFeatures) -> MiniNetwork:
    """Standardise, fit the projections, then the head that weighs them."""
    encoder = MiniEncoder().eval()
    standardise(encoder, features)
    stats = {
        fold: sufficient_stats(encoder, features.where(features.folds == fold))
        for fold in sorted(set(features.folds.tolist()))
    }
    slope, bias = fit_logit(held_out_evidence(encoder, features, stats), features)
    importance = fit_projections(encoder, list(stats.values()))
    return encoder, pooling_head(importance, slope, bias)
