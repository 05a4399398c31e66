"""``sidscan train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import checks, console, recipe_options
from sidscan.cli import training_options as options
from sidscan.cli.help_sections import Command
from sidscan.cli.options import quiet as quiet_option
from sidscan.cli.options import sectioned_option
from sidscan.cli.param_types import OutputPath
from sidscan.errors import ExitCode
from sidscan.libraries import require

if TYPE_CHECKING:
    from sidscan.training.rine.recipe_file import RecipeFile


@click.command("train", cls=Command)
@options.training_set()
@sectioned_option(
    "--out",
    section="Output",
    required=True,
    metavar="FILE",
    type=OutputPath(dir_okay=False, path_type=Path),
    help="Checkpoint to write; `sidscan scan --model FILE` accepts it.",
)
@sectioned_option(
    "--cache",
    section="Output",
    type=OutputPath(file_okay=False, path_type=Path),
    help="Folder for the encoder's features: encode every crop once and fit from there. "
    "[default: new crops in every epoch, as published]",
)
@options.overwrite()
@recipe_options.recipe_options()
@options.runtime_options()
@quiet_option()
def command(
    data: Path | None,
    preset: str,
    classes: str | None,
    out: Path,
    fresh: bool,
    overwrite: bool,
    quiet: bool,
    **choices: Any,
) -> ExitCode:
    """Train RINE's head on real and synthetic images.

    DATA has the layout of CNNDetection's ProGAN set: DATA/train/<class>/0_real and 1_fake. DATA/val, if it
    exists, has the same layout and is used for validation. --layout names another one; --manifest names a
    list of images, whose parts train and valid are used. Presets are the published heads; you can override
    every value of a preset. If you interrupt a run, it is saved beside FILE; the same command continues it.

    \b
    Examples:
      sidscan train ./progan --preset progan-4class --out rine.safetensors
      sidscan train ./mine --classes all --xi 0.1 --num-proj-layers 1 --proj-dim 128 --out mine.safetensors
      sidscan train ./progan --preset ufd-4class --out probe.safetensors
      sidscan train --manifest images.csv --out mine.safetensors
      sidscan train ./GenImage --layout genimage --sets genimage-sd14 --out sd14.safetensors
      sidscan scan ./images --model rine.safetensors --out report.csv

    \b
    Exit codes:
      0  done                                4  encoder unknown, missing, altered
      2  wrong usage, layout, or an image    6  device or precision not available
         that can't be read                  7  the checkpoint can't be written
      3  done; images were left out          130  interrupted; run again to continue
    """
    echo = console.reporter(quiet)
    recipe_options.check_departures(click.get_current_context(), echo)
    file: RecipeFile | None = choices["recipe_file"]
    config = options.training_config(data, preset, classes, {"bars": not quiet, **choices})
    checks.check_output(out, config.data, file.name if file else None, config.encoder, config.encoder_weights)
    options.check_training_inputs(config)
    options.need_training_extra()
    require("training", "torch")
    from sidscan.training.rine.train import train  # here, because it loads torch

    left_out = train(config, out, echo, fresh, overwrite)
    echo(f"checkpoint: {out}")
    return options.exit_code(left_out, echo)
