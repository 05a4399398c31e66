"""Recipes of localizers: every number that a trained decoder depends on, with its source.

Values are DeCLIP's (github.com/bit-ml/DeCLIP @ 09d4293) but for ``init`` and ``seed``: it had no seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from sidscan.errors import UsageError
from sidscan.models.families.declip import DECODERS
from sidscan.training.common.recipe_values import SEEDS, Bounds, check_bounds, typed_value

Init = Literal["default", "published"]
Augment = Literal["none", "blur", "color_jitter", "jpeg", "all"]
Target = Literal["pixels", "images"]

_MOST_HUE = 0.5  # half of the circle
_POSITIVE = Bounds(0, above=True)
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        **dict.fromkeys(("batch", "epochs", "patience"), Bounds(1)),
        **dict.fromkeys(("lr", "adam_eps", "init_std", "blur_sigma_range"), _POSITIVE),
        **dict.fromkeys(("layer", "weight_decay", "min_lr"), Bounds(0)),
        "seed": SEEDS,
        **dict.fromkeys(("min_rise", "min_rise_after_drop"), Bounds(0)),
        **dict.fromkeys(("jitter_strengths", "validation_threshold"), Bounds(0, 1)),
        "lr_divisor": Bounds(1, above=True),
        "adam_betas": Bounds(0, 1, below=True),
        "blur_kernel": Bounds(1, 223),
        "jpeg_quality_range": Bounds(1, 100),
    }
)
"""Of every field of `LocalizerRecipe` that is a number or several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalizerRecipe:
    """How a decoder is built and fitted.

    Checkpoints store these fields by name. A field that older checkpoints lack has its default here, which
    was a constant then.

    Attributes:
        decoder: as DeCLIP calls it, ``conv-20`` and others.
        layer: block of a vision transformer, from 0; stage of a residual network alone, from 1.
        init: ``published`` draws all weights of ``fc``, factors of batch normalisation too, from a normal
            distribution, and trains only what has "fc" in its name. ``default`` is PyTorch's, and trains all.
        target: masks, or only whether an image has a synthetic part (the mean logit is judged).
        epochs: at most; plateaus of the validation score end most runs before (`plateau`).
        augment: a name of `augmentation.AUGMENTATIONS`, or ``none``.
    """

    decoder: str = "conv-20"
    layer: int = 20
    init: Init = "default"
    init_std: float = 0.02  # trainer.py:17-22; only with init "published"
    target: Target = "pixels"

    epochs: int = 400
    batch: int = 64
    lr: float = 1e-3
    lr_divisor: float = 10.0  # at a plateau; this and the next four: earlystop.py, trainer.py:57-62
    min_lr: float = 1e-6  # training ends when lr would fall below it
    patience: int = 5  # epochs without a rise that make a plateau
    min_rise: float = 0.001  # of the validation score, which is in percent
    min_rise_after_drop: float = 0.002
    validation_threshold: float = 0.5  # above it, a pixel of a map counts as synthetic
    adam_betas: tuple[float, ...] = (0.9, 0.999)  # AdamW's; PyTorch's defaults, as the next one
    adam_eps: float = 1e-8
    weight_decay: float = 0.0
    seed: int = 0

    augment: Augment = "none"  # data/datasets.py:33-38,52-65, as all of these
    blur_kernel: int = 5  # px
    blur_sigma_range: tuple[float, ...] = (0.4, 2.0)  # px
    jitter_strengths: tuple[float, ...] = (0.3, 0.3, 0.3, 0.3)  # brightness, contrast, saturation, hue
    jpeg_quality_range: tuple[int, ...] = (30, 100)

    def __post_init__(self) -> None:
        """Refuse what can't be fitted.

        Raises:
            UsageError: a value is out of range or unknown.
        """
        for name, kind in (("init", Init), ("augment", Augment), ("target", Target)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise UsageError(f"{name} {getattr(self, name)!r} is unknown", f"Known are {known}.")
        if self.decoder not in DECODERS:
            raise UsageError(f"decoder {self.decoder!r} is unknown", f"Known are {', '.join(DECODERS)}.")
        check_bounds(self, BOUNDS)
        if len(self.adam_betas) != 2:
            raise UsageError("adam_betas must be two numbers", "PyTorch's are 0.9 and 0.999.")
        if self.blur_kernel % 2 == 0:
            raise UsageError(f"blur_kernel must be odd, not {self.blur_kernel}", "DeCLIP's is 5.")
        for name in ("blur_sigma_range", "jpeg_quality_range"):
            ends = getattr(self, name)
            if len(ends) != 2 or ends[0] > ends[1]:
                raise UsageError(
                    f"{name} must be two numbers, the smaller first", "For one value, repeat it."
                )
        if len(self.jitter_strengths) != 4 or self.jitter_strengths[3] > _MOST_HUE:
            raise UsageError(
                "jitter_strengths must be four numbers, the last at most 0.5",
                "They are of brightness, contrast, saturation and hue.",
            )

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> LocalizerRecipe:
        """A recipe from a checkpoint.

        Raises:
            UsageError: a key is unknown, or a value is of another type or out of range.
        """
        if unknown := stored.keys() - {field.name for field in fields(cls)}:
            raise UsageError(f"a stored recipe has unknown keys: {', '.join(sorted(unknown))}")
        typed: dict[str, Any] = {
            name: typed_value(name, value, getattr(cls(), name)) for name, value in stored.items()
        }
        return cls(**typed)

    def key(self) -> str:
        """Canonical JSON of what the weights after an epoch depend on: not of how many there will be."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "epochs"})

    def without_unused(self) -> LocalizerRecipe:
        """The recipe with the defaults of the fields that change nothing."""
        return replace(self, **{name: getattr(LocalizerRecipe(), name) for name, _ in self.unused()})

    def unused(self) -> Iterator[tuple[str, str]]:
        """Fields that change nothing, each with the field because of which."""
        if self.init != "published":
            yield "init_std", "init"
        if self.target != "pixels":
            yield "validation_threshold", "target"
        for name, kind in _OF_AUGMENTATION.items():
            if self.augment not in (kind, "all"):
                yield name, "augment"


_OF_AUGMENTATION: Mapping[str, Augment] = MappingProxyType(
    {
        "blur_kernel": "blur",
        "blur_sigma_range": "blur",
        "jitter_strengths": "color_jitter",
        "jpeg_quality_range": "jpeg",
    }
)
"""Fields of one augmentation, which ``all`` has, too."""
