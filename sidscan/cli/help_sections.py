"""Commands whose --help shows options in sections, the summary before them and the details after them.

`@click.command(cls=Command)` or `@click.group(cls=Group)` is all that a command needs. An option's section is
its attribute ``section``, which `Option` sets; options without one are in the last section.
"""

from __future__ import annotations

import inspect
import os
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from sidscan.util.option_specs import SECTIONS

if TYPE_CHECKING:
    Base = click.Command
else:
    Base = object

WIDTH = 100  # characters, at most; narrower where the terminal is
_WHOLE = 1000  # characters: the summary of a command is not cut short
_SHORT_NAMES = {"--out": "-o", "--model": "-m", "--quiet": "-q"}  # the same in every command
_NO_BREAK = "\u2011"  # a hyphen at which no line is broken
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": WIDTH}


def split_values(text: str) -> list[str]:
    """The values that an environment variable has, separated as in ``PATH``; a colon of ``s3://`` is none."""
    return re.split(f"{re.escape(os.pathsep)}(?!//)", text)


class Option(click.Option):
    """An option that knows its section of --help."""

    def __init__(self, *names: Any, section: str = "", **settings: Any) -> None:
        self.section = section
        super().__init__(*names, **settings)

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The value that a variable states; those of an option that may be repeated as PATH has them."""
        text = self.resolve_envvar_value(ctx)
        return split_values(text) if text and self.multiple else super().value_from_envvar(ctx)


class Sectioned(Base):
    """What commands and groups share."""

    last_section = "Advanced"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        settings["context_settings"] = _SETTINGS | (settings.get("context_settings") or {})
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            for long, short in _SHORT_NAMES.items():
                if long in parameter.opts and short not in parameter.opts:
                    parameter.opts.insert(0, short)
            parameter.metavar = parameter.metavar or _placeholder(parameter)

    def get_help(self, ctx: click.Context) -> str:
        """The help text; names of options are not broken at their hyphens."""
        return super().get_help(ctx).replace(_NO_BREAK, "-")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The first paragraph of the docstring."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self._paragraphs()[0])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, a list for every section."""
        rows: dict[str, list[tuple[str, str]]] = {title: [] for title in SECTIONS}
        for parameter in self.get_params(ctx):
            if row := _row(parameter, ctx):
                rows.setdefault(self._section(parameter), []).append(row)
        for title in sorted(rows, key=lambda title: title == self.last_section):  # a stable sort
            if rows[title]:
                with formatter.section(title):
                    formatter.write_dl(rows[title])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The rest of the docstring."""
        if rest := self._paragraphs()[1]:
            formatter.write_paragraph()
            formatter.write_text(rest)

    def _paragraphs(self) -> tuple[str, str]:
        first, _, rest = inspect.cleandoc(self.help or "").replace("-", _NO_BREAK).partition("\n\n")
        return first, rest

    def _section(self, parameter: click.Parameter) -> str:
        if "--help" in parameter.opts:
            return self.last_section
        return getattr(parameter, "section", "") or self.last_section


class Command(Sectioned, click.Command):
    """A command with options in sections."""


class Group(Sectioned, click.Group):
    """A group of commands; one that is misspelt gets a suggestion."""

    command_class = Command
    last_section = "Options"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, and what options the group has."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands and the first paragraphs of their docstrings."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(_WHOLE)) for name, command in commands if command]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name.

        Raises:
            click.UsageError: no command has this name; the message suggests the nearest one.
        """
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            names = get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {names[0]!r}?" if names else ""))
        return super().resolve_command(ctx, args)


def _placeholder(parameter: click.Parameter) -> str | None:
    """What stands for the value of an option in --help, where click's own word is long."""
    if not isinstance(parameter, click.Option) or parameter.is_flag:
        return None
    if isinstance(parameter.type, click.Path):
        return "FILE" if parameter.type.file_okay else "FOLDER"
    return "N" if isinstance(parameter.type, (type(click.INT), type(click.FLOAT))) else None


def _row(parameter: click.Parameter, ctx: click.Context) -> tuple[str, str] | None:
    """How an option is called, and what it does; None for arguments."""
    record = parameter.get_help_record(ctx)
    if record is None or not isinstance(parameter, click.Option):
        return None
    text = " ".join((parameter.help or "").split()).replace("-", _NO_BREAK)
    default = _default(parameter)
    note = "[required]" if parameter.required else f"[default: {default}]" if default else ""
    return record[0], " ".join(filter(None, (text, note)))


def _default(option: click.Option) -> str:
    """The default as --help shows it; empty where it shows none."""
    if isinstance(option.show_default, str):
        return option.show_default
    if not option.show_default:
        return ""
    if option.is_flag and option.secondary_opts:
        return (option.opts if option.default else option.secondary_opts)[0].lstrip("-")
    notation = getattr(option.type, "notation", str)
    values = option.default if isinstance(option.default, tuple) else (option.default,)
    return ", ".join(notation(value) for value in values)
