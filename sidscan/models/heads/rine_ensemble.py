"""RINE heads and a linear probe over standardised block features, their logits averaged.

Koutlis & Papadopoulos, ECCV 2024 (arXiv 2402.19091), section 3, has one such head. The encoder, which costs
nearly all the time, runs once for all members. docs/log/rine_b16.md says what averaging brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature
from sidscan.models.families.rine_ensemble import caution_kinds
from sidscan.models.heads.base import Head
from sidscan.models.heads.rine import RineHead


class CautionProbe(nn.Module):
    """How much crops look like images of one kind: a logit, linear in standardised block features."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, standardised: Tensor) -> Tensor:
        """(b, n, d) -> logits (b,)."""
        return (standardised * self.weight).sum(dim=(1, 2)) + self.bias


class RineEnsemble(Head):
    """Logit = bias + sum of weight * logit over the members; the first member is the probe.

    Parameter names: ``mean``, ``scale`` (n, d); ``probe`` (n, d); ``heads.{i}.*`` as in `RineHead`;
    ``weights`` (1 + heads,); ``bias`` (); ``cautions.{kind}.weight`` (n, d) and ``.bias`` (), which have no
    part in the logit.

    Args:
        heads: RINE heads of one shape.
        cautions: kinds of image that it has a probe for.
    """

    feature: ClassVar[Feature] = "blocks"

    def __init__(self, heads: list[RineHead], cautions: Iterable[str] = ()) -> None:
        super().__init__()
        self.num_blocks, self.embed_dim = heads[0].num_blocks, heads[0].embed_dim
        size = (self.num_blocks, self.embed_dim)
        self.mean = nn.Parameter(torch.zeros(size))
        self.scale = nn.Parameter(torch.ones(size))
        self.probe = nn.Parameter(torch.zeros(size))
        self.heads = nn.ModuleList(heads)
        self.weights = nn.Parameter(torch.ones(1 + len(heads)))
        self.bias = nn.Parameter(torch.zeros(()))
        self.cautions = nn.ModuleDict({kind: CautionProbe(size) for kind in cautions})

    @classmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> RineEnsemble:
        """An untrained ensemble of the shape that ``state`` describes.

        Raises:
            KeyError: ``state`` holds no head, or lacks a tensor that tells its shape.
        """
        numbers = {int(name.split(".")[1]) for name in state if name.startswith("heads.")}
        if not numbers:
            raise KeyError("heads.0.alpha")
        heads = [RineHead.shaped_like(head_state(state, number)) for number in sorted(numbers)]
        return cls(heads, caution_kinds(state))

    def embed(self, features: Tensor) -> Tensor:
        """Block features (b, n, d) -> the members' logits (b, 1 + heads)."""
        standardised = (features - self.mean) / self.scale
        probe = (standardised * self.probe).sum(dim=(1, 2))
        return torch.stack([probe, *(head(standardised) for head in self.heads)], dim=1)

    def classify(self, embedding: Tensor) -> Tensor:
        """The members' logits -> logits (b,)."""
        return embedding @ self.weights + self.bias

    @property
    def caution_kinds(self) -> tuple[str, ...]:
        """The kinds of image that it has a probe for."""
        return tuple(self.cautions)

    def caution_logits(self, features: Tensor, kind: str) -> Tensor:
        """Block features (b, n, d) -> logits (b,) of the probe for that kind."""
        logits: Tensor = self.cautions[kind]((features - self.mean) / self.scale)
        return logits


def head_state(state: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """The tensors of one of the heads, under the names of `RineHead`."""
    prefix = f"heads.{number}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
