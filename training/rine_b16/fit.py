"""Fit the head of rine-b16 to CLS tokens of training windows: a probe, and a RINE head per seed.

Both are fitted by gradient to the same views. The probe is logistic regression with a ridge on all blocks at
once. A RINE head (Koutlis & Papadopoulos, ECCV 2024, section 3) is small and regularised by its dropout.
docs/log/rine_b16.md compares them with what else was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from sidscan.models.heads.rine import RineHead
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.training.common.losses import supervised_contrastive
from sidscan.util.progress import track

_CHUNK = 1024  # windows whose tokens are held as float32 at a time
_FLOOR = 1e-3  # added to standard deviations: a token that never changes must not be divided by zero
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of Adam


@dataclass(frozen=True)
class EnsembleConfig:
    """What is chosen, not fitted; the defaults are the shipped values.

    Attributes:
        ridge: on the probe's squared coefficients of standardised tokens.
        probe_steps, probe_batch, probe_rate: of the probe's Adam; its coefficients are a mean over the second
            half of the steps.
        seeds: of the RINE heads, one head each.
        proj_dim, num_proj_layers: d' and q of the heads (paper, section 3).
        epochs, batch, rate, decay: of the heads' AdamW, whose rate rises and falls once (one cycle).
        xi: weight of the contrastive loss beside the mean cross-entropy.
    """

    ridge: float = 0.03
    probe_steps: int = 2000
    probe_batch: int = 512
    probe_rate: float = 2e-3
    seeds: tuple[int, ...] = (0,)
    proj_dim: int = 256
    num_proj_layers: int = 1
    epochs: int = 20
    batch: int = 256
    rate: float = 1e-3
    decay: float = 0.0
    xi: float = 0.2


DEFAULT_FIT = EnsembleConfig()


@dataclass(frozen=True)
class WindowTokens:
    """Training data after the encoder.

    Attributes:
        views: of every view, CLS tokens (windows, n, d), float16.
        labels: (windows,), 1.0 for synthetic.
        weights: (windows,), how much each counts.
        folds: (windows,), the fold of its repository.
    """

    views: tuple[Tensor, ...]
    labels: Tensor
    weights: Tensor
    folds: Tensor

    def where(self, chosen: Tensor) -> WindowTokens:
        """The windows that an index or a boolean mask chooses."""
        others = (getattr(self, field.name)[chosen] for field in fields(self)[1:])
        return WindowTokens(tuple(view[chosen] for view in self.views), *others)


@dataclass(frozen=True)
class Standardisation:
    """Mean and standard deviation of every block's features, (n, d) each."""

    mean: Tensor
    scale: Tensor

    def __call__(self, tokens: Tensor) -> Tensor:
        """(b, n, d), any float -> float32."""
        standardised: Tensor = (tokens.float() - self.mean) / self.scale
        return standardised


def standardisation(tokens: WindowTokens) -> Standardisation:
    """Over all views of all windows; every window counts once."""
    count = len(tokens.labels) * len(tokens.views)
    mean = torch.stack([part.double().sum(dim=0) for part in _parts(tokens)]).sum(dim=0) / count
    squares = torch.stack([(part.double() - mean).square().sum(dim=0) for part in _parts(tokens)])
    return Standardisation(mean.float(), (squares.sum(dim=0) / count).sqrt().float() + _FLOOR)


def _parts(tokens: WindowTokens) -> list[Tensor]:
    return [part for view in tokens.views for part in in_chunks(view)]


def in_chunks(tokens: Tensor) -> tuple[Tensor, ...]:
    """Tokens (windows, ...) in parts that may be held as float32."""
    return torch.split(tokens, _CHUNK)


class BatchSampler:
    """Weighted batches of one random view each, the same for the same seed."""

    def __init__(self, tokens: WindowTokens, standardise: Standardisation, seed: int) -> None:
        self.tokens, self.standardise = tokens, standardise
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, size: int) -> tuple[Tensor, Tensor]:
        """Standardised tokens (size, n, d) and labels (size,)."""
        weights, views = self.tokens.weights, self.tokens.views
        index = torch.multinomial(weights, size, replacement=True, generator=self._generator)
        view = int(torch.randint(len(views), (), generator=self._generator))
        return self.standardise(views[view][index]), self.tokens.labels[index]


def fit_probe(
    tokens: WindowTokens, standardise: Standardisation, config: EnsembleConfig = DEFAULT_FIT
) -> Tensor:
    """Logistic regression with a ridge: coefficients (n, d) of standardised tokens.

    Its bias is not returned: `calibrate` fits the ensemble's.
    """
    sampler = BatchSampler(tokens, standardise, seed=0)
    size = standardise.mean.shape
    probe, bias = (torch.zeros(shape, requires_grad=True) for shape in (size, ()))
    optimiser = torch.optim.Adam([probe, bias], lr=config.probe_rate, betas=_BETAS, eps=_EPSILON)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (config.probe_steps - step) / (0.3 * config.probe_steps))
    )
    average, averaged = torch.zeros(size), 0
    for step in range(config.probe_steps):
        x, labels = sampler.draw(config.probe_batch)
        logits = (x * probe).sum(dim=(1, 2)) + bias
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        loss = loss + 0.5 * config.ridge * probe.square().sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step >= config.probe_steps // 2:
            average += probe.detach()
            averaged += 1
    return average / averaged


