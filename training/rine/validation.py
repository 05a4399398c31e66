"""Metrics of heads on the validation part, after each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from sidscan.errors import UsageError
from sidscan.models.backbones import MAPS, Feature

from .crop_dataset import CropDataset
from .features import ENCODER_BATCH, FreshFeatures, FrozenEncoder
from .fit import HeadStack


class ValidationMetrics(TypedDict):
    """Loss per image, accuracy at a score of 0.5, average precision. Checkpoints store these keys."""

    loss: float
    accuracy: float
    average_precision: float


class ValidationSet:
    """Centre crops of images that are not trained on.

    They are encoded once, and their features stay in memory as fp16; only patch maps are too large for that.
    """

    def __init__(self, crops: CropDataset, encoder: FrozenEncoder, feature: Feature) -> None:
        self.crops, self.device = crops, encoder.device
        self._source = FreshFeatures(crops, encoder, feature)
        self._keeps_features = feature not in MAPS
        self._in_memory: list[tuple[Tensor, Tensor]] = []

    def evaluate(self, stacks: Sequence[HeadStack]) -> list[ValidationMetrics]:
        """Metrics of every head, in the order of the stacks.

        Raises:
            UsageError: none of the images can be read.
        """
        losses, logits, labels = [], [], []
        for batch, truth in self._batches():
            features = batch.to(self.device).float() if self._keeps_features else batch
            answers = truth.to(self.device)
            losses.append(torch.cat([stack.losses(features, answers)[0].double().cpu() for stack in stacks]))
            logits.append(torch.cat([stack.logits(features).cpu() for stack in stacks]))
            labels.append(truth)
        if not labels:
            raise UsageError("no image of the validation part can be read", "Repair or remove it.")
        truth, total = torch.cat(labels), torch.stack(losses).sum(dim=0)
        return [
            {
                "loss": float(loss) / len(truth),
                "accuracy": float(((scores > 0) == (truth > 0.5)).double().mean()),
                "average_precision": float(average_precision_score(truth.numpy(), scores.numpy())),
            }
            for loss, scores in zip(total, torch.cat(logits, dim=1), strict=True)
        ]

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Features and labels, on the CPU; empty batches are left out."""
        if self._in_memory:
            yield from self._in_memory
            return
        count = len(self._source)
        order = [range(start, min(start + ENCODER_BATCH, count)) for start in range(0, count, ENCODER_BATCH)]
        for features, labels in self._source.batches(0, order):
            batch = features.half().cpu() if self._keeps_features else features, labels
            if len(labels) and self._keeps_features:
                self._in_memory.append(batch)
            if len(labels):
                yield batch
