"""Words for standard error."""

from __future__ import annotations

import click

from sidscan.errors import SidscanError
from sidscan.terminal import Say, line


def say(text: str) -> None:
    """One line on standard error, safe to show; a line break in a name does not make it two."""
    click.echo(line(text), err=True)


def say_error(error: SidscanError) -> None:
    """What is wrong, and on the next line what to do."""
    say(error.message)
    if error.remedy:
        say(error.remedy)


def silent(text: str) -> None:
    """Nothing."""


def saying(quiet: bool) -> Say:
    """`say`, or `silent` for those who asked for quiet."""
    return silent if quiet else say
