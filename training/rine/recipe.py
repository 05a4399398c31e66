"""Recipes: every number that a trained head depends on, with where it comes from, and the published presets.

Numbers are the paper's (arXiv 2402.19091); where the published code (mever-team/rine @ 9b7fd58) does
something else, the code is followed and said to be.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

from sidscan.errors import UsageError

from .examples import CLASS_SETS, Layout

Kind = Literal["rine", "linear", "fpn"]
Without = Literal["none", "contrastive", "tie", "intermediate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a head is built and fitted.

    Attributes:
        head: ``rine``; ``linear``, UFD's probe; ``fpn``, the appendix's feature pyramid.
        without: the part left out in the ablations (published code: src/ablations.py): the contrastive
            loss; the TIE, so that blocks are averaged; or the intermediate blocks, so that the last one alone
            is read.
    """

    head: Kind = "rine"
    without: Without = "none"
    xi: float = 0.2  # weight of the contrastive loss; chosen per preset from the grid, section 4.2
    layers: int = 2  # q, Linear layers in each of Q1 and Q2; section 4.2
    projected: int = 1024  # d'; section 4.2
    epochs: int = 1  # section 5.4 has more
    batch: int = 128  # published code, as `lr`: scripts/experiments.py
    lr: float = 1e-3  # Adam's, with its default betas
    reduce_at: tuple[int, ...] = (6, 11)  # lr / 10 from these epochs on, counted from 1; section 5.4
    share: float = 1.0  # of the shuffled training list; section 5.5
    seed: int = 0  # published code, seed_everything(0)

    def __post_init__(self) -> None:
        """Refuses what can't be fitted.

        Raises:
            UsageError: a value is out of range or unknown.
        """
        for value, known in ((self.head, Kind), (self.without, Without)):
            if value not in get_args(known):
                raise UsageError(f"{value!r} is none of {', '.join(get_args(known))}")
        if self.head != "rine" and self.without not in ("none", "contrastive"):
            raise UsageError(f"--without {self.without} is an ablation of RINE, not of {self.head}")
        if not (0 < self.share <= 1 and self.xi >= 0 and self.lr > 0):
            raise UsageError("share is in (0, 1], xi at least 0, lr above 0")
        if min(self.layers, self.projected, self.epochs, self.batch) < 1:
            raise UsageError("layers, projected, epochs and batch are at least 1")

    @property
    def contrastive_weight(self) -> float:
        """xi, or 0 where there is no contrastive loss: in that ablation and for UFD's probe."""
        return 0.0 if self.without == "contrastive" or self.head == "linear" else self.xi

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch counted from 0."""
        return self.lr / 10.0 ** sum(epoch + 1 >= boundary for boundary in self.reduce_at)

    @property
    def label(self) -> str:
        """What tells it from other recipes, as a file's name, e.g. ``rine-xi0.2-q2-d1024``."""
        shape = {"xi": self.xi, "q": self.layers, "d": self.projected}
        unread = {"rine": (), "fpn": ("q",), "linear": ("xi", "q", "d")}[self.head]
        parts: list[str] = [self.head, *(f"{k}{v:g}" for k, v in shape.items() if k not in unread)]
        parts += [f"without-{self.without}"] if self.without != "none" else []
        plain = Recipe()
        for name in ("epochs", "batch", "lr", "share", "seed"):
            value = getattr(self, name)
            parts += [f"{name}{value:g}"] if value != getattr(plain, name) else []
        parts += (
            ["reduced-" + "-".join(map(str, self.reduce_at))] if self.reduce_at != plain.reduce_at else []
        )
        return "-".join(parts)

    def to_json(self) -> str:
        """Canonical: equal recipes, equal text."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A published head: its training set and recipe.

    Attributes:
        layout: of the data (`training.rine.examples`).
        classes: of ProGAN's set; empty for other layouts.
    """

    recipe: Recipe
    layout: Layout = "cnndetection"
    classes: tuple[str, ...] = ()
    about: str


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "progan-1class": Preset(
            recipe=Recipe(xi=0.1, layers=4, projected=1024),
            classes=CLASS_SETS["1"],
            about="published 1-class head",
        ),
        "progan-2class": Preset(
            recipe=Recipe(xi=0.2, layers=4, projected=128),
            classes=CLASS_SETS["2"],
            about="published 2-class head",
        ),
        "progan-4class": Preset(
            recipe=Recipe(xi=0.2, layers=2, projected=1024),
            classes=CLASS_SETS["4"],
            about="published 4-class head",
        ),
        "progan-20class": Preset(
            recipe=Recipe(xi=0.2, layers=2, projected=1024),
            classes=CLASS_SETS["20"],
            about="20-class training (appendix), with the 4-class recipe",
        ),
        "ldm": Preset(
            recipe=Recipe(xi=0.4, layers=4, projected=1024, epochs=5),
            layout="ldm",
            about="published head trained on latent diffusion",
        ),
        "ufd-4class": Preset(
            recipe=Recipe(head="linear"),
            classes=CLASS_SETS["4"],
            about="UFD's probe on RINE's 4-class set (appendix)",
        ),
        "fpn-4class": Preset(
            recipe=Recipe(head="fpn", projected=256),
            classes=CLASS_SETS["4"],
            about="feature pyramid (appendix; our reading)",
        ),
    }
)

XIS = (0.1, 0.2, 0.4, 0.8)
LAYERS = (1, 2, 4)
WIDTHS = (128, 256, 512, 1024)
SHARES = (0.2, 0.5, 0.8, 1.0)
EPOCHS = (1, 3, 5, 10, 15)  # of section 5.4, as the published results have them


def grid(base: Recipe) -> list[Recipe]:
    """The 48 recipes of section 4.2: xi x q x d'.

    Raises:
        UsageError: the head is not RINE's.
    """
    _of_rine(base, "grid")
    return [
        replace(base, xi=xi, layers=layers, projected=width)
        for layers, width, xi in itertools.product(LAYERS, WIDTHS, XIS)
    ]


def ldm_grid(base: Recipe) -> list[Recipe]:
    """The 24 recipes of the LDM-trained head: xi x q x d' x epochs (published results, diffusion).

    Raises:
        UsageError: the head is not RINE's.
    """
    _of_rine(base, "grid")
    kinds = itertools.product((2, 4), (512, 1024), (0.2, 0.4), (1, 3, 5))
    return [
        replace(base, layers=layers, projected=width, xi=xi, epochs=epochs)
        for layers, width, xi, epochs in kinds
    ]


def long_runs(base: Recipe) -> list[Recipe]:
    """1, 3, 5, 10 and 15 epochs (section 5.4)."""
    return [replace(base, epochs=epochs) for epochs in EPOCHS]


def ablations(base: Recipe) -> list[Recipe]:
    """The whole, and without each of its three parts.

    Raises:
        UsageError: the head is not RINE's.
    """
    _of_rine(base, "ablations")
    return [replace(base, without=part) for part in get_args(Without)]


def set_sizes(base: Recipe) -> list[Recipe]:
    """20, 50, 80 and 100 % of the training list (section 5.5)."""
    return [replace(base, share=share) for share in SHARES]


def seeds(base: Recipe, count: int) -> list[Recipe]:
    """The same recipe from ``count`` seeds: initial weights, dropout and order of the pictures."""
    return [replace(base, seed=base.seed + number) for number in range(count)]


def _of_rine(base: Recipe, study: str) -> None:
    if base.head != "rine":
        raise UsageError(f"the {study} are of RINE's head, not of {base.head}", "Choose another --preset.")
