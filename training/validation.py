"""How heads do on the validation part, after each epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from sidscan.models.backbones import Reading

from .fit import HeadStack
from .readings import ENCODER_BATCH, FreshReadings, FrozenEncoder
from .views import Views


class Validation:
    """Centre views of pictures that are not trained on; read once, kept in memory as fp16."""

    def __init__(self, views: Views, encoder: FrozenEncoder, reading: Reading) -> None:
        self.source = FreshReadings(views, encoder, reading)
        self._read: list[tuple[Tensor, Tensor]] = []

    def figures(self, stacks: Sequence[HeadStack]) -> list[dict[str, float]]:
        """Per head: loss per picture, accuracy at 0.5, average precision."""
        return [figure for stack in stacks for figure in self._of(stack)]

    def _of(self, stack: HeadStack) -> list[dict[str, float]]:
        losses, logits, labels = [], [], []
        for readings, truth in self._batches():
            losses.append(stack.losses(readings.float(), truth)[0].double().cpu())
            logits.append(stack.logits(readings.float()).cpu())
            labels.append(truth)
        scores, truth = torch.cat(logits, dim=1), torch.cat(labels)
        right = ((scores > 0) == (truth > 0.5)).double().mean(dim=1)
        mean = torch.stack(losses).sum(dim=0) / len(truth)
        return [
            {
                "loss": float(mean[place]),
                "accuracy": float(right[place]),
                "average_precision": float(average_precision_score(truth.numpy(), scores[place].numpy())),
            }
            for place in range(len(stack))
        ]

    def _batches(self) -> list[tuple[Tensor, Tensor]]:
        if not self._read:
            count = len(self.source)
            order = [
                range(start, min(start + ENCODER_BATCH, count)) for start in range(0, count, ENCODER_BATCH)
            ]
            self._read = [(readings.half(), labels) for readings, labels in self.source.batches(0, order)]
        return self._read
