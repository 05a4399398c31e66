"""Options that `train` and `study` share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidscan.cli import checks, data_options, recipe_options
from sidscan.cli.options import DEVICES_OF_TORCH, Decorator, sectioned_option, setting, stack
from sidscan.cli.param_types import WholeNumber
from sidscan.errors import ExitCode, UsageError
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.cli.data_options import DataSet
    from sidscan.training.rine.config import TrainConfig

# sidscan.training.rine.recipe defines these names; --help must not load it, and a test compares the two.
_PRESETS = (
    "progan-1class",
    "progan-2class",
    "progan-4class",
    "progan-20class",
    "ldm",
    "ufd-4class",
    "fpn-4class",
    "vit-4class",
    "wang-4class",
    "rn50-fpn-4class",
)


def training_set() -> Decorator:
    """The training set, and the encoder that reads it."""
    return stack(
        click.argument("data", required=False, type=click.Path(exists=True, path_type=Path)),
        data_options.labelled_data("the preset's"),
        sectioned_option(
            "--preset",
            section="Models",
            type=click.Choice(_PRESETS),
            default="progan-4class",
            show_default=True,
            help="Published recipe and training set. Options of the recipe override its values.",
        ),
        sectioned_option(
            "--classes",
            section="Input",
            metavar="NAME,...",
            help="Classes to use: folders of DATA/train, or names in the manifest's column class. 'all' uses "
            "every one. [default: the preset's; of other layouts all]",
        ),
        sectioned_option(
            "--encoder",
            section="Models",
            metavar="NAME|FILE",
            help="Frozen image encoder: an installed one of the catalog, the weights file of a CLIP or a "
            "ResNet, or a network that a library builds: timm:NAME, open_clip:NAME, torchvision:NAME. "
            "Of timm, a ViT is read block by block, a CNN stage by stage. [default: the preset's]",
        ),
        sectioned_option(
            "--encoder-weights",
            section="Models",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Weights of a library's network. None is ever fetched.",
        ),
        sectioned_option(
            "--passes",
            section="Advanced",
            type=WholeNumber(min=1),
            default=1,
            show_default=True,
            help="How many crops of every image the cache holds; later epochs use them again.",
        ),
        sectioned_option(
            "--skip-unreadable",
            section="Input",
            is_flag=True,
            help="Leave out images that can't be decoded, and list them in the checkpoint.",
        ),
        sectioned_option(
            "--fresh",
            section="Output",
            is_flag=True,
            help="Start over, and replace checkpoints of sidscan at --out.",
        ),
    )


def overwrite() -> Decorator:
    """For results that sidscan did not write."""
    return sectioned_option(
        "--overwrite", section="Output", is_flag=True, help="Replace --out, whatever it holds."
    )


def masked_data() -> Decorator:
    """Images with masks, in one of the layouts that have some."""
    option = partial(sectioned_option, section="Input")
    return stack(
        data_options.labelled_data(layouts=data_options.MASKED_LAYOUTS),
        option(
            "--synthetic-is",
            type=click.Choice(["auto", "white", "black"]),
            default="auto",
            show_default=True,
            help="What marks the synthetic region in masks. 'auto': black in Dolos's own sets, else white.",
        ),
        option(
            "--resize-masks",
            is_flag=True,
            help="Accept masks of another size than their image. Without it, the first one is an error.",
        ),
        option(
            "--skip-unreadable",
            is_flag=True,
            help="Leave out images that can't be used, and list them. Without it, the first one is an error.",
        ),
    )


def black_is_synthetic(synthetic_is: str) -> bool | None:
    """What ``--synthetic-is`` says; None leaves it to the layout."""
    return None if synthetic_is == "auto" else synthetic_is == "black"


def runtime_options() -> Decorator:
    """Device, precision and threads."""
    return stack(
        setting("device", **DEVICES_OF_TORCH),
        setting(
            "precision",
            help="Of the encoder; 'auto' is fp16 on CUDA, as published, and fp32 on a CPU. Heads are always "
            "fp32.",
        ),
        setting("workers", help="Threads that decode and augment images."),
    )


def check_training_inputs(config: TrainConfig) -> None:
    """Refuse a training set or an encoder that is not there, at once: torch takes seconds to load.

    Raises:
        UsageError: the set has another layout than stated.
        ModelError: the encoder is neither installed nor a file that can be read, or lacks its weights.
    """
    from sidscan.training.rine.examples import check_layout

    check_layout(config.data, config.layout, config.classes, config.sets)
    checks.check_encoder(config.encoder, config.encoder_weights)


def need_training_extra() -> None:
    """Check before any work that the packages of the train extra are installed.

    Raises:
        UsageError: one is missing.
    """
    from sidscan.training.common.extras import import_extra

    for module in ("cv2", "scipy.ndimage", "sklearn.metrics"):
        import_extra(module)


def exit_code(left_out: int, echo: Echo) -> ExitCode:
    """The exit code of a run that left out this many images."""
    if not left_out:
        return ExitCode.DONE
    were = "1 image was" if left_out == 1 else f"{left_out} images were"
    echo(f"{were} left out as unreadable; checkpoints list the names")
    return ExitCode.DONE_WITH_FAILURES


def training_config(
    data: Path | None, preset: str, classes: str | None, choices: dict[str, Any]
) -> TrainConfig:
    """The configuration that the options describe.

    Args:
        choices: fields of `Recipe`, None where the preset's value counts, of `TrainConfig`, what
            `data_options.labelled_data` adds, and ``recipe_file``, a `RecipeFile` or None.

    Raises:
        UsageError: ``classes`` does not fit the preset, an option does not fit the head, or no data set is
            named.
    """
    from dataclasses import fields, replace

    from sidscan.training.rine.config import TrainConfig
    from sidscan.training.rine.recipe import PRESETS, UNUSED_BY_HEAD, Recipe

    chosen, file = PRESETS[preset], choices.pop("recipe_file", None)
    manifest, layout = choices.pop("manifest"), choices.pop("layout")
    layout = recipe_options.layout_beside(file, manifest, layout)
    named = data_options.data_set(data, manifest, layout, choices.pop("sets"), chosen.layout)
    values = {field.name: choices.pop(field.name, None) for field in fields(Recipe)}
    changed = {name: value for name, value in values.items() if value is not None}
    head = changed.get("head", chosen.recipe.head)
    for name in UNUSED_BY_HEAD.get(head, ()):
        if name in changed:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} has no effect on the head {head}", "Leave it out.")
    recipe = replace(chosen.recipe, **changed)
    encoder = choices.pop("encoder") or chosen.encoder
    return TrainConfig(
        data=named.data,
        encoder=encoder,
        recipe=recipe,
        layout=_layout(named),
        classes=_classes(named, preset, classes),
        sets=named.sets,
        preset=preset,
        encoder_sha256=file.encoder_sha256 if file else "",
        **choices,
    )


def _layout(named: DataSet) -> str:
    """The layout, found out where the command line leaves that open."""
    from sidscan.training.datasets.reading import choose_layout

    return choose_layout(named.data, named.layout).name if named.layout == data_options.AUTO else named.layout


def _classes(named: DataSet, preset: str, classes: str | None) -> tuple[str, ...]:
    """The classes to train on: those of the option, or of the preset where the layout is its own."""
    from sidscan.training.datasets.layouts.cnndetection import class_folders
    from sidscan.training.rine.recipe import PRESETS

    chosen = PRESETS[preset]
    if classes is None:
        return chosen.classes if named.layout == chosen.layout else ()
    if named.layout == "ldm":
        raise UsageError(f"--classes has no effect on the preset {preset}", "Leave it out.")
    if classes == "all":
        return class_folders(named.data) if named.layout == "cnndetection" else ()
    return tuple(dict.fromkeys(classes.split(",")))
