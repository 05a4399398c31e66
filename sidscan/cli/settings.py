"""Options of a scan from the environment (``SIDSCAN_DEVICE``) and from a file ``sidscan.toml``.

The command line goes before the environment, the environment before the file, the file before defaults.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from sidscan.cli import console
from sidscan.cli.help_sections import Command, split_values
from sidscan.cli.options import Decorator, sectioned_option
from sidscan.errors import UsageError
from sidscan.util.files import open_file, real_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "sidscan.toml"
_PREFIX = "SIDSCAN_"
_OTHER_VARIABLES = ("SIDSCAN_MODELS",)  # the models folder
_LARGEST = 1 << 20  # bytes of a file
_FILE_KEY = "sidscan.options_file"  # of click.Context.meta

Origin = tuple[str, tuple[str, ...], str]
"""An option's flag, its values, and the variable or file that they come from."""


class ConfigurableCommand(Command):
    """A command whose options may also come from the environment and from a file.

    Attributes:
        refuses_unknown: options that the file states and the command lacks; a misspelt one must not be lost.
    """

    refuses_unknown = True

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for option in self._options():
            option.envvar = variable(option)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and before it the file, whose options are its defaults.

        Raises:
            UsageError: the file can't be read, or states an option that there is not.
        """
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        if not (ctx.resilient_parsing or {"-h", "--help"}.intersection(args)):
            self._warn_of_misspelt_variables(bool(given.get("quiet")))
            path = _options_file(given)
            if path is not None:
                ctx.meta[_FILE_KEY] = path
                ctx.default_map = self._read(path)
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            if error.param and (source := _origin(ctx, error.param)):
                message = f"{error.message} (from {source})"
                raise click.BadParameter(message, error.ctx, error.param) from error
            raise

    def _options(self) -> list[click.Option]:
        return [each for each in self.params if isinstance(each, click.Option)]

    def _read(self, path: Path) -> dict[str, Any]:
        """The options that a file states, by parameter."""
        options = {_key(option): option for option in self._options() if option.name != "options_file"}
        stated = {}
        for key, value in _load(path).items():
            option = options.get(key.replace("_", "-"))
            if option is not None:
                stated[str(option.name)] = _checked(path, key, value, option)
            elif self.refuses_unknown:
                raise UsageError(f"{path}: there is no option {key!r}", _suggestion(key, options))
        return stated

    def _warn_of_misspelt_variables(self, quiet: bool) -> None:
        known = {variable(option) for option in self._options()}
        for name in sorted(os.environ):
            if not name.startswith(_PREFIX) or name in (*known, *_OTHER_VARIABLES):
                continue
            nearest = get_close_matches(name, known, n=1, cutoff=0.8)
            if nearest and not quiet:
                console.echo(f"warning: {name} is not an option of this scan; did you mean {nearest[0]}?")


def options_file() -> Decorator:
    """``--config``, which names the file."""
    return sectioned_option(
        "--config",
        "options_file",
        section="Advanced",
        type=click.Path(path_type=Path),
        metavar="FILE",
        show_default=f"{FILE_NAME} in the current folder",
        expose_value=False,
        help="Read options from FILE, which is TOML.",
    )


def variable(option: click.Option) -> str:
    """The environment variable of an option, e.g. ``SIDSCAN_MAX_BYTES``."""
    return _PREFIX + _key(option).upper().replace("-", "_")


def origins(ctx: click.Context) -> tuple[Origin, ...]:
    """The options that did not come from the command line, with their values, and where they came from."""
    found = []
    for option in ctx.command.params:
        source = _origin(ctx, option)
        if source and isinstance(option, click.Option) and option.expose_value:
            found.append((f"--{_key(option)}", _values(ctx, option), source))
    return tuple(found)


def origins_line(found: tuple[Origin, ...]) -> str:
    """The options that did not come from the command line, in words."""
    return "options: " + ", ".join(f"{flag} {' '.join(values)} ({source})" for flag, values, source in found)


def _origin(ctx: click.Context, parameter: click.Parameter) -> str:
    """The variable or the file that an option came from; else empty."""
    source = ctx.get_parameter_source(str(parameter.name))
    if source is ParameterSource.ENVIRONMENT and isinstance(parameter, click.Option):
        return variable(parameter)
    return str(ctx.meta[_FILE_KEY]) if source is ParameterSource.DEFAULT_MAP else ""


def _values(ctx: click.Context, option: click.Option) -> tuple[str, ...]:
    """The values of an option as the environment or the file states them."""
    if ctx.get_parameter_source(str(option.name)) is ParameterSource.ENVIRONMENT:
        text = os.environ[variable(option)]
        return tuple(split_values(text)) if option.multiple else (text,)
    stated = (ctx.default_map or {})[str(option.name)]
    return stated if isinstance(stated, tuple) else (str(stated).lower() if option.is_flag else stated,)


def _options_file(given: Mapping[str, Any]) -> Path | None:
    """The file to read, of those that the command line and the environment allow."""
    named = given.get("options_file") or os.environ.get(f"{_PREFIX}CONFIG")
    if named:
        return None if named == os.devnull else Path(named)
    if not Path(FILE_NAME).is_file():
        return None
    reason = _why_not_used(given)
    if reason and not given.get("quiet"):
        console.echo(
            f"{FILE_NAME} in the current folder is not used, since {reason}; --config {FILE_NAME} uses it"
        )
    return None if reason else Path(FILE_NAME)


def _why_not_used(given: Mapping[str, Any]) -> str:
    """Why the file may be a stranger's, put among the images that this scan reads; else empty."""
    inputs, lists = (_several(given.get(name)) for name in ("inputs", "lists"))
    if any(map(_reads_current_folder, inputs)):
        return "this scan reads that folder"
    if lists or os.environ.get(f"{_PREFIX}LIST"):
        return "a list may name files of that folder"  # a pipe shows its names only when it is read
    return ""


