"""``sidscan train-localizer``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import checks, console, localizer_options
from sidscan.cli import training_options as options
from sidscan.cli.data_options import data_set
from sidscan.cli.help_sections import Command
from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.options import quiet as quiet_option
from sidscan.cli.param_types import Number, OutputPath
from sidscan.cli.recipe_options import layout_beside
from sidscan.errors import ExitCode
from sidscan.libraries import require

if TYPE_CHECKING:
    from sidscan.training.localization.recipe_file import LocalizerRecipeFile


def _output_options() -> Decorator:
    option = partial(sectioned_option, section="Output")
    return stack(
        option(
            "--out",
            required=True,
            metavar="FILE",
            type=OutputPath(dir_okay=False, path_type=Path),
            help="Checkpoint to write; `sidscan localize --model FILE` accepts it. With the suffix .pth it "
            "has DeCLIP's format instead, for the authors' code: it states no encoder.",
        ),
        option(
            "--cache",
            type=OutputPath(file_okay=False, path_type=Path),
            help="Folder for the encoder's features: encode every image once. "
            "[default: encode in every epoch, as published]",
        ),
        option(
            "--fresh", is_flag=True, help="Start over, and replace FILE if it is a checkpoint of sidscan."
        ),
        options.overwrite(),
    )


@click.command("train-localizer", cls=Command)
@click.argument("data", required=False, type=click.Path(path_type=Path))
@options.masked_data()
@sectioned_option(
    "--encoder",
    "encoders",
    section="Models",
    multiple=True,
    default=("clip-vit-l14",),
    show_default=True,
    metavar="NAME|FILE",
    help="Frozen image encoder: an installed one of the catalog, or the weights file of a CLIP. Name two, a "
    "vision transformer and a residual network, to read both.",
)
@sectioned_option(
    "--validation-fraction",
    "held_out",
    section="Input",
    type=Number(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the training images to validate with, where the data set has no such part.",
)
@_output_options()
@localizer_options.recipe_options()
@sectioned_option(
    "--mixed-precision/--no-mixed-precision",
    section="Advanced",
    default=None,
    show_default="on, but with --init published",
    help="Whether CUDA multiplies the decoder's numbers in bfloat16.",
)
@options.runtime_options()
@quiet_option()
def command(
    data: Path | None,
    manifest: Path | None,
    layout: str | None,
    out: Path,
    fresh: bool,
    overwrite: bool,
    quiet: bool,
    sets: tuple[str, ...],
    encoders: tuple[str, ...],
    synthetic_is: str,
    skip_unreadable: bool,
    resize_masks: bool,
    workers: int | None,
    **choices: Any,
) -> ExitCode:
    """Train a localizer, which says where an image is synthetic, on images with masks.

    DATA is a folder in the layout of Dolos (fake/NAME/images/train, fake/NAME/masks/train) or AutoSplice, a
    folder with images/ and masks/, or a CSV file with the columns path and mask. The method is DeCLIP's: a
    decoder on patch features of a frozen CLIP. If you interrupt a run, it is saved beside FILE; the same
    command continues it.

    \b
    Examples:
      sidscan train-localizer ./celebahq --sets ldm --cache features --out ldm.safetensors
      sidscan train-localizer ./celebahq --recipe my.toml --out again.safetensors
      sidscan train-localizer ./mine --decoder linear --encoder clip-vit-b16-q8 --out mine.safetensors
      sidscan localize ./images --model ldm.safetensors --out regions.html

    \b
    Exit codes:
      0  done                                4  encoder unknown, missing, altered
      2  wrong usage, layout, or an image    6  device or precision not available
         or mask that can't be read          7  the checkpoint can't be written
      3  done; images were left out          130  interrupted; run again to continue
    """
    from sidscan.training.localization.examples import list_data_set

    context, echo = click.get_current_context(), console.reporter(quiet)
    localizer_options.check_departures(context, echo)
    file: LocalizerRecipeFile | None = choices.pop("recipe_file")
    recipe = localizer_options.chosen_recipe(context, choices)
    named = data_set(data, manifest, layout_beside(file, manifest, layout), sets)
    checks.check_output(out, named.data, file.name if file else None, *encoders)
    for encoder in encoders:
        checks.check_encoder(encoder)
    list_data_set(*named)  # at once: torch takes seconds to load
    options.need_training_extra()
    require("training", "torch")
    from sidscan.training.localization.config import LocalizerConfig
    from sidscan.training.localization.survey import SurveyOptions
    from sidscan.training.localization.train import train  # here, because it loads torch

    config = LocalizerConfig(
        data=named.data,
        layout=named.layout,
        recipe=recipe,
        sets=named.sets,
        encoders=encoders,
        encoders_sha256=(file and file.encoders_sha256) or (),
        black_is_synthetic=options.black_is_synthetic(synthetic_is),
        survey=SurveyOptions(skip_unreadable, resize_masks, synthetic_is != "auto", workers),
        bars=not quiet,
        **choices,
    )
    left_out = train(config, out, echo, fresh, overwrite)
    echo(f"checkpoint: {out}")
    return options.exit_code(left_out, echo)
