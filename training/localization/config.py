"""What the training of a localizer depends on, and checks of it that need no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from sidscan.config import Device, Precision
from sidscan.errors import UsageError

from .survey import SurveyOptions

Init = Literal["default", "published"]
Augment = Literal["none", "blur", "color_jitter", "jpeg", "all"]
Target = Literal["pixels", "images"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizerRecipe:
    """How a decoder is built and fitted. Checkpoints store these fields by name.

    Values are DeCLIP's (github.com/bit-ml/DeCLIP @ 09d4293) but for ``init`` and ``seed``: it had none.

    Attributes:
        decoder: as DeCLIP calls it, ``conv-20`` and others.
        layer: block of a vision transformer, from 0; stage of a residual network alone, from 1.
        init: ``published`` draws all weights of ``fc``, factors of batch normalisation too, from N(0, 0.02),
            and trains only what has "fc" in its name. ``default`` is PyTorch's, and trains all.
        augment: a name of `augmentation.AUGMENTATIONS`, or ``none``.
        target: masks, or only whether an image has a synthetic part (the mean logit is judged).
        epochs: at most; plateaus of the validation score end most runs before (`plateau`).
    """

    decoder: str = "conv-20"
    layer: int = 20
    init: Init = "default"
    augment: Augment = "none"
    target: Target = "pixels"
    lr: float = 1e-3
    batch: int = 64
    epochs: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what can't be fitted.

        Raises:
            UsageError: a value is out of range or unknown.
        """
        for value, known in ((self.init, Init), (self.augment, Augment), (self.target, Target)):
            if value not in get_args(known):
                raise UsageError(f"{value!r} is unknown; known are {', '.join(get_args(known))}")
        if not (self.lr > 0 and self.batch > 0 and self.epochs > 0):
            raise UsageError("lr, batch and epochs must be above 0")

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> LocalizerRecipe:
        """A recipe from a checkpoint.

        Raises:
            UsageError: a key is unknown, or a value is out of range.
        """
        if unknown := stored.keys() - {field.name for field in fields(cls)}:
            raise UsageError(f"a stored recipe has unknown keys: {', '.join(sorted(unknown))}")
        return cls(**stored)

    def key(self) -> str:
        """Canonical JSON of what the weights after an epoch depend on: not of how many there will be."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "epochs"})


@dataclass(frozen=True, kw_only=True)
class LocalizerConfig:
    """Everything a training run depends on.

    Attributes:
        data: folder of the data set, or a manifest.
        sets: names of the sets to train on; empty for all.
        encoders: catalog names, or paths of weights: one, or a vision transformer and a residual network.
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
