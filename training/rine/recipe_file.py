"""Recipe files: TOML that states a recipe and what else the bytes of a checkpoint follow from.

    command = "train"
    preset = "progan-4class"        # the numbers that the file leaves out; and what checkpoints state
    encoder = "clip-vit-l14"
    classes = ["cat", "horse"]
    temperature = 0.1               # and every other field of `recipe.Recipe`

`sidscan recipe show` writes such files of presets and checkpoints, whole; people write short ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from sidscan.config import Precision
from sidscan.errors import UsageError
from sidscan.training.common import recipe_toml
from sidscan.training.common.recipe_toml import RecipeKeys, notes_of_run, read_recipe
from sidscan.training.common.recipe_values import check_names

from .recipe import PRESETS, UNUSED_BY_HEAD, Recipe

DEFAULT_PRESET = "progan-4class"
_VIEWS = re.compile("([0-9]+) pass(es)?, cached in fp16")  # of a checkpoint, as `train.new_run` writes it


@dataclass(frozen=True, kw_only=True)
class RecipeFile:
    """What a file states.

    Attributes:
        name: of the file, for messages.
        recipe: fields of `Recipe` that it states.
        layout: of the training set; empty for the preset's.
        classes, sets: of the training set; None for the preset's classes, and for all sets.
        encoder: catalog name, or path of weights; empty for the preset's.
        encoder_sha256: of the encoder's file, hex; empty for any.
        precision: of the encoder; empty for any.
        cached_passes: crops of each image that were encoded once and kept; 0 for new ones in every
            epoch; None for either.
    """

    name: str = ""
    preset: str = DEFAULT_PRESET
    recipe: Mapping[str, Any]
    layout: str = ""
    classes: tuple[str, ...] | None = None
    sets: tuple[str, ...] | None = None
    encoder: str = ""
    encoder_sha256: str = ""
    precision: str = ""
    cached_passes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no training can follow.

        Raises:
            UsageError: a value is unknown or out of range.
        """
        if self.preset not in PRESETS:
            raise UsageError(f"preset {self.preset!r} is unknown", f"Presets are {', '.join(PRESETS)}.")
        if self.precision and self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise UsageError(f"precision {self.precision!r} is unknown", f"Known are {known}.")
        if self.encoder_sha256 and not re.fullmatch("[0-9a-f]{64}", self.encoder_sha256):
            raise UsageError("encoder_sha256 must be 64 hexadecimal digits", "Copy it, or leave it out.")
        if self.cached_passes is not None and self.cached_passes < 0:
            raise UsageError(
                f"cached_passes must be at least 0, not {self.cached_passes}", "0 draws new crops."
            )
        check_names("classes", self.classes)
        check_names("sets", self.sets)
        for name in UNUSED_BY_HEAD.get(self.whole.head, ()):
            if name in self.recipe:
                raise UsageError(f"{name} has no effect on the head {self.whole.head}", "Leave it out.")

    @property
    def whole(self) -> Recipe:
        """The recipe with what the preset adds.

        Raises:
            UsageError: a value is out of range.
        """
        return replace(PRESETS[self.preset].recipe, **self.recipe)

    @property
    def parameters(self) -> dict[str, object]:
        """Values of the options of `sidscan train` that the file states."""
        stated: dict[str, object] = {"preset": self.preset, **self.recipe}
        if self.classes is not None:
            stated["classes"] = ",".join(self.classes)
        texts = ("layout", "sets", "encoder", "precision")
        stated |= {name: value for name in texts if (value := getattr(self, name))}
        return stated | ({"passes": self.cached_passes} if self.cached_passes else {})


KEYS = RecipeKeys(
    command="train",
    run={
        "preset": DEFAULT_PRESET,
        "layout": "cnndetection",
        "classes": ("cat", "horse"),
        "sets": ("cat", "horse"),
        "encoder": "clip-vit-l14",
        "encoder_sha256": 64 * "0",
        "precision": "fp32",
        "cached_passes": 1,
    },
    recipe=asdict(Recipe()),
    sections={
        "head": "Head",
        "xi": "Loss",
        "epochs": "Fit",
        "blur_probability": "Augmentation, in this order",
    },
)


def read_recipe_file(path: Path, others: Sequence[RecipeKeys] = ()) -> RecipeFile:
    """The recipe in a file.

    Args:
        others: keys of other commands, for messages.

    Raises:
        UsageError: it can't be read, or states what is unknown, of another type or out of range.
    """
    return read_recipe(
        path, KEYS, lambda run, recipe: RecipeFile(name=str(path), recipe=recipe, **run), others
    )


def recipe_of_preset(name: str) -> RecipeFile:
    """The whole recipe of a published head.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"{name} is neither a checkpoint nor a preset", f"Presets are {', '.join(PRESETS)}.")
    preset = PRESETS[name]
    return RecipeFile(
        preset=name,
        recipe=_used(preset.recipe),
        layout=preset.layout,
        classes=preset.classes or None,
        encoder=preset.encoder,
        cached_passes=0,
    )


def recipe_of_facts(facts: Mapping[str, Any], encoder: str, encoder_sha256: str) -> RecipeFile:
    """The recipe that a checkpoint states.

    Raises:
        UsageError: it states none, or one that this version can't follow.
    """
    if not isinstance(facts.get("recipe"), dict):
        raise UsageError(
            "it states no recipe", "`sidscan recipe show` reads checkpoints of `sidscan train` and `study`."
        )
    views = _VIEWS.fullmatch(str(facts.get("views")))
    layout, classes = str(facts.get("layout") or ""), tuple(map(str, facts.get("classes") or ()))
    if not classes and layout == "cnndetection":
        layout = "auto"  # else the preset's classes would count
    return RecipeFile(
        preset=str(facts.get("preset") or DEFAULT_PRESET),
        recipe=_used(Recipe.from_dict(facts["recipe"])),
        layout=layout,
        classes=classes or None,
        sets=tuple(map(str, facts.get("sets") or ())) or None,
        encoder=encoder,
        encoder_sha256=encoder_sha256,
        precision=str(facts.get("precision", "")),
        cached_passes=int(views[1]) if views else 0,
    )


def notes_of_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """What equal bytes need besides the recipe, for a file's first lines."""
    data, seed = facts.get("data") or {}, facts.get("views_seed")
    counts = f"{data.get('real')} real, {data.get('synthetic')} synthetic"
    yield from notes_of_run(facts, f"{counts}; list {str(data.get('digest'))[:12]}")
    if seed != facts["recipe"].get("seed", 0):
        yield f"A study drew its crops from seed {seed}; `sidscan train` draws others."


def to_toml(file: RecipeFile, notes: tuple[str, ...] = ()) -> str:
    """The file as text; a number that the preset has otherwise says so."""
    run = {name: getattr(file, name) for name in KEYS.run}
    published = asdict(PRESETS[file.preset].recipe)
    return recipe_toml.to_toml(KEYS, run, file.recipe, published, file.preset, notes)


def _used(recipe: Recipe) -> dict[str, Any]:
    """The fields that matter for the recipe's head."""
    unused = UNUSED_BY_HEAD.get(recipe.head, ())
    return {name: value for name, value in asdict(recipe).items() if name not in unused}
