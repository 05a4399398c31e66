"""Recipe files: TOML that states a recipe and what else the bytes of a checkpoint follow from.

    preset = "progan-4class"        # the numbers that the file leaves out; and what checkpoints state
    encoder = "clip-vit-l14"
    classes = ["cat", "horse"]
    temperature = 0.1               # and every other field of `recipe.Recipe`

`sidscan recipe show` writes such files of presets and checkpoints, whole; people write short ones.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from sidscan.config import Precision
from sidscan.errors import UsageError
from sidscan.util.files import open_file

from .recipe import PRESETS, UNUSED_BY_HEAD, Recipe, typed_value

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_PRESET = "progan-4class"
_LARGEST = 1 << 20  # bytes of a file
_SECTIONS = {"head": "Head", "xi": "Loss", "epochs": "Fit", "blur_probability": "Augmentation, in this order"}
_RECIPE_FIELDS = tuple(field.name for field in fields(Recipe))
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


_RUN_FIELDS: Mapping[str, type] = MappingProxyType(
    {
        "preset": str,
        "encoder": str,
        "encoder_sha256": str,
        "layout": str,
        "classes": list,
        "sets": list,
        "precision": str,
        "cached_passes": int,
    }
)


def read_recipe_file(path: Path) -> RecipeFile:
    """The recipe in a file.

    Raises:
        UsageError: it can't be read, or states what is unknown, of another type or out of range.
    """
    try:
        with open_file(path) as file:
            text = file.read(_LARGEST).decode("utf-8-sig")
        stated = tomllib.loads(text)
    except OSError as error:
        raise UsageError(
            f"can't read the recipe in {path}: {error.strerror or error}", "Check --recipe."
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{path} is not TOML: {error}", "Write, for example, temperature = 0.1.") from error
    try:
        return _checked(path, stated)
    except UsageError as error:
        raise UsageError(f"{_place(path, text, error.message)}: {error.message}", error.remedy) from error


def _checked(path: Path, stated: Mapping[str, Any]) -> RecipeFile:
    run: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    for key, value in stated.items():
        if key in _RUN_FIELDS:
            run[key] = _run_value(key, value)
        elif key in _RECIPE_FIELDS:
            recipe[key] = typed_value(key, value)
        else:
            nearest = get_close_matches(key, [*_RUN_FIELDS, *_RECIPE_FIELDS], n=1)
            raise UsageError(
                f"{key} is unknown in a recipe",
                f"Did you mean {nearest[0]}?" if nearest else "`sidscan recipe show` writes all keys.",
            )
    return RecipeFile(name=str(path), recipe=recipe, **run)


def _run_value(key: str, value: object) -> object:
    kind = _RUN_FIELDS[key]
    right = isinstance(value, kind) and not isinstance(value, bool)
    if kind is list and right:
        right = all(isinstance(each, str) and each and "," not in each for each in value)  # type: ignore[attr-defined]
    if not right:
        expected = {str: "text in quotes", int: "a whole number", list: "names in brackets"}[kind]
        example = {str: '"clip-vit-l14"', int: "1", list: '["cat", "horse"]'}[kind]
        raise UsageError(f"{key} must be {expected}, not {value!r}", f"Write, for example, {example}.")
    return tuple(value) if kind is list else value  # type: ignore[arg-type]


def _place(path: Path, text: str, message: str) -> str:
    """The file, with the line of the key that the message begins with."""
    key = re.escape(message.split()[0])
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[*\s*[\"']?{key}[\"']?\s*[=.\]]", line):
            return f"{path}, line {number}"
    return str(path)


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
    data, stated = facts.get("data") or {}, facts.get
    counts = f"{data.get('real')} real, {data.get('synthetic')} synthetic"
    yield f"The same bytes need the same images ({counts}; list {str(data.get('digest'))[:12]}),"
    yield f"sidscan {stated('sidscan')}, torch {stated('torch')} and such a machine ({stated('device')})."
    seed = stated("views_seed")
    if seed != facts["recipe"].get("seed", 0):
        yield f"A study drew its crops from seed {seed}; `sidscan train` draws others."
    if any((facts.get("left_out") or {}).values()):
        yield "Images were left out as unreadable: add --skip-unreadable."


def to_toml(file: RecipeFile, notes: tuple[str, ...] = ()) -> str:
    """The file as text; a number that the preset has otherwise says so."""
    lines = [f"# {note}" for note in notes] + [""] * bool(notes)
    for name in (each.name for each in fields(RecipeFile) if each.name not in ("name", "recipe")):
        value = getattr(file, name)
        if value not in ("", None):
            lines.append(f"{name} = {_toml(value)}")
    published = PRESETS[file.preset].recipe
    for name in _RECIPE_FIELDS:
        if name in _SECTIONS:
            lines += ["", f"# {_SECTIONS[name]}"]
        if name not in file.recipe:
            continue
        usual = getattr(published, name)
        note = "" if file.recipe[name] == usual else f"  # {file.preset}: {_toml(usual)}"
        lines.append(f"{name} = {_toml(file.recipe[name])}{note}")
    return "\n".join(lines) + "\n"


def _used(recipe: Recipe) -> dict[str, Any]:
    """The fields that matter for the recipe's head."""
    unused = UNUSED_BY_HEAD.get(recipe.head, ())
    return {name: value for name, value in asdict(recipe).items() if name not in unused}


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
