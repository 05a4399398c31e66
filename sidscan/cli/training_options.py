"""Options that `train` and `study` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli.options import Decorator, stack
from sidscan.errors import ExitCode, UsageError
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.training.rine.train import TrainConfig

# Names are checked again by sidscan.training.rine.recipe, which --help must not load.
_PRESETS = (
    "progan-1class",
    "progan-2class",
    "progan-4class",
    "progan-20class",
    "ldm",
    "ufd-4class",
    "fpn-4class",
)

SECTIONS = {
    "Input": ["classes", "skip_unreadable"],
    "Models": ["preset", "encoder"],
    "Output": ["out", "cache", "fresh", "quiet"],
    "Advanced": ["passes", "device", "precision", "workers"],
}
"""Sections of --help; whatever is not named here belongs to the recipe."""


def data() -> Decorator:
    """What is trained on, and by which encoder."""
    return stack(
        click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path)),
        click.option(
            "--preset",
            type=click.Choice(_PRESETS),
            default="progan-4class",
            show_default=True,
            help="Published recipe and training set; the options below depart from it.",
        ),
        click.option(
            "--classes",
            metavar="NAME,...",
            help="Class folders below DATA/train instead of the preset's; 'all' takes those that are there.",
        ),
        click.option(
            "--encoder",
            default="clip-vit-l14",
            show_default=True,
            metavar="NAME|FILE",
            help="Frozen image encoder: an installed one of the catalog, or a CLIP's weights.",
        ),
        click.option(
            "--passes",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Times every picture is drawn into the cache; later epochs see the first views again.",
        ),
        click.option(
            "--skip-unreadable",
            is_flag=True,
            help="Leave out pictures that can't be decoded, and name them in the checkpoint.",
        ),
        click.option("--fresh", is_flag=True, help="Start over, and replace what is there."),
    )


def recipe() -> Decorator:
    """The knobs of a recipe; None is the preset's."""
    return stack(
        click.option("--xi", type=click.FloatRange(min=0), help="Weight of the contrastive loss."),
        click.option("--layers", type=click.IntRange(min=1), help="Linear layers in each of Q1, Q2."),
        click.option("--projected", type=click.IntRange(min=1), help="Width d' after Q1."),
        click.option("--head", type=click.Choice(["rine", "linear", "fpn"]), help="Architecture."),
        click.option(
            "--without",
            type=click.Choice(["none", "contrastive", "tie", "intermediate"]),
            help="Leave out one part, as in the paper's ablations.",
        ),
        click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training list."),
        click.option("--batch-size", "batch", type=click.IntRange(min=1), help="Pictures per step."),
        click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Adam's learning rate."),
        click.option(
            "--share", type=click.FloatRange(0, 1, min_open=True), help="Part of the shuffled list to use."
        ),
        click.option("--seed", type=click.IntRange(min=0), help="Of weights, dropout, views and order."),
    )


def machine() -> Decorator:
    """Where it runs."""
    return stack(
        click.option(
            "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
        ),
        click.option(
            "--precision",
            type=click.Choice(["auto", "fp32", "fp16", "bf16"]),
            default="auto",
            show_default=True,
            help="Of the encoder; 'auto' is fp16 on CUDA, as published, fp32 on a CPU. Heads are fp32.",
        ),
        click.option(
            "--workers", type=click.IntRange(min=1), help="Threads that make views. [default: one per core]"
        ),
    )


def need_training_extra() -> None:
    """Say what to install where training's packages are missing, before anything is read.

    Raises:
        UsageError: one is.
    """
    from sidscan.training.common.extras import need

    for module in ("cv2", "scipy.ndimage", "sklearn.metrics"):
        need(module)


def ended(left_out: int, say: Echo) -> ExitCode:
    """The exit code of a run that left out so many pictures."""
    if not left_out:
        return ExitCode.DONE
    say(f"{left_out} pictures could not be read and were left out; checkpoints name them")
    return ExitCode.DONE_WITH_FAILURES


def config_of(data: Path, preset: str, classes: str | None, choices: dict[str, Any]) -> TrainConfig:
    """The configuration that the options describe.

    Raises:
        UsageError: classes were named for a set that has none, or there are none.
    """
    from dataclasses import fields, replace

    from sidscan.training.rine.examples import classes_in
    from sidscan.training.rine.recipe import PRESETS, Recipe
    from sidscan.training.rine.train import TrainConfig

    chosen = PRESETS[preset]
    knobs = {field.name: choices.pop(field.name, None) for field in fields(Recipe)}
    idle = {"linear": ("xi", "layers", "projected"), "fpn": ("layers",)}.get(
        knobs["head"] or chosen.recipe.head, ()
    )
    for name in idle:
        if knobs[name] is not None:
            raise UsageError(f"--{name} has no meaning for this head", "Leave it out.")
    made: Recipe = replace(
        chosen.recipe, **{name: value for name, value in knobs.items() if value is not None}
    )
    names = chosen.classes
    if classes is not None:
        if chosen.layout != "cnndetection":
            raise UsageError(f"--classes has no meaning for the preset {preset}")
        names = classes_in(data) if classes == "all" else tuple(dict.fromkeys(classes.split(",")))
    return TrainConfig(data=data, recipe=made, layout=chosen.layout, classes=names, preset=preset, **choices)
