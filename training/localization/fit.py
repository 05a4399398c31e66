"""Fitting one decoder: how it starts, one step, and the map that it gives."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from sidscan.models.families import localizer_family
from sidscan.models.heads.decoder import Decoder

from .encoders import FAMILY
from .recipe import LocalizerRecipe


class FitState(TypedDict):
    """What a fit needs to go on; files of unfinished runs store these keys."""

    decoder: dict[str, Tensor]
    optimiser: dict[str, object]


class DecoderFit:
    """A decoder that is being trained.

    The loss is binary cross-entropy of logits, its mean over the batch and all pixels; where only images have
    labels, of the mean logit of each. The optimiser is AdamW, as published.

    Args:
        mixed_precision: whether CUDA multiplies in bfloat16; weights and loss stay float32.
    """

    def __init__(
        self, decoder: Decoder, recipe: LocalizerRecipe, device: torch.device, mixed_precision: bool = False
    ) -> None:
        self.decoder, self.recipe, self.device = decoder.to(device), recipe, device
        self._mixed = mixed_precision and device.type == "cuda"
        trained = trained_parameters(decoder, recipe)
        self.optimiser = torch.optim.AdamW(
            trained,
            lr=recipe.lr,
            betas=(recipe.adam_betas[0], recipe.adam_betas[1]),
            eps=recipe.adam_eps,
            weight_decay=recipe.weight_decay,
        )

    def step(self, features: Sequence[Tensor], targets: Tensor, lr: float) -> float:
        """One step on a batch; features (b, ...), targets (b, side, side). Returns its loss."""
        self.decoder.train()
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        loss = localization_loss(self._logits(features), targets.to(self.device), self.recipe.target)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def maps(self, features: Sequence[Tensor]) -> Tensor:
        """Features (b, ...) -> probabilities (b, side, side), float32, on the CPU."""
        self.decoder.eval()
        return self._logits(features).sigmoid().cpu()

    def weights(self) -> dict[str, Tensor]:
        """A copy of the decoder's tensors, on the CPU."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.decoder.state_dict().items()}

    def state(self) -> FitState:
        """All that a later `restore` needs."""
        return {"decoder": self.weights(), "optimiser": self.optimiser.state_dict()}

    def snapshot(self, with_optimiser: bool) -> FitState:
        """The weights as they are now, which later steps leave alone; perhaps with the optimiser's state."""
        optimiser = copy.deepcopy(self.optimiser.state_dict()) if with_optimiser else {}
        return {"decoder": self.weights(), "optimiser": optimiser}

    def restore(self, state: FitState) -> None:
        """Take over the state of an equal fit."""
        self.decoder.load_state_dict(state["decoder"], strict=True)
        self.optimiser.load_state_dict(state["optimiser"])

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            logits: Tensor = self.decoder(*(feature.to(self.device) for feature in features))
        return logits.float()


def localization_loss(logits: Tensor, targets: Tensor, target: str) -> Tensor:
    """The loss of logits (b, side, side): a scalar.

    Args:
        targets: soft masks (b, side, side); an image with any synthetic pixel counts as synthetic.
        target: ``pixels`` or ``images``.
    """
    if target == "images":
        labels = (targets.flatten(1).amax(dim=1) > 0).to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(logits.flatten(1).mean(dim=1), labels)
    return functional.binary_cross_entropy_with_logits(logits, targets)


def build_decoder(shape: Mapping[str, Any], recipe: LocalizerRecipe) -> Decoder:
    """An untrained decoder; its weights follow from the recipe alone.

    Args:
        shape: which decoder, as `LocalizerFamily.untrained` takes it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        decoder = localizer_family(FAMILY).untrained(shape)
        if recipe.init == "published":
            _draw_as_published(decoder, recipe.init_std)
    return decoder


def trained_parameters(decoder: Decoder, recipe: LocalizerRecipe) -> list[nn.Parameter]:
    """What the optimiser changes; as published, only what has "fc" in its name."""
    parameters = decoder.named_parameters()
    return [value for name, value in parameters if recipe.init != "published" or "fc" in name]


def epoch_batches(count: int, recipe: LocalizerRecipe, epoch: int) -> list[list[int]]:
    """Numbers of the images in an epoch's batches, the last one smaller."""
    order = list(range(count))
    random.Random(f"{recipe.seed} {epoch}").shuffle(order)
    return [order[start : start + recipe.batch] for start in range(0, count, recipe.batch)]


@torch.no_grad()
def _draw_as_published(decoder: Decoder, std: float) -> None:
    """trainer.py:17-22 draws all weights of ``fc``, the factors of batch normalisation among them."""
    for name, parameter in decoder.named_parameters():
        if name.startswith("fc.") and name.endswith("weight"):
            nn.init.normal_(parameter, 0.0, std)
