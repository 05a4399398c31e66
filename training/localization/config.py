"""What the training of a localizer depends on, and checks of it that need no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from sidscan.config import Device, Precision
from sidscan.errors import UsageError

from .recipe import LocalizerRecipe
from .survey import SurveyOptions

SYNTHETIC_IS: Mapping[str, bool | None] = MappingProxyType({"auto": None, "white": False, "black": True})
"""What marks the synthetic region in masks, by name -> `LocalizerConfig.black_is_synthetic`."""


@dataclass(frozen=True, kw_only=True)
class LocalizerConfig:
    """Everything a training run depends on.

    Attributes:
        data: folder of the data set, or a manifest.
        sets: names of the sets to train on; empty for all.
        encoders: catalog names, or paths of weights: one, or a vision transformer and a residual network.
        encoders_sha256: which bytes the encoders' files must be, hex; empty for any.
        layer: of the recipe; None chooses it by the encoder's depth (`train.default_layer`).
        cache: folder for the encoders' features; None computes them in every epoch.
        held_out: share of the training images that validate, where the data set has no such part.
        black_is_synthetic: how masks are read; None leaves it to the layout.
        mixed_precision: whether the decoder's products are bfloat16 on CUDA; None: unless as published.
        bars: whether to show progress on a terminal.
    """

    data: Path
    recipe: LocalizerRecipe
    layout: str = "auto"
    sets: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ("clip-vit-l14",)
    encoders_sha256: tuple[str, ...] = ()
    layer: int | None = None
    cache: Path | None = None
    held_out: float = 0.1
    black_is_synthetic: bool | None = None
    survey: SurveyOptions = field(default_factory=SurveyOptions)
    device: Device = "auto"
    precision: Precision = "auto"
    mixed_precision: bool | None = None
    bars: bool = True

    def __post_init__(self) -> None:
        """Refuse what would have no effect.

        Raises:
            UsageError: features of augmented images can't be kept.
        """
        if self.cache is not None and self.recipe.augment != "none":
            raise UsageError(
                "--cache has no effect with --augment: every epoch has other pixels", "Leave one of them out."
            )
        if not 0 < self.held_out < 1:
            raise UsageError("--validation-fraction must be above 0 and below 1")
