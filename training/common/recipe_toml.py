"""Recipes as TOML: `sidscan recipe show` writes such files, and the option ``--recipe`` reads them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from sidscan.errors import UsageError
from sidscan.util.files import open_file

from .recipe_values import Value, typed_value

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_COMMAND = "command"  # the key that says which command a recipe is for
_LARGEST = 1 << 20  # bytes of a file
Built = TypeVar("Built")


@dataclass(frozen=True, kw_only=True)
class RecipeKeys:
    """What the recipes of one command may state.

    Attributes:
        command: of sidscan, as files state it.
        run: what a run depends on beside the numbers of its recipe: key -> an example.
        recipe: key -> default.
        sections: first key of a section -> title.
    """

    command: str
    run: Mapping[str, Value]
    recipe: Mapping[str, Value]
    sections: Mapping[str, str]


def read_recipe(
    path: Path,
    keys: RecipeKeys,
    build: Callable[[dict[str, Any], dict[str, Any]], Built],
    others: Sequence[RecipeKeys] = (),
) -> Built:
    """What ``build`` makes of a file: of its values of ``keys.run``, and of those of ``keys.recipe``.

    Args:
        others: keys of other commands, for messages.

    Raises:
        UsageError: the file can't be read, is for another command, states nothing, or what is unknown, of
            another type or refused by ``build``.
    """
    try:
        with open_file(path) as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UsageError(
                f"{path} has more than {_LARGEST:,} bytes, too many for a recipe", "Check --recipe."
            )
        text = data.decode("utf-8-sig")
        stated = tomllib.loads(text)
    except OSError as error:
        raise UsageError(
            f"can't read the recipe in {path}: {error.strerror or error}", "Check --recipe."
        ) from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(
            f"{path} is not TOML: {error}",
            "Write, for example, seed = 0. `sidscan recipe show` writes the recipe of a checkpoint.",
        ) from error
    if not stated:  # as a shell leaves the file of a command that failed
        raise UsageError(f"the recipe in {path} is empty", "`sidscan recipe show` writes whole ones.")
    try:
        _check_command(stated, keys)
        for key in stated:
            _check_key(key, keys, others)
        return build(_values(stated, keys.run), _values(stated, keys.recipe))
    except UsageError as error:
        raise UsageError(f"{_place(path, text, error.message)}: {error.message}", error.remedy) from error


def _check_command(stated: Mapping[str, Any], keys: RecipeKeys) -> None:
    command = typed_value(_COMMAND, stated.get(_COMMAND, keys.command), keys.command)
    if command != keys.command:
        raise UsageError(
            f"{_COMMAND} is {command}: this recipe is for `sidscan {command}`, "
            f"not for `sidscan {keys.command}`",
            "Run the other command, or name another file.",
        )


def _check_key(key: str, keys: RecipeKeys, others: Sequence[RecipeKeys]) -> None:
    known = [_COMMAND, *keys.run, *keys.recipe]
    if key in known:
        return
    for other in others:
        if key in other.run or key in other.recipe:
            raise UsageError(
                f"{key} stands in recipes for `sidscan {other.command}`, not for `sidscan {keys.command}`",
                "Run the other command, or take the key out.",
            )
    nearest = get_close_matches(key, known, n=1)
    raise UsageError(
        f"{key} is unknown in a recipe for `sidscan {keys.command}`",
        f"Did you mean {nearest[0]}?" if nearest else "`sidscan recipe show` writes all keys.",
    )


def _values(stated: Mapping[str, Any], known: Mapping[str, Value]) -> dict[str, Any]:
    return {key: typed_value(key, value, known[key]) for key, value in stated.items() if key in known}


def _place(path: Path, text: str, message: str) -> str:
    """The file, with the line of the key that the message begins with."""
    key = re.escape(message.split()[0])
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[*\s*[\"']?{key}[\"']?\s*[=.\]]", line):
            return f"{path}, line {number}"
    return str(path)


def to_toml(
    keys: RecipeKeys,
    run: Mapping[str, object],
    recipe: Mapping[str, object],
    usual: Mapping[str, object],
    usual_name: str,
    notes: tuple[str, ...] = (),
) -> str:
    """A file as text; a number that is not the usual one says so.

    Args:
        run, recipe: values to state. Empty text and None are left out of ``run``.
        usual: the usual values of the keys of ``recipe``.
        usual_name: who has it: a preset, say.
        notes: comments that come first.
    """
    lines = [f"# {note}" for note in notes] + [""] * bool(notes)
    stated = {_COMMAND: keys.command, **{name: run.get(name) for name in keys.run}}
    lines += [f"{name} = {_toml(value)}" for name, value in stated.items() if value not in ("", None)]
    for name in keys.recipe:
        if name in keys.sections:
            lines += ["", f"# {keys.sections[name]}"]
        if name not in recipe:
            continue
        note = "" if recipe[name] == usual[name] else f"  # {usual_name}: {_toml(usual[name])}"
        lines.append(f"{name} = {_toml(recipe[name])}{note}")
    return "\n".join(lines) + "\n"


def notes_of_run(facts: Mapping[str, Any], images: str) -> Iterator[str]:
    """What equal bytes need besides a recipe, from the facts of a checkpoint.

    Args:
        images: which they are, in words.
    """
    yield f"The same bytes need the same images ({images}),"
    sidscan, torch, device = (facts.get(name) for name in ("sidscan", "torch", "device"))
    yield f"sidscan {sidscan}, torch {torch} and such a machine ({device})."
    if any((facts.get("left_out") or {}).values()):
        yield "Images were left out as unreadable: add --skip-unreadable."


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
