"""Values of recipes, of whatever file: their types, and the bounds of their numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from sidscan.errors import UsageError

Value: TypeAlias = "str | int | float | bool | tuple[str, ...] | tuple[float, ...]"
"""What a recipe states under one key."""


class Bounds(NamedTuple):
    """What a number of a recipe, or each of several, may be."""

    minimum: float
    maximum: float = math.inf
    above: bool = False  # the minimum itself is too small
    below: bool = False  # the maximum itself is too large

    def admits(self, value: float) -> bool:
        """Whether a number is finite and within the bounds."""
        low = value > self.minimum if self.above else value >= self.minimum
        high = value < self.maximum if self.below else value <= self.maximum
        return math.isfinite(value) and low and high

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'at least'} {self.minimum:g}"
        return (
            low
            if self.maximum == math.inf
            else (f"{low} and {'below' if self.below else 'at most'} {self.maximum:g}")
        )


SEEDS = Bounds(0, 2**64 - 1)
"""What PyTorch takes."""


def check_bounds(recipe: object, bounds: Mapping[str, Bounds]) -> None:
    """Check fields that are numbers, or several numbers each.

    Raises:
        UsageError: one is out of its bounds.
    """
    for name, of_field in bounds.items():
        value = getattr(recipe, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not of_field.admits(number):
                raise UsageError(f"{name} must be {of_field}, not {number:g}", "Choose another value.")


def check_names(key: str, names: Sequence[str] | None) -> None:
    """Check names that an option takes separated by commas.

    Raises:
        UsageError: one is empty or has a comma.
    """
    for name in names or ():
        if not name or "," in name:
            raise UsageError(
                f"{key} must be names without commas, not {name!r}", "Separate them as TOML does."
            )


def typed_value(name: str, value: object, like: Value) -> Value:
    """A value of the type that ``like`` has: JSON and TOML have lists for tuples, and 1 for 1.0.

    Raises:
        UsageError: it is of another type.
    """
    kind: Callable[[object], Any] = type(like[0] if isinstance(like, tuple) else like)
    if isinstance(like, tuple):
        if isinstance(value, (list, tuple)) and all(_is_like(each, like[0]) for each in value):
            return tuple(kind(each) for each in value)
    elif _is_like(value, like):
        return kind(value)  # type: ignore[no-any-return]
    raise UsageError(
        f"{name} must be {_type_name(like)}, not {_as_written(value)}",
        f"Write, for example, {json.dumps(like)}.",
    )


def _as_written(value: object) -> str:
    """A value as TOML and JSON write it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _is_like(value: object, like: object) -> bool:
    if isinstance(like, str):
        return isinstance(value, str)
    if isinstance(like, bool) or isinstance(value, bool):
        return isinstance(like, bool) and isinstance(value, bool)
    return isinstance(value, int if isinstance(like, int) else (int, float))


def _type_name(like: Value) -> str:
    if isinstance(like, tuple):
        return {str: "names", int: "whole numbers", float: "numbers"}[type(like[0])] + " in brackets"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text in quotes"}
    return names[type(like)]