def _several(given: object) -> Sequence[str]:
    """The values of an option; click has a mark of its own for none."""
    return given if isinstance(given, (list, tuple)) else ()


def _reads_current_folder(name: str) -> bool:
    """Whether an input is the current folder, one above it, or a file in it: strangers may have filled it."""
    current, path = real_path("."), real_path(name)
    return path in (current, *current.parents) or (path.parent == current and not path.is_dir())


def _load(path: Path) -> dict[str, Any]:
    try:
        with open_file(path) as file:
            options: dict[str, Any] = tomllib.loads(file.read(_LARGEST).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"can't read the options in {path}: {error.strerror}", "Check --config.") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise UsageError(f"{path} is not TOML: {error}", 'Write, for example, max-bytes = "10MB".') from error
    return options


def _checked(path: Path, key: str, value: object, option: click.Option) -> object:
    """A value as the command line would give it to the option."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(
                f"{path}: {key} must be true or false, not {value!r}", "Write it without quotes."
            )
        return value
    values = value if isinstance(value, list) and option.multiple else [value]
    if any(isinstance(each, bool) or not isinstance(each, (str, int, float)) for each in values):
        raise UsageError(
            f"{path}: {key} can't be {value!r}", f"`sidscan scan --help` explains --{_key(option)}."
        )
    return tuple(map(str, values)) if option.multiple else str(values[0])


def _suggestion(key: str, known: Mapping[str, click.Option]) -> str:
    nearest = get_close_matches(key.replace("_", "-"), known, n=1)
    if nearest:
        return f"Did you mean {nearest[0]!r}?"
    return "Write options as `sidscan scan --help` names them, without --, and outside of tables."


def _key(option: click.Option) -> str:
    """An option's long name without its dashes, as the file states it: ``max-bytes``."""
    return max(option.opts, key=len).lstrip("-")
