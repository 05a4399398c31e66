"""`sidscan train-localizer`: a decoder on frozen encoders, to a checkpoint for `sidscan localize`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sidscan._version import __version__
from sidscan.errors import UsageError
from sidscan.models.detectors import OpenedEncoder
from sidscan.models.heads.decoder import Decoder
from sidscan.training.common.unfinished import check_output
from sidscan.training.datasets.reading import choose_layout
from sidscan.training.datasets.rows import LabelledImage, Split
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

from .checkpoint import PUBLISHED_SUFFIX, write_checkpoint
from .config import SYNTHETIC_IS, LocalizerConfig
from .encoders import decoder_shape, default_layer, freeze, open_encoder
from .examples import choose_images, list_data_set, list_digest
from .fit import DecoderFit, build_decoder
from .recipe import LocalizerRecipe
from .run import LocalizerRun, UnfinishedLocalizer, run_key
from .survey import Survey, survey
from .tokens import PREPROCESSING, CachedTokens, FreshTokens, FrozenEncoders, TokenSource
from .validation import ValidationPart


@dataclass(frozen=True)
class _Setup:
    """Everything that a run needs.

    Attributes:
        shape: which decoder, as `LocalizerFamily.untrained` takes it.
        mixed: whether the decoder's products are bfloat16.
    """

    config: LocalizerConfig
    recipe: LocalizerRecipe
    train: Survey
    valid: Survey
    held_out: bool
    encoders: FrozenEncoders
    shape: Mapping[str, Any]
    decoder: Decoder
    mixed: bool

    def facts(self) -> dict[str, object]:
        """What checkpoints state of a run's start; they store these keys."""
        images = [seen.image for seen in self.train.images]
        config = self.config
        return {
            "recipe": asdict(self.recipe),
            "layout": choose_layout(config.data, config.layout, masks=True).name,
            "sets": list(config.sets),
            "synthetic_is": {means: name for name, means in SYNTHETIC_IS.items()}[config.black_is_synthetic],
            "resize_masks": config.survey.resize_masks,
            "data": {
                "sets": sorted({image.set for image in images if image.set}),
                "generators": sorted({image.generator for image in images if image.generator}),
                "train": _digest_and_counts(images),
                "valid": _digest_and_counts([seen.image for seen in self.valid.images]),
                "validation_held_out": config.held_out if self.held_out else None,
            },
            "left_out": {"train": list(self.train.left_out), "valid": list(self.valid.left_out)},
            "features": "cached in fp16" if config.cache else "fresh in every epoch",
            "preprocessing": PREPROCESSING,
            "encoder_provenance": {part.opened.name: part.opened.provenance for part in self.encoders.parts},
            "device": self.encoders.device.type,
            "precision": self.encoders.precision,
            "mixed_precision": self.mixed and self.encoders.device.type == "cuda",
            "sidscan": __version__,
            "torch": torch.__version__,
        }


