"""``sidscan study``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import console, recipe_options
from sidscan.cli import training_options as options
from sidscan.cli.help_sections import Command
from sidscan.cli.options import quiet as quiet_option
from sidscan.cli.options import sectioned_option
from sidscan.cli.param_types import OutputPath, WholeNumber
from sidscan.errors import ExitCode
from sidscan.libraries import require

if TYPE_CHECKING:
    from sidscan.training.rine.studies import StudyKind


@click.command("study", cls=Command)
@click.argument("kind", type=click.Choice(["grid", "ablations", "epochs", "set-sizes", "seeds"]))
@options.training_set()
@sectioned_option(
    "--out",
    section="Output",
    required=True,
    metavar="FOLDER",
    type=OutputPath(file_okay=False, path_type=Path),
    help="Folder for the checkpoint of every head and for the table heads.csv.",
)
@sectioned_option(
    "--cache",
    section="Output",
    type=OutputPath(file_okay=False, path_type=Path),
    help="Folder for the encoder's features, made once. [default: FOLDER/features]",
)
@sectioned_option(
    "--seeds",
    section="Recipe",
    type=WholeNumber(min=1),
    default=1,
    show_default=True,
    help="Number of seeds to train every head from; all use the crops of the first seed.",
)
@options.overwrite()
@recipe_options.recipe_options()
@options.runtime_options()
@quiet_option()
def command(
    kind: StudyKind,
    data: Path | None,
    preset: str,
    classes: str | None,
    out: Path,
    cache: Path | None,
    seeds: int,
    fresh: bool,
    overwrite: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Fit many heads from one pass of the frozen encoder.

    \b
    grid       xi x q x d', 48 heads (paper, section 4.2); 24 heads for the preset ldm
    ablations  the whole head; without contrastive loss, TIE, intermediate blocks
    epochs     1, 3, 5, 10, 15 epochs of one run (section 5.4)
    set-sizes  20, 50, 80, 100 % of the training list (section 5.5)
    seeds      the preset from several seeds

    Every training crop is drawn and encoded once, and its features are stored on disk. Finished heads are not
    fitted again. If you interrupt a study, the same command continues it.

    \b
    Examples:
      sidscan study grid ./progan --preset progan-4class --out grid
      sidscan study ablations ./progan --seeds 3 --out ablations
      sidscan study seeds --manifest images.csv --seeds 5 --out seeds
    """
    choices |= {"cache": cache or out / "features", "bars": not quiet}
    echo = console.reporter(quiet)
    recipe_options.check_departures(click.get_current_context(), echo)
    config = options.training_config(data, preset, classes, choices)
    options.check_training_inputs(config)
    options.need_training_extra()
    require("training", "torch")
    from sidscan.training.rine.recipe import PRESETS
    from sidscan.training.rine.studies import run_study, study_recipes  # here, because it loads torch

    recipes = study_recipes(kind, config.recipe, seeds, PRESETS[preset].layout)
    table, left_out = run_study(config, recipes, out, echo, fresh, overwrite)
    echo(f"table: {table}")
    return options.exit_code(left_out, echo)
