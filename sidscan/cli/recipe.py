"""``sidscan recipe``."""

from __future__ import annotations

from pathlib import Path

import click

from sidscan.cli.help_sections import Group
from sidscan.errors import UsageError
from sidscan.libraries import require


@click.group("recipe", cls=Group)
def command() -> None:
    """Show every number that a trained head or localizer depends on.

    \b
    Examples:
      sidscan recipe show progan-4class
      sidscan recipe show rine.safetensors > my.toml
      sidscan train ./progan --recipe my.toml --out again.safetensors
      sidscan recipe show localizer.safetensors > other.toml
      sidscan train-localizer ./celebahq --recipe other.toml --out again.safetensors
    """


@command.command()
@click.argument("name", metavar="CHECKPOINT|PRESET")
def show(name: str) -> None:
    """Print a recipe as TOML, for `--recipe` of the command that it states.

    CHECKPOINT is a file of `sidscan train`, `study` or `train-localizer`; PRESET is a published recipe, as
    `--preset` of `train` names it. From the recipe of a checkpoint and the same images, `train` and
    `train-localizer` make the same bytes again. Where a number is not the usual one, a comment says so.

    \b
    Exit codes:
      0  done    2  unknown name, or a file without a recipe    4  not a checkpoint
    """
    from sidscan.training.rine import recipe_file
    from sidscan.training.rine.recipe import PRESETS

    path = Path(name)
    if name in PRESETS or not path.exists():
        click.echo(recipe_file.to_toml(recipe_file.recipe_of_preset(name)), nl=False)
        return
    from sidscan.models.localizer_checkpoints import states_localizer

    recipe_of = _recipe_of_localizer if states_localizer(path) else _recipe_of_head
    try:
        text = recipe_of(path)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.remedy) from error
    click.echo(text, nl=False)


def _recipe_of_head(path: Path) -> str:
    """The recipe of a checkpoint of `train` or `study`.

    Raises:
        ModelError: the file is no such checkpoint.
        UsageError: it states no recipe.
    """
    require("a checkpoint", "torch")
    from sidscan.models.checkpoints import read_checkpoint  # here, because it loads torch
    from sidscan.training.rine.recipe_file import notes_of_facts, recipe_of_facts, to_toml

    checkpoint, _ = read_checkpoint(path)
    stated = recipe_of_facts(checkpoint.facts, checkpoint.encoder, checkpoint.encoder_sha256)
    return to_toml(stated, (_title(path), *notes_of_facts(checkpoint.facts)))


def _recipe_of_localizer(path: Path) -> str:
    """The recipe of a checkpoint of `train-localizer`.

    Raises:
        ModelError: the file is damaged.
        UsageError: it states no recipe.
    """
    from sidscan.models.localizer_checkpoints import read_localizer_arrays
    from sidscan.training.localization.recipe_file import notes_of_facts, recipe_of_checkpoint, to_toml

    checkpoint, _ = read_localizer_arrays(path)
    stated = recipe_of_checkpoint(checkpoint)
    return to_toml(stated, (_title(path), *notes_of_facts(checkpoint.facts)))


def _title(path: Path) -> str:
    return f"The recipe of {path.name}."
