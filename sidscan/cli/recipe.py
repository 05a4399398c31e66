"""``sidscan recipe``."""

from __future__ import annotations

from pathlib import Path

import click

from sidscan.cli.help_sections import Group
from sidscan.errors import UsageError
from sidscan.libraries import require


@click.group("recipe", cls=Group)
def command() -> None:
    """Show every number that a trained head depends on.

    \b
    Examples:
      sidscan recipe show progan-4class
      sidscan recipe show rine.safetensors > my.toml
      sidscan train ./progan --recipe my.toml --out again.safetensors
    """


@command.command()
@click.argument("name", metavar="CHECKPOINT|PRESET")
def show(name: str) -> None:
    """Print a recipe as TOML, which `sidscan train --recipe` reads.

    CHECKPOINT is a file of `sidscan train` or `study`; PRESET is a published recipe, as `--preset` names it.
    From the recipe of a checkpoint and the same images, `train` makes the same bytes again. Where a number is
    not the preset's, a comment says so.

    \b
    Exit codes:
      0  done    2  unknown name, or a file without a recipe    4  not a checkpoint
    """
    from sidscan.training.rine import recipe_file
    from sidscan.training.rine.recipe import PRESETS

    if name in PRESETS or not Path(name).exists():
        click.echo(recipe_file.to_toml(recipe_file.recipe_of_preset(name)), nl=False)
        return
    require("a checkpoint", "torch")
    from sidscan.models.checkpoints import read_checkpoint  # here, because it loads torch

    path = Path(name)
    checkpoint, _ = read_checkpoint(path)
    try:
        stated = recipe_file.recipe_of_facts(checkpoint.facts, checkpoint.encoder, checkpoint.encoder_sha256)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.remedy) from error
    notes = (f"The recipe of {path.name}.", *recipe_file.notes_of_facts(checkpoint.facts))
    click.echo(recipe_file.to_toml(stated, notes), nl=False)
