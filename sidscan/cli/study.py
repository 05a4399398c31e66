"""``sidscan study``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sidscan.cli import console
from sidscan.cli import training_options as options
from sidscan.cli.help_sections import Command
from sidscan.errors import ExitCode


@click.command("study", cls=Command, sections=options.SECTIONS, default_section="Recipe")
@click.argument("kind", type=click.Choice(["grid", "ablations", "epochs", "set-sizes", "seeds"]))
@options.data()
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where every head's checkpoint and the table heads.csv go.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the encoder's readings, made once. [default: FOLDER/readings]",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Every head from so many seeds; the views are those of the first.",
)
@options.recipe()
@options.machine()
@click.option("--quiet", "-q", is_flag=True, help="On standard error only errors.")
def command(
    kind: Any,
    data: Path,
    preset: str,
    classes: str | None,
    out: Path,
    cache: Path | None,
    seeds: int,
    fresh: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Fit many heads from one pass of the frozen encoder.

    \b
    grid       xi x q x d', 48 heads (paper, section 4.2); the preset ldm has its own 24
    ablations  whole; without contrastive loss, TIE, intermediate blocks
    epochs     1, 3, 5, 10, 15 epochs of one run (section 5.4)
    set-sizes  20, 50, 80, 100 % of the training list (section 5.5)
    seeds      the preset from several seeds

    Every training view is drawn and read once, and kept on disk. A finished head is not fitted again; an
    interrupted study goes on with the same command.

    \b
    Examples:
      sidscan study grid ./progan --preset progan-4class --out grid
      sidscan study ablations ./progan --seeds 3 --out ablations
    """
    options.need_training_extra()
    from sidscan.training.rine.studies import recipes_of, run_study  # here: it loads torch

    say = console.reporter(quiet)
    own = {"cache": cache or out / "readings", "bars": not quiet}
    config = options.config_of(data, preset, classes, {**own, **choices})
    recipes = recipes_of(kind, config.recipe, seeds, config.layout)
    table, left_out = run_study(config, recipes, out, say, fresh)
    say(f"table: {table}")
    return options.ended(left_out, say)
