"""`sidscan train`: one head, the published way or from cached features, to a checkpoint for `scan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.images.decode import decoder_name
from sidscan.models.checkpoints import Checkpoint
from sidscan.training.common.files import writing_result
from sidscan.training.common.unfinished import check_output
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

from .config import TrainConfig, list_examples
from .crop_dataset import CropDataset
from .examples import list_digest
from .features import FeatureCache, FreshFeatures, FrozenEncoder, open_encoder
from .fit import FeatureSource, check_fits, feature_of
from .recipe import Recipe
from .run import TrainingRun, UnfinishedRun
from .validation import ValidationSet


@dataclass
class TrainingSetup:
    """A training set, its features and the encoder; all heads that are fitted on them share it.

    Attributes:
        list_digest: of the training list (`examples.list_digest`).
    """

    config: TrainConfig
    encoder: FrozenEncoder
    examples: list[LabelledImage]
    list_digest: str
    source: FeatureSource
    crops: CropDataset
    validation: ValidationSet | None


def prepare_training(config: TrainConfig, echo: Echo) -> TrainingSetup:
    """List the training set, open the encoder and, if there is a cache, fill it.

    Raises:
        UsageError: the set has another layout than stated.
        ModelError: the encoder is not available.
        OutputError: the cache can't be written.
    """
    examples = list_examples(config, "train")
    synthetic = sum(example.synthetic for example in examples)
    echo(f"data: {len(examples) - synthetic} real and {synthetic} synthetic images in {config.data}")
    encoder = open_encoder(config.encoder, config.device, config.precision, config.encoder_weights)
    if config.encoder_sha256 not in ("", encoder.sha256):
        raise UsageError(
            f"{encoder.name} is not the encoder of the recipe: its sha256 is {encoder.sha256}",
            "Name the recipe's own with --encoder, or take encoder_sha256 out of the recipe.",
        )
    echo(f"encoder: {encoder.name}, {encoder.device}, {encoder.precision}")
    digest = list_digest(examples)
    check_fits(config.recipe, encoder.dims)
    feature = feature_of(config.recipe, encoder.dims)
    crops = CropDataset(
        examples, config.recipe.seed, True, config.workers, config.skip_unreadable, recipe=config.recipe
    )
    source: FeatureSource
    if config.cache is None:
        source = FreshFeatures(crops, encoder, feature)
    else:
        source = FeatureCache(config.cache, crops, encoder, feature, digest, config.passes)
        with progress(source.total, "crop", quiet=not config.bars, title="encode") as bar:
            source.build(bar.update)
    return TrainingSetup(
        config, encoder, examples, digest, source, crops, _validation_set(config, encoder, echo)
    )


def _validation_set(config: TrainConfig, encoder: FrozenEncoder, echo: Echo) -> ValidationSet | None:
    """The set's own validation part, if it has one."""
    examples = list_examples(config, "valid")
    if not examples:
        echo("validation: none, the set has no validation part")
        return None
    crops = CropDataset(examples, 0, False, config.workers, config.skip_unreadable)
    return ValidationSet(crops, encoder, feature_of(config.recipe, encoder.dims))


def train(config: TrainConfig, out: Path, echo: Echo, fresh: bool = False, overwrite: bool = False) -> int:
    """Fit one head and write its checkpoint to ``out``.

    An interrupted run is saved beside it, in ``<out>.unfinished``. The same call goes on from there to the
    same weights.

    Args:
        fresh: start over, and replace ``out`` if it is a checkpoint of sidscan.
        overwrite: replace ``out``, whatever it is.

    Returns:
        how many images were left out because they could not be read.

    Raises:
        UsageError: ``out`` exists; or the unfinished run beside it is another one.
        OutputError: something can't be written.
        Diverged: the loss is infinite or NaN.
        KeyboardInterrupt: the user asked to stop; what was done is saved.
    """
    check_output(out, fresh, overwrite)
    run = new_run(prepare_training(config, echo), [config.recipe])
    unfinished = UnfinishedRun(out.with_name(f"{out.name}.unfinished"))
    if fresh:
        unfinished.remove()
    run.fit(unfinished, echo)
    (checkpoint,) = run.checkpoints()
    check_output(out, fresh, overwrite)  # again: hours may have passed
    write_checkpoint(out, checkpoint)
    unfinished.remove()
    return run.left_out


def new_run(setup: TrainingSetup, recipes: Sequence[Recipe]) -> TrainingRun:
    """Heads of one schedule, not yet fitted, with what their checkpoints will state."""
    config, encoder = setup.config, setup.encoder
    synthetic = sum(example.synthetic for example in setup.examples)
    cached = f"{config.passes} pass{'es' if config.passes > 1 else ''}, cached in fp16"
    facts: dict[str, object] = {  # checkpoints store these keys
        "preset": config.preset,
        "layout": config.layout,
        "classes": list(config.classes),
        "sets": list(config.sets),
        "data": {
            "digest": setup.list_digest,
            "real": len(setup.examples) - synthetic,
            "synthetic": synthetic,
        },
        "views": "fresh in every epoch" if config.cache is None else cached,
        "views_seed": setup.crops.seed,
        "decoder": decoder_name(),
        "backbone": encoder.encoder.description,
        "encoder_provenance": encoder.provenance,
        "device": encoder.device.type,
        "precision": encoder.precision,
    }
    crops = {"train": setup.crops}
    if setup.validation is not None:
        crops["val"] = setup.validation.crops
    return TrainingRun(setup.source, setup.validation, encoder, recipes, facts, crops, config.bars)


def write_checkpoint(out: Path, checkpoint: Checkpoint) -> None:
    """Write the file whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    with writing_result(out) as partial:
        partial.write_bytes(checkpoint.to_bytes())
