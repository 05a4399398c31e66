"""Options of a recipe: its numbers one by one, and a file of them, ``--recipe``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import click
from click.core import ParameterSource

from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.param_types import Number, WholeNumber
from sidscan.errors import UsageError
from sidscan.util.terminal import Echo

if TYPE_CHECKING:  # older versions of click have no type arguments here
    from sidscan.training.rine.recipe_file import RecipeFile

    _TupleType: TypeAlias = click.ParamType[tuple[float, ...]]
else:
    _TupleType = click.ParamType


class Numbers(_TupleType):
    """Numbers separated by commas, as ``30,100``; ``none`` for an empty list.

    Args:
        each: what each of them must be.
        count: how many there must be; None for any number.
        may_be_empty: whether ``none`` is allowed.
    """

    name = "numbers"

    def __init__(
        self, each: click.ParamType[Any], count: int | None = None, may_be_empty: bool = False
    ) -> None:
        self.each, self._count, self._may_be_empty = each, count, may_be_empty

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers."""
        if isinstance(value, tuple):  # of a file, which was checked
            return value
        if self._may_be_empty and value.strip().lower() == "none":
            return ()
        numbers = tuple(self.each.convert(part.strip(), param, ctx) for part in value.split(","))
        if self._count not in (None, len(numbers)):
            self.fail(f"there must be {self._count} numbers, not {len(numbers)}.", param, ctx)
        return numbers


class StatedRecipe(Protocol):
    """What a recipe file of any command states."""

    @property
    def name(self) -> str:
        """Of the file, for messages."""

    @property
    def layout(self) -> str:
        """Of the data set; empty where the file leaves it open."""

    @property
    def parameters(self) -> dict[str, object]:
        """Values of the command's options."""


def recipe_file(read: Callable[[Path], StatedRecipe]) -> Decorator:
    """``--recipe``; the command's other options win over the file."""
    return sectioned_option(
        "--recipe",
        "recipe_file",
        section="Recipe",
        type=click.Path(path_type=Path),
        metavar="FILE",
        is_eager=True,  # it gives the other options their defaults
        callback=partial(_read_file, read),
        help="Read the recipe from FILE, which is TOML as `sidscan recipe show` writes it. Options beside it "
        "win.",
    )


def _read_file(
    read: Callable[[Path], StatedRecipe], ctx: click.Context, _: click.Parameter, path: Path | None
) -> StatedRecipe | None:
    if path is None or ctx.resilient_parsing:
        return None
    file = read(path)
    ctx.default_map = {**(ctx.default_map or {}), **file.parameters}
    return file


def echo_departures(ctx: click.Context, file: StatedRecipe, echo: Echo) -> None:
    """Say which options of the command line changed what a recipe file states."""
    if file.layout not in ("", "manifest") and ctx.params["manifest"] is not None:
        echo(f"recipe: --manifest, instead of the layout {file.layout} in {file.name}")
    for option in ctx.command.params:
        name = str(option.name)
        stated, value = file.parameters.get(name), ctx.params.get(name)
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and stated is not None and stated != value:
            echo(f"recipe: {option.opts[-1]} {_text(value)} instead of {_text(stated)} in {file.name}")


def layout_beside(file: StatedRecipe | None, manifest: Path | None, layout: str | None) -> str | None:
    """The layout that counts: ``--manifest`` wins over that of a file."""
    return None if manifest is not None and file is not None and layout == file.layout else layout


def _read_rine(path: Path) -> RecipeFile:
    from sidscan.training.localization.recipe_file import KEYS
    from sidscan.training.rine.recipe_file import read_recipe_file  # here: --help must not load it

    return read_recipe_file(path, [KEYS])


