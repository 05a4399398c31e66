"""Fields of a dataclass that carry what a command line and a docstring say of them.

    @documented
    @dataclass(frozen=True)
    class Limits:
        seconds: float = option(30.0, help="Time allowed to read one image.", section="Limits", minimum=0)

`sidscan.config` uses them, and `sidscan.cli.options` makes options from them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar, get_args

Section = Literal["Models", "Output", "Input", "Shards", "URLs", "Limits", "Advanced"]
SECTIONS: tuple[Section, ...] = get_args(Section)
"""Sections of --help, in their order."""
Unit = Literal["", "bytes", "MiB", "seconds"]
PathKind = Literal["file", "existing file", "output file", "folder"]

_T = TypeVar("_T")
_ConfigT = TypeVar("_ConfigT", bound=type)
_METADATA_KEY = "option"


@dataclass(frozen=True, kw_only=True)
class OptionSpec:
    """What is known of one field of a configuration, besides its name, type and default.

    Attributes:
        help: what it does, for `--help` and for the class's docstring.
        section: of `--help`; None where the command line does not set the field.
        details: what users of the Python API should know besides.
        flag: name on the command line; empty for the field's own name.
        minimum, maximum: bounds of a number, both included unless ``above``.
        above: the number must be above ``minimum``.
        unit: what the number counts.
        metavar: the value's placeholder in `--help`.
        default_text: the default in words, where the value does not say it.
        path_kind: what a path must be.
    """

    help: str
    section: Section | None = None
    details: str = ""
    flag: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    unit: Unit = ""
    metavar: str = ""
    default_text: str = ""
    path_kind: PathKind = "file"

    def admits(self, value: float) -> bool:
        """Whether a number is finite and within the bounds."""
        if not math.isfinite(value):
            return False
        low = self.minimum is None or (value > self.minimum if self.above else value >= self.minimum)
        return low and (self.maximum is None or value <= self.maximum)

    def flag_of(self, name: str) -> str:
        """The option of the field called ``name``."""
        return self.flag or f"--{name.replace('_', '-')}"

    def bounds(self, notation: Callable[[float], str] = "{:,}".format) -> str:
        """The bounds in words, e.g. ``at least 1``."""
        low = (
            ""
            if self.minimum is None
            else f"{'above' if self.above else 'at least'} {notation(self.minimum)}"
        )
        high = "" if self.maximum is None else f"at most {notation(self.maximum)}"
        return " and ".join(filter(None, (low, high))) or "a finite number"


def option(
    default: _T,
    *,
    help: str,  # noqa: A002  (what click calls it)
    section: Section | None = None,
    details: str = "",
    flag: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    above: bool = False,
    unit: Unit = "",
    metavar: str = "",
    default_text: str = "",
    path_kind: PathKind = "file",
) -> _T:
    """A dataclass field that carries an `OptionSpec`; the arguments are the specification's."""
    spec = OptionSpec(
        help=help,
        section=section,
        details=details,
        flag=flag,
        minimum=minimum,
        maximum=maximum,
        above=above,
        unit=unit,
        metavar=metavar,
        default_text=default_text,
        path_kind=path_kind,
    )
    return field(default=default, metadata={_METADATA_KEY: spec})


def option_specs(config: type | object) -> dict[str, OptionSpec]:
    """The specification of every field, by the field's name."""
    return {each.name: each.metadata[_METADATA_KEY] for each in fields(config)}  # type: ignore[arg-type]


def documented(config: _ConfigT) -> _ConfigT:
    """Lists the fields in the class's docstring, each with its help text."""
    lines = [
        f"    {name}: {' '.join(filter(None, (spec.help, spec.details)))}"
        for name, spec in option_specs(config).items()
    ]
    config.__doc__ = "\n".join([inspect.cleandoc(config.__doc__ or ""), "", "Attributes:", *lines])
    return config