def fit_head(
    tokens: WindowTokens, standardise: Standardisation, seed: int, config: EnsembleConfig = DEFAULT_FIT
) -> RineHead:
    """One RINE head on standardised tokens, by the paper's objective, ready to score."""
    torch.manual_seed(seed)  # initial weights and dropout
    sampler = BatchSampler(tokens, standardise, seed)
    num_blocks, embed_dim = standardise.mean.shape
    head = RineHead(num_blocks, embed_dim, config.proj_dim, config.num_proj_layers).train()
    steps = config.epochs * max(1, len(tokens.labels) // config.batch)
    optimiser = torch.optim.AdamW(head.parameters(), lr=config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=steps, pct_start=0.15)
    for _ in range(steps):
        x, labels = sampler.draw(config.batch)
        embedding = head.embed(x)
        loss = functional.binary_cross_entropy_with_logits(head.classify(embedding), labels)
        loss = loss + config.xi * supervised_contrastive(embedding, labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return head.eval().requires_grad_(False)


def fit_ensemble(tokens: WindowTokens, title: str, config: EnsembleConfig = DEFAULT_FIT) -> RineEnsemble:
    """Probe and heads, the logits of each with mean 0 and standard deviation 1 over the training windows.

    So heads of different folds speak of the same level, although nothing ties their levels while they are
    fitted.

    Args:
        title: for the progress bar.
    """
    standardise = standardisation(tokens)
    probe = fit_probe(tokens, standardise, config)
    seeds = track(config.seeds, len(config.seeds), "head", title=title)
    ensemble = RineEnsemble([fit_head(tokens, standardise, seed, config) for seed in seeds])
    with torch.no_grad():
        ensemble.mean.copy_(standardise.mean)
        ensemble.scale.copy_(standardise.scale)
        ensemble.probe.copy_(probe)
        members = torch.cat([ensemble.embed(part.float()) for part in _parts(tokens)])
        share = tokens.weights.repeat(len(tokens.views))[:, None] / tokens.weights.sum() / len(tokens.views)
        level = (members * share).sum(dim=0)
        spread = ((members - level).square() * share).sum(dim=0).sqrt()
        ensemble.weights.copy_(1 / spread / len(spread))
        ensemble.bias.copy_(-(ensemble.weights * level).sum())
    return ensemble.eval().requires_grad_(False)


@torch.no_grad()
def calibrate(ensemble: RineEnsemble, slope: float, bias: float) -> None:
    """Make the ensemble's logits ``slope`` times what they were, plus ``bias``."""
    ensemble.weights.mul_(slope)
    ensemble.bias.mul_(slope).add_(bias)


def fit_logit(logits: Tensor, labels: Tensor, weights: Tensor) -> tuple[float, float]:
    """Logistic regression of the label on logits of windows left out of the fit: slope, bias.

    Args:
        logits: (views, windows).
    """
    each = weights.expand_as(logits) / len(logits)
    values, truth, shares = (
        part.double().flatten().numpy() for part in (logits, labels.expand_as(logits), each)
    )
    line = LogisticRegression(C=1e4).fit(values[:, None], truth, shares * len(values))
    return float(line.coef_[0, 0]), float(line.intercept_[0])


@torch.inference_mode()
def logits_of(ensemble: RineEnsemble, tokens: Tensor) -> Tensor:
    """Tokens (..., n, d), float16 -> logits (...)."""
    flat = tokens.flatten(0, -3)
    return torch.cat([ensemble(part.float()) for part in in_chunks(flat)]).reshape(tokens.shape[:-2])


def held_out(score: Callable[[int, Tensor], Tensor], features: Tensor, folds: Tensor) -> Tensor:
    """Logits (windows, ...), each by what was fitted without the fold of its window.

    Args:
        score: (fold, features of some windows) -> their logits.
        features: (windows, ...).
        folds: (windows,).
    """
    logits = torch.empty(0)
    for fold in sorted(set(folds.tolist())):
        inside = folds == fold
        scored = score(fold, features[inside])
        if not len(logits):
            logits = torch.empty(len(folds), *scored.shape[1:])
        logits[inside] = scored
    return logits


def held_out_logits(ensembles: Sequence[RineEnsemble], tokens: Tensor, folds: Tensor) -> Tensor:
    """Logits (windows, ...) of tokens (windows, ..., n, d), each by the ensemble fitted without its fold."""
    return held_out(lambda fold, part: logits_of(ensembles[fold], part), tokens, folds)