def check_departures(ctx: click.Context, echo: Echo) -> None:
    """Say which options of the command line changed what the recipe file states.

    Raises:
        UsageError: another recipe is named, too; or the file needs a cache, and none is named.
    """
    file: RecipeFile | None = ctx.params["recipe_file"]
    if file is None:
        return
    if ctx.get_parameter_source("preset") is ParameterSource.COMMANDLINE:
        raise UsageError(
            "--preset and --recipe both name a recipe", f"Leave one out, or state the preset in {file.name}."
        )
    if file.cached_passes and ctx.params["cache"] is None and ctx.info_name == "train":
        raise UsageError(
            f"{file.name} states cached_passes, and no cache is named",
            "Name a folder for the features with --cache.",
        )
    if file.cached_passes == 0 and ctx.params["cache"] is not None and ctx.info_name == "train":
        echo(f"recipe: --cache, instead of new crops in every epoch in {file.name}")
    echo_departures(ctx, file, echo)


def recipe_options() -> Decorator:
    """The fields of a recipe; None stands for the preset's value."""
    option = partial(sectioned_option, section="Recipe")
    return stack(
        recipe_file(_read_rine),
        *_head(option),
        *_loss(option),
        *_fit(option),
        *_augmentation(option),
    )


def _head(option: Any) -> tuple[Decorator, ...]:
    return (
        option("--head", type=click.Choice(["rine", "linear", "fpn"]), help="Architecture of the head."),
        option(
            "--ablate",
            type=click.Choice(["none", "contrastive", "tie", "intermediate"]),
            help="Leave out one part, as in the paper's ablations.",
        ),
        option(
            "--num-proj-layers",
            type=WholeNumber(min=1),
            help="Linear layers in each projection, Q1 and Q2 (q in the paper).",
        ),
        option("--proj-dim", type=WholeNumber(min=1), help="Width of the projections (d' in the paper)."),
        option("--dropout", type=Number(0, 1, max_open=True), help="Share of the values that a step drops."),
    )


def _loss(option: Any) -> tuple[Decorator, ...]:
    return (
        option("--xi", type=Number(min=0), help="Weight of the contrastive loss."),
        option("--temperature", type=Number(0, min_open=True), help="Temperature of the contrastive loss."),
        option(
            "--base-temperature",
            type=Number(0, min_open=True),
            help="The contrastive loss is multiplied by temperature / base temperature.",
        ),
    )


def _fit(option: Any) -> tuple[Decorator, ...]:
    return (
        option("--epochs", type=WholeNumber(min=1), help="Passes over the training list."),
        option("--batch-size", "batch", type=WholeNumber(min=1), help="Images per step."),
        option("--lr", type=Number(min=0, min_open=True), help="Learning rate of Adam."),
        option(
            "--lr-milestones",
            type=Numbers(WholeNumber(min=1), may_be_empty=True),
            metavar="N,...",
            help="Epochs, counted from 1, from which on the learning rate is divided once more; or 'none'.",
        ),
        option("--lr-divisor", type=Number(0, min_open=True), help="What it is divided by."),
        option(
            "--adam-betas", type=Numbers(Number(0, 1, max_open=True), 2), metavar="N,N", help="Betas of Adam."
        ),
        option("--adam-eps", type=Number(0, min_open=True), help="Epsilon of Adam."),
        option(
            "--data-fraction",
            type=Number(0, 1, min_open=True),
            help="Fraction of the shuffled training list to use.",
        ),
        option(
            "--seed",
            type=WholeNumber(0, 2**64 - 1),
            help="Seed of initial weights, dropout, crops and order of the images.",
        ),
    )


def _augmentation(option: Any) -> tuple[Decorator, ...]:
    return (
        option("--blur-probability", type=Number(0, 1), help="Share of the crops that are blurred first."),
        option("--blur-max-sigma", type=Number(0), help="Largest sigma of the blur, in pixels."),
        option("--jpeg-probability", type=Number(0, 1), help="Share of the crops that JPEG compresses."),
        option(
            "--jpeg-qualities",
            type=Numbers(WholeNumber(1, 100)),
            metavar="N,...",
            help="Qualities of JPEG, of which each crop gets one.",
        ),
        option("--mirror-probability", type=Number(0, 1), help="Share of the crops that are mirrored."),
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as the file has it
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
