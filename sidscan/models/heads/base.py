"""What every head is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from sidscan.models.backbones import Feature


class Head(nn.Module, ABC):
    """Features of a crop -> z, the vector that a contrastive loss sees -> a logit.

    Attributes:
        feature: what the head reads of an encoder.
    """

    feature: ClassVar[Feature]

    @classmethod
    @abstractmethod
    def shaped_like(cls, state: Mapping[str, Tensor]) -> Head:
        """An untrained head of the shape that ``state`` describes.

        Raises:
            KeyError: ``state`` lacks a tensor that tells the shape.
        """

    @abstractmethod
    def embed(self, features: Tensor) -> Tensor:
        """Features (b, ...), float32 -> z (b, d')."""

    @abstractmethod
    def classify(self, embedding: Tensor) -> Tensor:
        """z (b, d') -> logits (b,); the sigmoid of a logit is the model's P(synthetic)."""

    def forward(self, features: Tensor) -> Tensor:
        """Features (b, ...), float32 -> logits (b,)."""
        return self.classify(self.embed(features))

    @property
    def caution_kinds(self) -> tuple[str, ...]:
        """The kinds of image that it has a probe for (`sidscan.models.cautions`); none by default."""
        return ()

    def caution_logits(self, features: Tensor, kind: str) -> Tensor:
        """Features (b, ...), float32 -> logits (b,): how much the crops look like images of that kind.

        Args:
            kind: one of ``caution_kinds``.
        """
        raise NotImplementedError


def with_weights(kind: type[Head], state: Mapping[str, Tensor]) -> Head:
    """A head with these weights, frozen and ready to score.

    Raises:
        LookupError, TypeError, ValueError, RuntimeError: names or shapes are not those of this kind of head.
    """
    with torch.device("meta"):  # a small file may describe a head that no memory holds
        expected = kind.shaped_like(state).state_dict()
    for name, tensor in expected.items():
        if name in state and state[name].shape != tensor.shape:
            raise ValueError(f"{name} has shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}")
    head = kind.shaped_like(state)
    head.load_state_dict(state, strict=True)
    return head.eval().requires_grad_(False)
