"""How heads do on the validation part, after each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from sidscan.errors import UsageError
from sidscan.models.backbones import Feature

from .crop_dataset import CropDataset
from .features import ENCODER_BATCH, FreshReadings, FrozenEncoder
from .fit import HeadStack


class Validation:
    """Centre views of pictures that are not trained on; read once and kept as fp16, but for patch maps."""

    def __init__(self, views: CropDataset, encoder: FrozenEncoder, reading: Feature) -> None:
        self.views, self.device = views, encoder.device
        self._source = FreshReadings(views, encoder, reading)
        self._keeps = reading != "maps"  # 12 MB a view
        self._kept: list[tuple[Tensor, Tensor]] = []

    def figures(self, stacks: Sequence[HeadStack]) -> list[dict[str, float]]:
        """Per head: loss per picture, accuracy at 0.5, average precision.

        Raises:
            UsageError: not one of the pictures can be read.
        """
        losses, logits, labels = [], [], []
        for readings, truth in self._batches():
            values, answers = readings.to(self.device).float(), truth.to(self.device)
            losses.append(torch.cat([stack.losses(values, answers)[0].double().cpu() for stack in stacks]))
            logits.append(torch.cat([stack.logits(values).cpu() for stack in stacks]))
            labels.append(truth)
        if not labels:
            raise UsageError("not one picture of the validation part can be read", "Repair or remove it.")
        truth, total = torch.cat(labels), torch.stack(losses).sum(dim=0)
        return [
            _figures(float(loss), scores, truth)
            for loss, scores in zip(total, torch.cat(logits, dim=1), strict=True)
        ]

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Readings and labels, on the CPU; empty batches are left out."""
        if self._kept:
            yield from self._kept
            return
        count = len(self._source)
        order = [range(start, min(start + ENCODER_BATCH, count)) for start in range(0, count, ENCODER_BATCH)]
        for readings, labels in self._source.batches(0, order):
            batch = readings.half().cpu(), labels
            if len(labels) and self._keeps:
                self._kept.append(batch)
            if len(labels):
                yield batch


def _figures(loss: float, logits: Tensor, labels: Tensor) -> dict[str, float]:
    return {
        "loss": loss / len(labels),
        "accuracy": float(((logits > 0) == (labels > 0.5)).double().mean()),
        "average_precision": float(average_precision_score(labels.numpy(), logits.numpy())),
    }
