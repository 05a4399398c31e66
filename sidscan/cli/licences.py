"""``sidscan licences``."""

from __future__ import annotations

import json

import click

from sidscan.cli import options
from sidscan.cli.help_sections import Command
from sidscan.errors import ExitCode


@click.command("licences", cls=Command)
@options.sectioned_option(
    "--format",
    "output_format",
    section="Output",
    type=click.Choice(("text", "json", "cyclonedx")),
    default="text",
    show_default=True,
    help="A table, JSON, or a software bill of materials (CycloneDX 1.6).",
)
def command(output_format: str) -> ExitCode:
    """List what is installed with sidscan, and under which licences.

    It lists sidscan, the packages that it needs and the extras that are installed, each with the licence that
    the package itself states; then the data that sidscan brings. Models that were pulled have theirs in
    `sidscan models show`.

    \b
    Examples:
      sidscan licences
      sidscan licences --format cyclonedx > sbom.json

    \b
    Exit codes:
      0  done                              130  interrupted
      2  wrong usage
    """
    from dataclasses import asdict  # here: `--help` needs none of it

    from sidscan.licences import BUNDLED, cyclonedx, installed_components

    components = installed_components()
    if output_format == "cyclonedx":
        click.echo(json.dumps(cyclonedx(components), indent=2))
    elif output_format == "json":
        everything = {"installed": components, "bundled": BUNDLED}
        click.echo(
            json.dumps({key: [asdict(each) for each in value] for key, value in everything.items()}, indent=2)
        )
    else:
        widths = [max(len(getattr(each, name)) for each in components) for name in ("name", "version")]
        for each in components:
            click.echo(f"{each.name:<{widths[0]}}  {each.version:<{widths[1]}}  {each.licence}")
        click.echo("\nin the package sidscan itself:")
        for each in BUNDLED:
            click.echo(f"{f'{each.name} {each.version}'.rstrip()}: {each.licence}")
    return ExitCode.DONE
