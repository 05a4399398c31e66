"""Words for standard error."""

from __future__ import annotations

import click

from sidscan.terminal import Say, safe


def say(text: str) -> None:
    """A line on standard error, safe to show."""
    click.echo(safe(text), err=True)


def silent(text: str) -> None:
    """Nothing."""


def saying(quiet: bool) -> Say:
    """`say`, or `silent` for those who asked for quiet."""
    return silent if quiet else say
