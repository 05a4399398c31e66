"""The probe of rine-b16's caution ``drawn``: which images look drawn, painted or rendered by people.

It is a linear probe on the tokens that the head reads, fitted to real images alone: those of kind `ART`
against all other photographs. It has no part in the score. docs/log/rine_b16.md has what else was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sidscan.models.heads.rine_ensemble import CautionProbe, RineEnsemble
from sidscan.training.common.metrics import auroc
from sidscan.training.windows.corpus import Window
from sidscan.training.windows.sampling_weights import REPOSITORY_POWER, sampling_weights

from .card_format import ProbeFigures
from .fit import (
    DEFAULT_FIT,
    EnsembleConfig,
    Standardisation,
    WindowTokens,
    fit_probe,
    held_out,
    in_chunks,
)

DRAWN, ART = "drawn", "human_art"  # the word in reports, and the kind of real images that it is fitted to
FLAGGED = 0.02  # share of the other real images that the probe may flag


def drawn_tokens(windows: Sequence[Window], tokens: WindowTokens) -> WindowTokens:
    """The tokens of real windows, labelled 1.0 where people drew or painted them.

    Both labels weigh the same, and a repository of n windows as the square root of n.
    """
    real = [window for window in windows if not window.synthetic]
    drawn = [window.category == ART for window in real]
    weights = sampling_weights(drawn, [window.repo for window in real], REPOSITORY_POWER)
    chosen = tokens.where(torch.tensor([not window.synthetic for window in windows]))
    return replace(chosen, labels=torch.tensor(drawn).float(), weights=weights)


def fit_caution(
    ensemble: RineEnsemble, kind: str, tokens: WindowTokens, config: EnsembleConfig = DEFAULT_FIT
) -> None:
    """Give an ensemble a probe of a kind; all else in it stays as it is.

    Its logits have mean 0 and standard deviation 1 over the windows that it is fitted to, so that one
    threshold serves the probes of all folds.

    Args:
        tokens: as `drawn_tokens` labels and weighs them.
    """
    standardise = Standardisation(ensemble.mean.detach(), ensemble.scale.detach())
    weight = fit_probe(tokens, standardise, config)
    logits = torch.cat(
        [(standardise(part) * weight).sum(dim=(1, 2)) for view in tokens.views for part in in_chunks(view)]
    )
    share = tokens.weights.repeat(len(tokens.views)) / tokens.weights.sum() / len(tokens.views)
    level = (logits * share).sum()
    spread = ((logits - level).square() * share).sum().sqrt()
    probe = CautionProbe((ensemble.num_blocks, ensemble.embed_dim))
    with torch.no_grad():
        probe.weight.copy_(weight / spread)
        probe.bias.copy_(-level / spread)
    ensemble.cautions[kind] = probe.eval().requires_grad_(False)


@torch.inference_mode()
def caution_logits(ensemble: RineEnsemble, kind: str, tokens: Tensor) -> Tensor:
    """Tokens (..., n, d), float16 -> logits (...) of the probe of a kind."""
    parts = in_chunks(tokens.flatten(0, -3))
    logits = torch.cat([ensemble.caution_logits(part.float(), kind) for part in parts])
    return logits.reshape(tokens.shape[:-2])


def held_out_cautions(ensembles: Sequence[RineEnsemble], kind: str, tokens: Tensor, folds: Tensor) -> Tensor:
    """Logits (windows, ...) of the probes, each by the one fitted without the fold of a window."""
    return held_out(lambda fold, part: caution_logits(ensembles[fold], kind, part), tokens, folds)


def caution_threshold(logits: Tensor, images: Sequence[Window]) -> float:
    """The logit above which `FLAGGED` of the real images lie that are not of kind `ART`, logits (images,).

    A repository of n images weighs as the square root of n, as for the detector's own threshold.
    """
    chosen = [i for i, image in enumerate(images) if not image.synthetic and image.category != ART]
    others = [images[i] for i in chosen]
    weights = sampling_weights([False] * len(others), [image.repo for image in others], REPOSITORY_POWER)
    order = logits[chosen].argsort(descending=True)
    above = weights[order].cumsum(dim=0)
    first_below = int((above <= FLAGGED * above[-1]).sum())
    return round(float(logits[chosen][order[first_below]]), 4)


def probe_figures(logits: Tensor, images: Sequence[Window], threshold: float) -> ProbeFigures:
    """How well a probe tells art: logits (images,) of what was fitted without an image's repository."""
    values = logits.double().numpy()
    groups: dict[str, list[float]] = {}
    for image, value in zip(images, values.tolist(), strict=True):
        groups.setdefault("synthetic" if image.synthetic else image.category, []).append(value)
    art = torch.tensor([not i.synthetic and i.category == ART for i in images]).numpy()
    other = torch.tensor([not i.synthetic and i.category != ART for i in images]).numpy()
    level = caution_threshold(logits, images)
    return {
        "drawn": int(art.sum()),
        "other": int(other.sum()),
        "auroc": round(float(auroc(values[art], values[other])), 4),
        "found": round(float((values[art] > level).mean()), 4),
        "kinds": {
            name: {
                "n": len(group),
                "flagged": round(sum(value >= threshold for value in group) / len(group), 4),
            }
            for name, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
        },
    }