def train(
    config: LocalizerConfig, out: Path, echo: Echo, fresh: bool = False, overwrite: bool = False
) -> int:
    """Train one decoder and write its checkpoint to ``out``; returns the number of images left out.

    An interrupted run is saved beside it, in ``<out>.unfinished``. The same call goes on from there to the
    same weights.

    Args:
        fresh: start over, and replace ``out`` if it is a checkpoint of sidscan.
        overwrite: replace ``out``, whatever it is.

    Raises:
        UsageError: ``out`` exists, the unfinished run beside it is another one, or the data can't be used.
        ModelError: an encoder is not available, or DeCLIP has no such decoder.
        OutputError: something can't be written.
        Diverged: the loss is infinite or NaN.
        KeyboardInterrupt: the user asked to stop; what was done is saved.
    """
    check_output(out, fresh, overwrite)
    setup = _prepare(config, echo)
    facts = setup.facts()
    run = _new_run(setup, facts, keep_optimiser=out.suffix == PUBLISHED_SUFFIX)
    unfinished = UnfinishedLocalizer(out.with_name(f"{out.name}.unfinished"))
    if fresh:
        unfinished.remove()
    run.train(unfinished, echo)
    assert run.best is not None, "a recipe has at least one epoch"
    echo(f"best: epoch {run.best_epoch} of {run.epoch}")
    facts |= {"epochs": run.history, "best_epoch": run.best_epoch, "run": run.key}
    steps = run.best_epoch * -(-run.count // run.recipe.batch)
    check_output(out, fresh, overwrite)  # again: hours may have passed
    write_checkpoint(out, run.best, setup.shape, setup.encoders, facts, steps)
    unfinished.remove()
    return len(setup.train.left_out) + len(setup.valid.left_out)


def _prepare(config: LocalizerConfig, echo: Echo) -> _Setup:
    opened = [open_encoder(name) for name in config.encoders]
    _check_encoders(opened, config.encoders_sha256)
    networks = [each.encoder for each in opened]
    layer = default_layer(networks) if config.layer is None else config.layer
    recipe = replace(config.recipe, layer=layer)
    shape = decoder_shape(recipe.decoder, layer, networks)
    train, _ = _survey(config, "train", echo)
    valid, held_out = _survey(config, "valid", echo)
    decoder = build_decoder(shape, recipe)
    precision = config.precision
    if recipe.init == "published" and precision == "auto":
        precision = "fp32"  # DeCLIP casts CLIP's fp16 weights to float32, and uses no mixed precision
    encoders = freeze(opened, decoder, config.device, precision)
    names = ", ".join(part.opened.name for part in encoders.parts)
    echo(f"encoder: {names}, {encoders.device.type}, {encoders.precision}")
    weights = sum(parameter.numel() for parameter in decoder.parameters())
    echo(f"decoder: {recipe.decoder} on layer {layer}, {weights:,} weights, init {recipe.init}")
    mixed = config.mixed_precision
    if mixed is None:
        mixed = recipe.init != "published"
    return _Setup(config, recipe, train, valid, held_out, encoders, shape, decoder, mixed)


def _check_encoders(opened: Sequence[OpenedEncoder], sha256: Sequence[str]) -> None:
    """Refuse other encoders than the recipe's, and two that a checkpoint can't tell apart."""
    if len({one.name for one in opened}) < len(opened):
        raise UsageError(f"both encoders are called {opened[0].name}", "Rename one of the files.")
    if sha256 and len(sha256) != len(opened):
        raise UsageError(
            f"the recipe has {len(sha256)} in encoders_sha256, and --encoder names {len(opened)}",
            "Name as many, or take encoders_sha256 out of the recipe.",
        )
    for encoder, expected in zip(opened, sha256, strict=False):  # nothing to compare where none is stated
        if encoder.sha256 != expected:
            raise UsageError(
                f"{encoder.name} is not the encoder of the recipe: its sha256 is {encoder.sha256}",
                "Name the recipe's own with --encoder, or take encoders_sha256 out of the recipe.",
            )


def _new_run(setup: _Setup, facts: Mapping[str, object], keep_optimiser: bool) -> LocalizerRun:
    recipe = setup.recipe
    fit = DecoderFit(setup.decoder, recipe, setup.encoders.device, setup.mixed)
    validation = ValidationPart(setup.valid.images, _source(setup, setup.valid), recipe.target == "images")
    depends = {**facts, "shape": dict(setup.shape), "encoders": setup.encoders.facts()}
    depends["recipe"] = recipe.key()  # without the number of epochs, so that a run may end sooner or later
    key, count = run_key(depends), len(setup.train.images)
    source = _source(setup, setup.train, recipe)
    return LocalizerRun(fit, source, count, validation, key, setup.config.bars, keep_optimiser)


def _source(setup: _Setup, part: Survey, augmented_by: LocalizerRecipe | None = None) -> TokenSource:
    """Features of one part: from the cache, which is filled first, or computed in every epoch."""
    config, side, workers = setup.config, setup.decoder.side, setup.config.survey.workers
    if config.cache is None:
        return FreshTokens(part.images, setup.encoders, side, augmented_by, workers)
    source = CachedTokens(config.cache, part.images, setup.encoders, side, workers)
    with progress(len(part.images), "image", quiet=not config.bars, title="encode", transient=True) as bar:
        source.build(bar.update)
    return source


def _survey(config: LocalizerConfig, split: Split, echo: Echo) -> tuple[Survey, bool]:
    """One part of the data set, and whether it was drawn from the training part."""
    by_image = config.recipe.target == "images"
    images, drawn = choose_images(
        list_data_set(config.data, config.layout, config.sets),
        split,
        real=by_image,
        black_is_synthetic=config.black_is_synthetic,
        held_out=config.held_out,
    )
    if by_image and not any(image.is_real for image in images):
        raise UsageError(
            f"the data set has no real image for the part {split!r}, and --target images needs some",
            "Add real images, or train on masks.",
        )
    with progress(len(images), "image", quiet=not config.bars, title="look", transient=True) as bar:
        seen = survey(images, config.survey, bar.update)
    real = sum(one.image.is_real for one in seen.images)
    sets = ", ".join(sorted({one.image.set for one in seen.images if one.image.set}))
    counts = f"{len(seen.images) - real} images with masks" + (f" and {real} real ones" if by_image else "")
    source = ", held out from those for training" if drawn and split == "valid" else ""
    empty = f"; {seen.empty} of the masks mark nothing" if seen.empty else ""
    echo(f"{split}: {counts} ({sets}){source}{empty}")
    return seen, drawn


def _digest_and_counts(images: list[LabelledImage]) -> dict[str, object]:
    real = sum(image.is_real for image in images)
    return {"digest": list_digest(images), "synthetic": len(images) - real, "real": real}
