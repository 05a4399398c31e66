"""Recipe files of localizers: TOML that states a recipe and what else the bytes of a checkpoint follow from.

    command = "train-localizer"
    encoders = ["clip-vit-l14"]
    synthetic_is = "white"          # of masks
    decoder = "linear"              # and every other field of `recipe.LocalizerRecipe`

`sidscan recipe show` writes such files of checkpoints, whole; people write short ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from sidscan.config import Precision
from sidscan.errors import UsageError
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint
from sidscan.training.common import recipe_toml
from sidscan.training.common.recipe_toml import RecipeKeys, notes_of_run, read_recipe
from sidscan.training.common.recipe_values import check_names

from .config import SYNTHETIC_IS
from .recipe import LocalizerRecipe

KEYS = RecipeKeys(
    command="train-localizer",
    run={
        "layout": "dolos",
        "sets": ("ldm", "lama"),
        "synthetic_is": "auto",
        "resize_masks": False,
        "validation_fraction": 0.1,
        "encoders": ("clip-vit-l14",),
        "encoders_sha256": (64 * "0",),
        "precision": "fp32",
        "mixed_precision": False,
        "cached_features": False,
    },
    recipe=asdict(LocalizerRecipe()),
    sections={"decoder": "Decoder", "epochs": "Fit", "augment": "Augmentation"},
)
_OPTIONS = {"validation_fraction": "held_out"}  # of `train-localizer`, by other names than the keys
_NO_OPTION = ("encoders_sha256", "cached_features")


@dataclass(frozen=True, kw_only=True)
class LocalizerRecipeFile:
    """What a file states; None and empty text stand for what it leaves open.

    Attributes:
        name: of the file, for messages.
        recipe: fields of `LocalizerRecipe` that it states.
        layout: of the data set.
        sets: of the data set.
        synthetic_is: what marks the synthetic region in masks.
        resize_masks: whether masks of another size than their image are accepted.
        validation_fraction: share of the training images that validate.
        encoders: catalog names, or paths of weights.
        encoders_sha256: of the encoders' files, hex.
        precision: of the encoders.
        mixed_precision: of the decoder.
        cached_features: whether each image was encoded once and its features kept.
    """

    name: str = ""
    recipe: Mapping[str, Any]
    layout: str = ""
    sets: tuple[str, ...] | None = None
    synthetic_is: str = ""
    resize_masks: bool | None = None
    validation_fraction: float | None = None
    encoders: tuple[str, ...] | None = None
    encoders_sha256: tuple[str, ...] | None = None
    precision: str = ""
    mixed_precision: bool | None = None
    cached_features: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what no training can follow.

        Raises:
            UsageError: a value is unknown or out of range.
        """
        for name, known in (("synthetic_is", tuple(SYNTHETIC_IS)), ("precision", get_args(Precision))):
            if getattr(self, name) not in ("", *known):
                raise UsageError(
                    f"{name} {getattr(self, name)!r} is unknown", f"Known are {', '.join(known)}."
                )
        check_names("sets", self.sets)
        if self.encoders == ():
            raise UsageError("encoders must name one or two", "Leave it out for clip-vit-l14.")
        if self.validation_fraction is not None and not 0 < self.validation_fraction < 1:
            raise UsageError("validation_fraction must be above 0 and below 1", "By default it is 0.1.")
        for sha256 in self.encoders_sha256 or ():
            if not re.fullmatch("[0-9a-f]{64}", sha256):
                raise UsageError(
                    "encoders_sha256 must have 64 hexadecimal digits each", "Copy them, or leave them out."
                )
        if self.encoders and self.encoders_sha256 and len(self.encoders) != len(self.encoders_sha256):
            raise UsageError(
                "encoders_sha256 must have one digest for each encoder", "Leave it out, if need be."
            )
        whole = LocalizerRecipe(**self.recipe)
        for name, because in whole.unused():
            if name in self.recipe:
                raise UsageError(
                    f"{name} has no effect with {because} = {getattr(whole, because)!r}", "Leave it out."
                )

    @property
    def run(self) -> dict[str, Any]:
        """What it states beside the numbers of the recipe, by key."""
        stated = {name: getattr(self, name) for name in KEYS.run}
        return {name: value for name, value in stated.items() if value not in ("", None)}

    @property
    def parameters(self) -> dict[str, object]:
        """Values of the options of `sidscan train-localizer` that the file states."""
        run = {_OPTIONS.get(name, name): value for name, value in self.run.items() if name not in _NO_OPTION}
        return {**run, **self.recipe}


def read_recipe_file(path: Path, others: Sequence[RecipeKeys] = ()) -> LocalizerRecipeFile:
    """The recipe in a file.

    Args:
        others: keys of other commands, for messages.

    Raises:
        UsageError: it can't be read, or states what is unknown, of another type or out of range.
    """
    return read_recipe(
        path,
        KEYS,
        lambda run, recipe: LocalizerRecipeFile(name=str(path), recipe=recipe, **run),
        others,
    )


def recipe_of_checkpoint(checkpoint: LocalizerCheckpoint) -> LocalizerRecipeFile:
    """The recipe that a checkpoint states.

    Raises:
        UsageError: it states none, or one that this version can't follow.
    """
    facts = checkpoint.facts
    if not isinstance(facts.get("recipe"), dict):
        raise UsageError("it states no recipe", "Only `sidscan train-localizer` writes localizers that do.")
    recipe = LocalizerRecipe.from_dict(facts["recipe"])
    unused = [name for name, _ in recipe.unused()]
    data = facts.get("data") or {}
    return LocalizerRecipeFile(
        recipe={name: value for name, value in asdict(recipe).items() if name not in unused},
        layout=str(facts.get("layout", "")),
        sets=tuple(map(str, facts.get("sets", data.get("sets")) or ())) or None,
        synthetic_is=str(facts.get("synthetic_is", "")),
        resize_masks=facts.get("resize_masks"),
        validation_fraction=data.get("validation_held_out"),
        encoders=tuple(checkpoint.encoders),
        encoders_sha256=tuple(checkpoint.encoders.values()),
        precision=str(facts.get("precision", "")),
        mixed_precision=facts.get("mixed_precision"),
        cached_features="cached" in str(facts.get("features")),
    )


def notes_of_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    """What equal bytes need besides the recipe, for a file's first lines."""
    data = facts.get("data") or {}
    train, valid = (data.get(part) or {} for part in ("train", "valid"))
    lists = ", ".join(str(part.get("digest"))[:12] for part in (train, valid))
    yield from notes_of_run(
        facts,
        f"{train.get('synthetic')} with masks, {train.get('real')} real, "
        f"{(valid.get('synthetic') or 0) + (valid.get('real') or 0)} to validate; lists {lists}",
    )


def to_toml(file: LocalizerRecipeFile, notes: tuple[str, ...] = ()) -> str:
    """The file as text; a number that is not the default says so."""
    usual = {**KEYS.recipe, "layer": file.recipe.get("layer")}  # the encoder's depth chooses it by default
    return recipe_toml.to_toml(KEYS, file.run, file.recipe, usual, "default", notes)
