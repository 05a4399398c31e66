"""Options of a localizer's recipe: its numbers one by one, and a file of them, ``--recipe``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.param_types import Number, WholeNumber
from sidscan.cli.recipe_options import Numbers, echo_departures, recipe_file
from sidscan.errors import UsageError
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.training.localization.recipe import LocalizerRecipe
    from sidscan.training.localization.recipe_file import LocalizerRecipeFile

# sidscan.models.families.declip and sidscan.training.localization.recipe define these names; tests compare.
DECODERS = ("linear", "attention", "conv-4", "conv-12", "conv-20")
INITS = ("default", "published")
AUGMENTATIONS = ("none", "blur", "color_jitter", "jpeg", "all")
TARGETS = ("pixels", "images")


def recipe_options() -> Decorator:
    """The fields of a recipe, and ``--recipe``."""
    option = partial(sectioned_option, section="Recipe", show_default=True)
    return stack(
        recipe_file(_read_file),
        *_decoder(option),
        *_fit(option),
        *_optimiser(option),
        *_augmentation(option),
    )


def _read_file(path: Path) -> LocalizerRecipeFile:
    from sidscan.training.localization.recipe_file import read_recipe_file  # here: --help must not load it
    from sidscan.training.rine.recipe_file import KEYS

    return read_recipe_file(path, [KEYS])


def _decoder(option: Any) -> tuple[Decorator, ...]:
    return (
        option("--decoder", type=click.Choice(DECODERS), default="conv-20", help="As DeCLIP calls it."),
        option(
            "--layer",
            type=WholeNumber(min=0),
            show_default="the published one, or one as deep",
            help="Block of the vision transformer that is read, from 0; stage of a residual network alone, "
            "from 1.",
        ),
        option(
            "--init",
            type=click.Choice(INITS),
            default="default",
            help="First weights. 'published' draws all of them from one normal distribution, factors of "
            "batch normalisation too, trains only what DeCLIP trains, and in fp32.",
        ),
        option(
            "--init-std",
            type=Number(0, min_open=True),
            default=0.02,
            help="Standard deviation of first weights, with --init published.",
        ),
        option(
            "--target",
            type=click.Choice(TARGETS),
            default="pixels",
            help="What is learnt: masks, or only which images have a synthetic part.",
        ),
    )


def _fit(option: Any) -> tuple[Decorator, ...]:
    return (
        option("--epochs", type=WholeNumber(min=1), default=400, help="At most; plateaus end most runs."),
        option("--batch-size", "batch", type=WholeNumber(min=1), default=64, help="Images per step."),
        option("--lr", type=Number(min=0, min_open=True), default=1e-3, help="First learning rate of AdamW."),
        option("--lr-divisor", type=Number(1, min_open=True), default=10.0, help="Divides it at a plateau."),
        option(
            "--min-lr", type=Number(0), default=1e-6, help="Training ends when the rate would fall below it."
        ),
        option(
            "--patience",
            type=WholeNumber(min=1),
            default=5,
            help="Epochs without a rise of the validation score that make a plateau.",
        ),
        option(
            "--min-rise", type=Number(0), default=0.001, help="Rise that counts; the score is in percent."
        ),
        option(
            "--min-rise-after-drop",
            type=Number(0),
            default=0.002,
            help="Rise that counts once the learning rate has been divided.",
        ),
        option(
            "--validation-threshold",
            type=Number(0, 1),
            default=0.5,
            help="A pixel of a validation map counts as synthetic above it.",
        ),
        option(
            "--seed",
            type=WholeNumber(0, 2**64 - 1),
            default=0,
            help="Seed of first weights, augmentation and order of the images.",
        ),
    )


def _optimiser(option: Any) -> tuple[Decorator, ...]:
    return (
        option(
            "--adam-betas",
            type=Numbers(Number(0, 1, max_open=True), 2),
            metavar="N,N",
            default="0.9,0.999",
            help="Betas of AdamW.",
        ),
        option("--adam-eps", type=Number(0, min_open=True), default=1e-8, help="Epsilon of AdamW."),
        option("--weight-decay", type=Number(0), default=0.0, help="Weight decay of AdamW."),
    )


def _augmentation(option: Any) -> tuple[Decorator, ...]:
    return (
        option(
            "--augment",
            type=click.Choice(AUGMENTATIONS),
            default="none",
            help="Change every training image: DeCLIP's augmentations.",
        ),
        option(
            "--blur-kernel",
            type=WholeNumber(1, 223),
            default=5,
            help="Side of the blur's kernel, odd pixels.",
        ),
        option(
            "--blur-sigma-range",
            type=Numbers(Number(0, min_open=True), 2),
            metavar="N,N",
            default="0.4,2",
            help="Smallest and largest sigma of the blur, in pixels.",
        ),
        option(
            "--jitter-strengths",
            type=Numbers(Number(0, 1), 4),
            metavar="N,N,N,N",
            default="0.3,0.3,0.3,0.3",
            help="How much brightness, contrast, saturation and hue change; hue by 0.5 at most.",
        ),
        option(
            "--jpeg-quality-range",
            type=Numbers(WholeNumber(1, 100), 2),
            metavar="N,N",
            default="30,100",
            help="Lowest and highest quality of JPEG.",
        ),
    )


def check_departures(ctx: click.Context, echo: Echo) -> None:
    """Say which options of the command line changed what the recipe file states.

    Raises:
        UsageError: the file needs a cache, and none is named.
    """
    file: LocalizerRecipeFile | None = ctx.params["recipe_file"]
    if file is None:
        return
    changes = ctx.params["augment"] != "none"  # other pixels in every epoch: nothing to cache
    if file.cached_features and changes:
        echo(f"recipe: fresh features in every epoch, for --augment, instead of a cache in {file.name}")
    elif file.cached_features and ctx.params["cache"] is None:
        raise UsageError(
            f"{file.name} states cached_features, and no cache is named",
            "Name a folder for the features with --cache.",
        )
    if file.cached_features is False and ctx.params["cache"] is not None:
        echo(f"recipe: --cache, instead of fresh features in every epoch in {file.name}")
    echo_departures(ctx, file, echo)


def chosen_recipe(ctx: click.Context, choices: dict[str, Any]) -> LocalizerRecipe:
    """The recipe that the options describe; its layer is chosen later.

    Args:
        choices: values of options; those of the recipe are taken out.

    Raises:
        UsageError: an option has no effect beside another.
    """
    from dataclasses import fields

    from sidscan.training.localization.recipe import LocalizerRecipe

    names = [field.name for field in fields(LocalizerRecipe) if field.name != "layer"]
    recipe = LocalizerRecipe(**{name: choices.pop(name) for name in names})
    for name, because in recipe.unused():
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            flags = [f"--{each.replace('_', '-')}" for each in (name, because)]
            raise UsageError(
                f"{flags[0]} has no effect with {flags[1]} {getattr(recipe, because)}",
                "Leave one of them out.",
            )
    return recipe.without_unused()
