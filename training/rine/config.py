"""What a training run depends on, and checks of it that need no torch, which takes seconds to load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidscan.config import Device, Precision
from sidscan.errors import UsageError
from sidscan.training.datasets.rows import LabelledImage

from . import examples
from .recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a training run depends on.

    Attributes:
        data: folder or manifest of the training set.
        layout: how it lies (`datasets.layouts`).
        classes, sets: those to use; empty for all.
        encoder: catalog name, a library's (`models.backbones.named`), or path of an encoder's weights.
        encoder_weights: of a library's.
        encoder_sha256: which bytes the encoder's file must be, hex; empty for any.
        cache: folder for features; None encodes every crop afresh, as published.
        passes: how many times every image is drawn into the cache.
        preset: name of the published recipe that ``recipe`` is or departs from; checkpoints state it.
        skip_unreadable: leave out images that can't be decoded, and list them in the checkpoint.
        bars: whether to show progress on a terminal.
    """

    data: Path
    recipe: Recipe
    layout: str = "cnndetection"
    classes: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    encoder: str = "clip-vit-l14"
    encoder_weights: Path | None = None
    encoder_sha256: str = ""
    device: Device = "auto"
    precision: Precision = "auto"
    workers: int | None = None
    cache: Path | None = None
    passes: int = 1
    preset: str = ""
    skip_unreadable: bool = False
    bars: bool = True

    def __post_init__(self) -> None:
        """Refuse what would have no effect.

        Raises:
            UsageError: there are several passes but no cache.
        """
        if self.passes > 1 and self.cache is None:
            raise UsageError("--passes needs a cache", "Name a folder with --cache, or leave --passes out.")


def list_examples(config: TrainConfig, part: examples.SetPart) -> list[LabelledImage]:
    """The examples of one part of the set.

    Raises:
        UsageError: the set has another layout than stated.
    """
    return examples.list_part(config.data, config.layout, part, config.classes, config.sets)
