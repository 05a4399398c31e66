"""The probe of rine-b16's caution ``drawn``: which images look drawn, painted or rendered by people.

It is a linear probe on the tokens that the head reads, fitted to real images alone: those of kind `ART`
against photographs. Kind `MIXED` holds both, paintings and game art among photographs of other things, so it
has no part in the fit and in the threshold. The probe has no part in the score. docs/log/rine_b16.md has what
else was tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sidscan.errors import UsageError
from sidscan.images.lossless import is_lossless
from sidscan.models.cautions import LOSSLESS
from sidscan.models.heads.rine_ensemble import CautionProbe, RineEnsemble
from sidscan.training.common.metrics import Scores, auroc
from sidscan.training.windows.corpus import Window, synthetic_mask
from sidscan.training.windows.figure_types import FalsePositives
from sidscan.training.windows.figures import rounded
from sidscan.training.windows.sampling_weights import REPOSITORY_POWER, sampling_weights
from sidscan.util.magic import identify

from .card_format import CautionRule, Flagged, ProbeFigures, ToldFigures
from .fit import EnsembleConfig, Standardisation, WindowTokens, fit_probe, held_out, in_chunks

DRAWN = "drawn"  # the word in reports
ART, MIXED = "human_art", "other"  # kinds of real images
FLAGGED = 0.02  # share of photographs that the probe may flag
MIN_IMAGES = 30  # of a kind of real images, for its false positives to be judged
MAX_FALSE_POSITIVES = 0.05
PROBE_FIT = EnsembleConfig(ridge=0.1, probe_steps=600)


def drawn_tokens(windows: Sequence[Window], tokens: WindowTokens) -> WindowTokens:
    """The tokens of art by people, labelled 1.0, and of photographs.

    Both labels weigh the same, and a repository of n windows as the square root of n.

    Raises:
        UsageError: one of the two is missing.
    """
    used = [is_told(window) for window in windows]
    told = [window for window, use in zip(windows, used, strict=True) if use]
    drawn = [window.category == ART for window in told]
    if len(set(drawn)) < 2:
        raise UsageError(
            f"the corpora need windows of kind {ART} and of photographs",
            "Gather them with `python -m sidscan.training.windows.gather`.",
        )
    weights = sampling_weights(drawn, [window.repo for window in told], REPOSITORY_POWER)
    return replace(tokens.where(torch.tensor(used)), labels=torch.tensor(drawn).float(), weights=weights)


def is_told(window: Window) -> bool:
    """Whether it is real, and its kind says whether people drew it."""
    return not window.synthetic and window.category != MIXED


def fit_caution(
    ensemble: RineEnsemble, kind: str, tokens: WindowTokens, config: EnsembleConfig | None = None
) -> None:
    """Give an ensemble a probe of a kind; all else in it stays as it is.

    Its logits have mean 0 and standard deviation 1 over the windows that it is fitted to, so that one
    threshold serves the probes of all folds.

    Args:
        tokens: as `drawn_tokens` labels and weighs them.
        config: `PROBE_FIT` by default.
    """
    standardise = Standardisation(ensemble.mean.detach(), ensemble.scale.detach())
    weight = fit_probe(tokens, standardise, config or PROBE_FIT)
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
    """The logit above which `FLAGGED` of the photographs lie, logits (images,).

    A repository of n images weighs as the square root of n, as for the detector's own threshold.
    """
    chosen = [i for i, image in enumerate(images) if is_told(image) and image.category != ART]
    photographs = [images[i] for i in chosen]
    repos = [image.repo for image in photographs]
    weights = sampling_weights([False] * len(repos), repos, REPOSITORY_POWER)
    order = logits[chosen].argsort(descending=True)
    above = weights[order].cumsum(dim=0)
    first_below = int((above <= FLAGGED * above[-1]).sum())
    return round(float(logits[chosen][order[first_below]]), 4)


def probe_figures(logits: Tensor, images: Sequence[Window], threshold: float) -> ProbeFigures:
    """How well a probe tells art: logits (images,) of what was fitted without an image's repository."""
    values = logits.double().numpy()
    kinds = np.array(["synthetic" if image.synthetic else image.category for image in images])
    art, photographs = values[kinds == ART], values[~np.isin(kinds, [ART, MIXED, "synthetic"])]
    level = caution_threshold(logits, images)
    names = sorted(set(kinds.tolist()), key=lambda name: (-int((kinds == name).sum()), name))
    flagged: dict[str, Flagged] = {
        name: {"n": len(group := values[kinds == name]), "flagged": rounded((group >= threshold).mean())}
        for name in names
    }
    return {
        "drawn": len(art),
        "photographs": len(photographs),
        "auroc": rounded(auroc(art, photographs)),
        "found": rounded((art > level).mean()),
        "kinds": flagged,
    }


def caution_rules(kinds: Mapping[str, FalsePositives], probe_threshold: float) -> list[CautionRule]:
    """The card's cautions: kinds with more than `MAX_FALSE_POSITIVES` that rows can tell.

    Args:
        kinds: false positives at the detector's threshold by kind of real images, whole, as they are.
        probe_threshold: of the probe `DRAWN`.
    """
    tellable: dict[str, tuple[str, str, float | None]] = {
        ART: (DRAWN, "probe", probe_threshold),
        LOSSLESS: (LOSSLESS, "file", None),
    }
    return [
        {
            "kind": word,
            "told_by": told_by,
            "false_positive_rate": kinds[kind]["fpr"],
            "images": kinds[kind]["n"],
            "threshold": threshold,
        }
        for kind, (word, told_by, threshold) in tellable.items()
        if kind in kinds and is_above(kinds[kind])
    ]


def is_above(kind: FalsePositives) -> bool:
    """Whether a kind of real images has more false positives than a detector should have."""
    return kind["n"] >= MIN_IMAGES and kind["fpr"] > MAX_FALSE_POSITIVES


def lossless_mask(images: Sequence[Window]) -> NDArray[np.bool_]:
    """Which of the images rows call lossless, (images,)."""
    return np.array([_is_lossless((image.corpus / image.file).read_bytes()) for image in images])


def _is_lossless(data: bytes) -> bool:
    known = identify(data)
    return known is not None and is_lossless(known.name, data) is True


def told_figures(
    told: NDArray[np.bool_], images: Sequence[Window], scores: Scores, threshold: float
) -> ToldFigures:
    """What a caution comes to on the images that rows give it, (images,) each."""
    synthetic = synthetic_mask(images)
    real, found = scores[told & ~synthetic] >= threshold, scores[told & synthetic] >= threshold
    return {
        "real": len(real),
        "fpr": rounded(real.mean()) if len(real) else None,
        "synthetic": len(found),
        "tpr": rounded(found.mean()) if len(found) else None,
    }
