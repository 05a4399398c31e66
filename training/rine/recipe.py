"""Recipes: every number that a trained head depends on, with its source, and the published presets.

Numbers are the paper's (arXiv 2402.19091). Where the published code (mever-team/rine @ 9b7fd58) does
something else, this module follows the code and says so.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from sidscan.errors import UsageError
from sidscan.training.common.recipe_keys import with_current_keys
from sidscan.training.common.recipe_values import SEEDS, Bounds, check_bounds, typed_value

from .examples import CLASS_SETS, SetLayout

HeadKind = Literal["rine", "linear", "fpn"]
Ablation = Literal["none", "contrastive", "tie", "intermediate"]
_SHORT_NAMES = {"data_fraction": "fraction", "lr_milestones": "milestones"}  # in names of files
_OF_CROPS = ("blur_probability", "blur_max_sigma", "jpeg_probability", "jpeg_qualities", "mirror_probability")


_POSITIVE, _SHARE = Bounds(0, above=True), Bounds(0, 1)
BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        **dict.fromkeys(("num_proj_layers", "proj_dim", "epochs", "batch", "lr_milestones"), Bounds(1)),
        **dict.fromkeys(("temperature", "base_temperature", "lr", "lr_divisor", "adam_eps"), _POSITIVE),
        **dict.fromkeys(("blur_probability", "jpeg_probability", "mirror_probability"), _SHARE),
        **dict.fromkeys(("xi", "blur_max_sigma"), Bounds(0)),
        "seed": SEEDS,
        **dict.fromkeys(("dropout", "adam_betas"), Bounds(0, 1, below=True)),
        "data_fraction": Bounds(0, 1, above=True),
        "jpeg_qualities": Bounds(1, 100),
    }
)
"""Of every field of `Recipe` that is a number or several."""
UNUSED_BY_HEAD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "linear": ("xi", "num_proj_layers", "proj_dim", "dropout", "temperature", "base_temperature"),
        "fpn": ("num_proj_layers",),
    }
)
"""Fields that change nothing for a head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a head is built and fitted.

    Checkpoints store these fields by name. Renaming one needs an entry in `common.recipe_keys` and a new
    number of the checkpoint format. A field that older checkpoints lack has its default here, which was a
    constant then.

    Attributes:
        head: ``rine``; ``linear``, UFD's probe; ``fpn``, the appendix's feature pyramid.
        ablate: the part to leave out, as in the paper's ablations (published code: src/ablations.py):
            ``contrastive``, the contrastive loss; ``tie``, the TIE, so that blocks are averaged;
            ``intermediate``, all blocks but the last.
    """

    head: HeadKind = "rine"
    ablate: Ablation = "none"
    num_proj_layers: int = 2  # q, Linear layers in each of Q1 and Q2; section 4.2
    proj_dim: int = 1024  # d'; section 4.2
    dropout: float = 0.5  # section 3.2: share of the values that training drops

    xi: float = 0.2  # weight of the contrastive loss; each preset has its own from the grid, section 4.2
    temperature: float = 0.07  # of the contrastive loss; published code, as the next one: SupConLoss
    base_temperature: float = 0.07  # the contrastive loss is multiplied by temperature / base_temperature

    epochs: int = 1  # section 5.4 has more
    batch: int = 128  # published code, as `lr`: scripts/experiments.py
    lr: float = 1e-3  # Adam's
    lr_milestones: tuple[int, ...] = (6, 11)  # epochs, counted from 1, that divide lr; section 5.4
    lr_divisor: float = 10.0  # section 5.4
    adam_betas: tuple[float, ...] = (0.9, 0.999)  # PyTorch's defaults, as the next one
    adam_eps: float = 1e-8
    data_fraction: float = 1.0  # of the shuffled training list; section 5.5
    seed: int = 0  # published code, seed_everything(0)

    blur_probability: float = 0.5  # published code, as all of these: src/utils.py, data_augment
    blur_max_sigma: float = 3.0  # px; sigma is uniform from 0
    jpeg_probability: float = 0.5
    jpeg_qualities: tuple[int, ...] = (30, 100)  # one of these, not a range
    mirror_probability: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what can't be fitted.

        Raises:
            UsageError: a value is out of range or unknown.
        """
        for name, kind in (("head", HeadKind), ("ablate", Ablation)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise UsageError(f"{name} {getattr(self, name)!r} is unknown", f"Known are {known}.")
        if self.head != "rine" and self.ablate not in ("none", "contrastive"):
            raise UsageError(
                f"ablate {self.ablate!r} needs the head rine, not {self.head}", "Leave one of them out."
            )
        check_bounds(self, BOUNDS)
        if len(self.adam_betas) != 2:
            raise UsageError("adam_betas must be two numbers", "PyTorch's are 0.9 and 0.999.")
        if not self.jpeg_qualities:
            raise UsageError("jpeg_qualities must be at least one", "For no JPEG, set jpeg_probability to 0.")

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> Recipe:
        """A recipe from a checkpoint; checkpoints of sidscan 0.1 have other keys for the same fields.

        Raises:
            UsageError: a key is unknown, or a value is of another type or out of range.
        """
        values = with_current_keys(stored)
        unknown = values.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise UsageError(f"a stored recipe has unknown keys: {', '.join(sorted(unknown))}")
        typed: dict[str, Any] = {
            name: typed_value(name, value, getattr(cls(), name)) for name, value in values.items()
        }
        return cls(**typed)

    @property
    def contrastive_weight(self) -> float:
        """xi, or 0 without a contrastive loss: in that ablation and for UFD's probe."""
        return 0.0 if self.ablate == "contrastive" or self.head == "linear" else self.xi

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0."""
        return self.lr / self.lr_divisor ** sum(epoch + 1 >= milestone for milestone in self.lr_milestones)

    @property
    def augmentation(self) -> dict[str, object]:
        """The fields that a crop of an image depends on, beside the seed."""
        return {name: getattr(self, name) for name in _OF_CROPS}

    @property
    def label(self) -> str:
        """A file name that differs between recipes, e.g. ``rine-xi0.2-q2-d1024``.

        It names the head with its shape, and then every other field that departs from its default.
        """
        shape = {"xi": self.xi, "q": self.num_proj_layers, "d": self.proj_dim}
        unused = {"rine": (), "fpn": ("q",), "linear": ("xi", "q", "d")}[self.head]
        parts: list[str] = [self.head, *(f"{k}{v:g}" for k, v in shape.items() if k not in unused)]
        if self.ablate != "none":
            parts.append(f"ablate-{self.ablate}")
        default, named = Recipe(), ("head", "ablate", "xi", "num_proj_layers", "proj_dim")
        others = [field.name for field in fields(Recipe) if field.name not in named]
        lists = [name for name in others if isinstance(getattr(default, name), tuple)]
        for name in sorted(others, key=lambda name: name in lists):  # a stable sort: lists come last
            value, short = getattr(self, name), _SHORT_NAMES.get(name, name.replace("_", "-"))
            if value != getattr(default, name):
                parts.append("-".join((short, *map(str, value))) if name in lists else f"{short}{value:g}")
        return "-".join(parts)

    def to_json(self) -> str:
        """Canonical JSON: equal recipes give equal text."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A published head: its training set and recipe.

    Attributes:
        layout: of the data (`training.rine.examples`).
        classes: of ProGAN's set; empty for other layouts.
        encoder: catalog name, or a library's (`sidscan.models.backbones.named`).
    """

    recipe: Recipe
    encoder: str = "clip-vit-l14"
    layout: SetLayout = "cnndetection"
    classes: tuple[str, ...] = ()
    about: str


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "progan-1class": Preset(
            recipe=Recipe(xi=0.1, num_proj_layers=4, proj_dim=1024),
            classes=CLASS_SETS["1"],
            about="published 1-class head",
        ),
        "progan-2class": Preset(
            recipe=Recipe(xi=0.2, num_proj_layers=4, proj_dim=128),
            classes=CLASS_SETS["2"],
            about="published 2-class head",
        ),
        "progan-4class": Preset(
            recipe=Recipe(xi=0.2, num_proj_layers=2, proj_dim=1024),
            classes=CLASS_SETS["4"],
            about="published 4-class head",
        ),
        "progan-20class": Preset(
            recipe=Recipe(xi=0.2, num_proj_layers=2, proj_dim=1024),
            classes=CLASS_SETS["20"],
            about="20-class training (appendix), with the 4-class recipe",
        ),
        "ldm": Preset(
            recipe=Recipe(xi=0.4, num_proj_layers=4, proj_dim=1024, epochs=5),
            layout="ldm",
            about="published head trained on latent diffusion",
        ),
        "ufd-4class": Preset(
            recipe=Recipe(head="linear"),
            classes=CLASS_SETS["4"],
            about="UFD's probe on RINE's 4-class set (appendix)",
        ),
        "fpn-4class": Preset(
            recipe=Recipe(head="fpn", proj_dim=256),
            classes=CLASS_SETS["4"],
            about="feature pyramid (appendix; our reading)",
        ),
        # The appendix swaps the backbone, too; neither code nor weights of that are published. Our reading:
        # the recipe of the 4-class head; after each block its class token, or the mean over its map.
        "vit-4class": Preset(
            recipe=Recipe(xi=0.2, num_proj_layers=2, proj_dim=1024),
            encoder="timm:vit_base_patch16_224",
            classes=CLASS_SETS["4"],
            about="RINE on an ImageNet ViT (appendix; our reading)",
        ),
        "wang-4class": Preset(
            recipe=Recipe(xi=0.2, num_proj_layers=2, proj_dim=1024),
            encoder="cnndet-p01",
            classes=CLASS_SETS["4"],
            about="RINE on Wang's ResNet-50 (appendix; our reading)",
        ),
        "rn50-fpn-4class": Preset(
            recipe=Recipe(head="fpn", proj_dim=256),
            encoder="torchvision:resnet50",
            classes=CLASS_SETS["4"],
            about="feature pyramid on an ImageNet ResNet-50 (appendix; our reading)",
        ),
    }
)

_GRID_XI = (0.1, 0.2, 0.4, 0.8)
_GRID_NUM_PROJ_LAYERS = (1, 2, 4)
_GRID_PROJ_DIM = (128, 256, 512, 1024)
_DATA_FRACTIONS = (0.2, 0.5, 0.8, 1.0)
_EPOCHS = (1, 3, 5, 10, 15)  # of section 5.4, as the published results have them


def grid(base: Recipe) -> list[Recipe]:
    """The 48 recipes of section 4.2: xi x q x d'.

    Raises:
        UsageError: the head is not RINE's.
    """
    _check_rine(base, "grid")
    return [
        replace(base, xi=xi, num_proj_layers=layers, proj_dim=dim)
        for layers, dim, xi in itertools.product(_GRID_NUM_PROJ_LAYERS, _GRID_PROJ_DIM, _GRID_XI)
    ]


def ldm_grid(base: Recipe) -> list[Recipe]:
    """The 24 recipes of the LDM-trained head: xi x q x d' x epochs (published results, diffusion).

    Raises:
        UsageError: the head is not RINE's.
    """
    _check_rine(base, "grid")
    combinations = itertools.product((2, 4), (512, 1024), (0.2, 0.4), (1, 3, 5))
    return [
        replace(base, num_proj_layers=layers, proj_dim=dim, xi=xi, epochs=epochs)
        for layers, dim, xi, epochs in combinations
    ]


def epoch_counts(base: Recipe) -> list[Recipe]:
    """1, 3, 5, 10 and 15 epochs (section 5.4)."""
    return [replace(base, epochs=epochs) for epochs in _EPOCHS]


def ablations(base: Recipe) -> list[Recipe]:
    """The whole head, and the head without each of its three parts.

    Raises:
        UsageError: the head is not RINE's.
    """
    _check_rine(base, "ablations")
    return [replace(base, ablate=part) for part in get_args(Ablation)]


def set_sizes(base: Recipe) -> list[Recipe]:
    """20, 50, 80 and 100 % of the training list (section 5.5)."""
    return [replace(base, data_fraction=fraction) for fraction in _DATA_FRACTIONS]


def seeds(base: Recipe, count: int) -> list[Recipe]:
    """The same recipe from ``count`` seeds: initial weights, dropout and order of the images."""
    return [replace(base, seed=base.seed + offset) for offset in range(count)]


def _check_rine(base: Recipe, study: str) -> None:
    if base.head != "rine":
        raise UsageError(
            f"the study {study} needs the head rine, not {base.head}", "Choose another --preset."
        )
