"""Writes docs/cli.md: the --help of every command.

Run it after you change an option: `python docs/make_cli.py`.
tests/cli/test_reference.py fails if the file is not what this script writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from sidscan.cli import cli

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100  # characters, whatever the terminal has
_HEAD = """\
# Command line

<!-- Written by docs/make_cli.py from --help; change the options, then run the script. -->

Every command prints this text with `--help` or `-h`.
[Exit codes](reference/exit-codes.md) has a page of its own.

Sizes are plain numbers, or numbers with a unit: `10MB` is ten million bytes, `1GiB` is 1024 MiB.
Durations are plain numbers of seconds, or numbers with a unit: `500ms`, `30s`, `2m`, `1h`.
"""


def page() -> str:
    """The page's text."""
    return "\n".join([_HEAD, *_sections(cli, "sidscan")])


def _sections(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[str]:
    """A heading and the help of a command, then those of its subcommands."""
    settings = {**command.context_settings, "terminal_width": WIDTH}
    context = click.Context(command, parent, info_name=name, **settings)
    path = context.command_path
    yield f"{'#' * (len(path.split()) + 1)} {path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            subcommand = command.get_command(context, child)
            assert subcommand is not None
            yield from _sections(subcommand, child, context)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
