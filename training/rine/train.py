"""`sidscan train`: one head, the published way or from cached readings, to a checkpoint that `scan` takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from sidscan.config import Device, Precision
from sidscan.errors import OutputError, UsageError
from sidscan.images.decode import decoder_name
from sidscan.models.checkpoints import Checkpoint
from sidscan.training.common.files import replacing
from sidscan.util.terminal import Echo, progress_stream

from . import examples as sets
from .crop_dataset import CropDataset
from .examples import Example
from .features import FeatureCache, FreshReadings, FrozenEncoder, open_encoder
from .fit import Source, reading_of
from .recipe import Recipe
from .run import Run, Unfinished
from .validation import Validation


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything a training run depends on.

    Attributes:
        data: folder of the training set.
        classes: of CNNDetection's layout; empty for the LDM layout.
        encoder: catalog name, or path of an encoder's weights.
        cache: folder for readings; None reads every view afresh, as published.
        passes: times every example is drawn into the cache.
        preset: name of the published recipe that ``recipe`` is or departs from; for the record.
        skip_unreadable: leave out pictures that can't be decoded, and name them in the checkpoint.
        bars: whether progress may be shown on a terminal.
    """

    data: Path
    recipe: Recipe
    layout: sets.Layout = "cnndetection"
    classes: tuple[str, ...] = ()
    encoder: str = "clip-vit-l14"
    device: Device = "auto"
    precision: Precision = "auto"
    workers: int | None = None
    cache: Path | None = None
    passes: int = 1
    preset: str = ""
    skip_unreadable: bool = False
    bars: bool = True

    def __post_init__(self) -> None:
        """Refuses what would have no effect.

        Raises:
            UsageError: several passes into no cache.
        """
        if self.passes > 1 and self.cache is None:
            raise UsageError("--passes is of a cache", "Name one with --cache, or leave --passes out.")


@dataclass
class Prepared:
    """A training set, its readings and the encoder, shared by all heads that are fitted on them.

    Attributes:
        data: digest of the training list (`examples.digest`).
    """

    config: TrainConfig
    encoder: FrozenEncoder
    examples: list[Example]
    data: str
    source: Source
    views: CropDataset
    validation: Validation | None


def prepare(config: TrainConfig, say: Echo) -> Prepared:
    """List the training set, open the encoder and, where there is a cache, fill it.

    Raises:
        UsageError: the set is not laid out as stated.
        ModelError: the encoder can't be had.
        OutputError: the cache can't be written.
    """
    examples = load_examples(config, "train")
    synthetic = sum(example.synthetic for example in examples)
    say(f"data: {len(examples) - synthetic} real and {synthetic} synthetic pictures in {config.data}")
    encoder = open_encoder(config.encoder, config.device, config.precision)
    say(f"encoder: {encoder.name}, {encoder.device}, {encoder.precision}")
    data = sets.digest(examples, config.data)
    reading = reading_of(config.recipe)
    views = CropDataset(examples, config.recipe.seed, True, config.workers, config.skip_unreadable)
    source: Source
    if config.cache is None:
        source = FreshReadings(views, encoder, reading)
    else:
        source = FeatureCache(config.cache, views, encoder, reading, data, config.passes)
        hidden = None if config.bars else True
        with tqdm(
            total=source.total, desc="encode", unit="view", disable=hidden, file=progress_stream()
        ) as bar:
            source.build(bar.update)
    return Prepared(config, encoder, examples, data, source, views, _validation(config, encoder, say))


def load_examples(config: TrainConfig, part: sets.Part) -> list[Example]:
    """The examples of one part of the set.

    Raises:
        UsageError: the set is not laid out as stated.
    """
    if config.layout == "ldm":
        return sets.latent_diffusion(config.data, part)
    return sets.cnndetection(config.data, config.classes, part)


def _validation(config: TrainConfig, encoder: FrozenEncoder, say: Echo) -> Validation | None:
    """The set's own validation part, where it has one."""
    if not sets.has_validation(config.data, config.layout, config.classes):
        say("validation: none, as the set has no such part")
        return None
    views = CropDataset(load_examples(config, "val"), 0, False, config.workers, config.skip_unreadable)
    return Validation(views, encoder, reading_of(config.recipe))


def train(config: TrainConfig, out: Path, say: Echo, fresh: bool = False) -> int:
    """Fit one head and write its checkpoint to ``out``.

    An interrupted run is kept beside it, in ``<out>.unfinished``, and the same call goes on from there to the
    same weights.

    Args:
        fresh: start over, and replace ``out``.

    Returns:
        how many pictures could not be read and were left out.

    Raises:
        UsageError: ``out`` exists; or what lies beside it is another run's.
        OutputError: something can't be written.
        Diverged: the loss is no finite number any more.
        KeyboardInterrupt: asked to stop; what was done is kept.
    """
    check_out(out, fresh)
    run = new_run(prepare(config, say), [config.recipe])
    unfinished = Unfinished(out.with_name(f"{out.name}.unfinished"))
    if fresh:
        unfinished.remove()
    run.go(unfinished, say)
    (checkpoint,) = run.checkpoints()
    write_checkpoint(out, checkpoint)
    unfinished.remove()
    return run.left_out


def new_run(prepared: Prepared, recipes: Sequence[Recipe]) -> Run:
    """Heads of one schedule, not yet fitted, with what their checkpoints will state."""
    config, encoder = prepared.config, prepared.encoder
    synthetic = sum(example.synthetic for example in prepared.examples)
    facts = {
        "preset": config.preset,
        "layout": config.layout,
        "classes": list(config.classes),
        "data": {
            "digest": prepared.data,
            "real": len(prepared.examples) - synthetic,
            "synthetic": synthetic,
        },
        "views": "fresh in every epoch"
        if config.cache is None
        else f"{config.passes} passes, cached in fp16",
        "views_seed": prepared.views.seed,
        "decoder": decoder_name(),
        "encoder_provenance": encoder.provenance,
        "device": encoder.device.type,
        "precision": encoder.precision,
    }
    views = {"train": prepared.views}
    if prepared.validation is not None:
        views["val"] = prepared.validation.views
    return Run(prepared.source, prepared.validation, encoder, recipes, facts, views, config.data, config.bars)


def check_out(out: Path, fresh: bool) -> None:
    """Find out before the work whether its result could be written.

    Raises:
        UsageError: the file exists, and is not to be replaced.
        OutputError: its folder is missing or read-only.
    """
    if out.exists() and not fresh:
        raise UsageError(f"{out} exists", "Choose another --out, or replace it with --fresh.")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise OutputError(
            f"the folder {out.parent} does not exist or is not writable", "Choose another --out."
        )


def write_checkpoint(out: Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    with replacing(out) as partial:
        partial.write_bytes(checkpoint.to_bytes())
