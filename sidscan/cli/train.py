"""``sidscan train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sidscan.cli import console
from sidscan.cli import training_options as options
from sidscan.cli.help_sections import Command
from sidscan.errors import ExitCode


@click.command("train", cls=Command, sections=options.SECTIONS, default_section="Recipe")
@options.data()
@click.option(
    "--out",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Checkpoint to write; `sidscan scan --model FILE` takes it.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Read every view once into this folder and fit from there. [default: fresh views, as published]",
)
@options.recipe()
@options.machine()
@click.option("--quiet", "-q", is_flag=True, help="On standard error only errors.")
def command(
    data: Path, preset: str, classes: str | None, out: Path, fresh: bool, quiet: bool, **choices: Any
) -> ExitCode:
    """Train RINE's head on a folder of real and synthetic pictures.

    DATA is laid out as CNNDetection's ProGAN set: DATA/train/<class>/0_real and 1_fake, and DATA/val alike
    for validation, if there is one. Presets are the published heads; every number in them can be departed
    from. An interrupted run is kept beside FILE; the same command goes on with it.

    \b
    Examples:
      sidscan train ./progan --preset progan-4class --out rine.safetensors
      sidscan train ./mine --classes all --xi 0.1 --layers 1 --projected 128 --out mine.safetensors
      sidscan train ./progan --preset ufd-4class --out probe.safetensors
      sidscan scan ./images --model rine.safetensors --out report.csv

    \b
    Exit codes:
      0  done                                4  encoder unknown, missing, altered
      2  wrong usage, layout, or a picture   6  device or precision not available
         that can't be read                  7  the checkpoint can't be written
      3  done; pictures were left out        130  interrupted; run again to continue
    """
    options.need_training_extra()
    from sidscan.training.rine.train import train  # here: it loads torch

    say = console.reporter(quiet)
    config = options.config_of(data, preset, classes, {"bars": not quiet, **choices})
    left_out = train(config, out, say, fresh)
    say(f"checkpoint: {out}")
    return options.ended(left_out, say)
