"""Train localizer-b16: composites of labelled windows, the encoder's tokens of them once, then the decoders.

    python -m sidscan.training.localizer_b16.train --corpus DIR --corpus DIR2 --corpus MORE --corpus MORE2 \\
        --whole WHOLE --out sidscan/weights --folds FOLDS --cache CACHE

There are five folds of repositories, those of rine-b16; a composite is made within one fold. Decoders fitted
on four folds judge the fifth: the alarm and every figure of the model card rest on those. The
shipped decoder is fitted on all five folds. WHOLE holds whole images, as
`sidscan.training.windows.whole_images` copies them. The encoder must be installed:
``sidscan models pull clip-vit-b16-q8``. CACHE takes 0.6 MB for each tile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sidscan.errors import UsageError
from sidscan.images.formats import supported_formats
from sidscan.models.backbones import PatchTokens
from sidscan.models.families.token_decoder import TokenDecoderFamily
from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint, read_localizer_checkpoint
from sidscan.models.store import Store
from sidscan.training.common.files import make_folder, write_json, writing_result
from sidscan.training.rine_b16.features import ENCODER
from sidscan.training.windows.corpus import FOLDS, Window, fold_of_repo, read_corpora, sample_windows
from sidscan.training.windows.options import corpora_option, reserved_option, whole_option, workers_option
from sidscan.training.windows.reserved import check_not_reserved
from sidscan.training.windows.weights_file import FOLD_FILE
from sidscan.training.windows.whole_images import present_images

from .agreement import AT_HALF
from .figures import overlapping_contrasts
from .fit import WIDTH, fit_decoder
from .material import Material, materials, window_colours
from .photographs import (
    PER_REPOSITORY,
    PHOTOGRAPHS,
    PhotographReadings,
    PhotographResult,
    alarm_level,
    photograph_results,
    stand_for,
)
from .tiles import fitted_tiles
from .tokens import TILE, TokenScale

VERSION = "1"
BLOCKS = (3, 5, 7, 9)  # whose tokens are read, from 0
TILES = 8000
LEAST_SIDE = 240  # px: smaller windows do not fill a tile
WEIGHTS_FILE = "localizer_b16.safetensors"
PHOTOGRAPHS_FILE = "photographs.json"  # in the work folder
TRAIN_COMMAND = (
    "python -m sidscan.training.localizer_b16.train --corpus DIR --corpus DIR2 --corpus MORE --corpus MORE2 "
    "--whole WHOLE --out sidscan/weights --folds FOLDS --cache CACHE"
)


def training_windows(corpora: Sequence[Path]) -> tuple[list[Window], dict[str, int]]:
    """The windows that fill a tile, and the fold of every repository, as rine-b16 has them."""
    windows = read_corpora(corpora)
    return [window for window in windows if _side(window) >= LEAST_SIDE], fold_of_repo(windows)


def _side(window: Window) -> int:
    supported_formats()  # makes Pillow read HEIC where pillow-heif is installed
    with Image.open(window.corpus / window.file) as image:
        return int(min(image.size))


def fold_materials(windows: Sequence[Window], fold_of: Mapping[str, int], workers: int) -> list[Material]:
    """What composites of each fold are made of."""
    return materials(windows, window_colours(windows, workers), fold_of, FOLDS)


def photographs_of(whole: Path, fold_of: Mapping[str, int]) -> list[Window]:
    """Whole photographs of the repositories, spread over them.

    Raises:
        UsageError: none is there.
    """
    photographs = [image for image in present_images(whole, fold_of) if not image.synthetic]
    there = [image for image in photographs if _side(image) >= TILE]
    if not there:
        raise UsageError(
            f"{whole} has no whole photographs",
            "Copy them with `python -m sidscan.training.windows.whole_images`.",
        )
    return sample_windows(there, PHOTOGRAPHS, PER_REPOSITORY)


def with_scale(decoder: TokenDecoder, scale: TokenScale) -> TokenDecoder:
    """The decoder, taking tokens as the encoder gives them."""
    decoder.mean.copy_(torch.from_numpy(scale.mean.ravel()))
    decoder.scale.copy_(torch.from_numpy(scale.deviation.ravel()))
    return decoder


def shipped_alarms(photographs: Sequence[Window], results: Sequence[PhotographResult]) -> tuple[float, float]:
    """Contrast, with `localize`'s tiles, and marked area, with tiles side by side, that 1 % exceed."""
    marked = np.array([each["apart"]["marked"][AT_HALF] for each in results])
    level = alarm_level(overlapping_contrasts(results), photographs, stand_for(results))
    return round(level, 2), round(alarm_level(marked, photographs), 4)


def write_checkpoint(
    path: Path, decoder: TokenDecoder, alarms: tuple[float, float], facts: Mapping[str, object]
) -> None:
    """What `sidscan localize --model FILE` reads; alarms as `shipped_alarms`."""
    tensors: dict[str, Tensor] = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    blocks = [feature.block for feature in decoder.reads[0] if isinstance(feature, PatchTokens)]
    checkpoint = LocalizerCheckpoint(
        tensors=tensors,
        family=TokenDecoderFamily.name,
        config={"blocks": blocks, "embed_dim": decoder.channels // len(blocks), "width": WIDTH},
        encoders={ENCODER: Store().require(ENCODER).sha256},
        tile=TokenDecoderFamily.tile,
        alarm_area=alarms[1],
        alarm_contrast=alarms[0],
        licence="Apache-2.0",
        facts=facts,
    )
    make_folder(path.parent)
    with writing_result(path) as partial:
        partial.write_bytes(checkpoint.to_bytes())


def load_decoder(path: Path) -> tuple[TokenDecoder, LocalizerCheckpoint]:
    """A decoder, ready to compute, and its checkpoint."""
    checkpoint, _ = read_localizer_checkpoint(path)
    decoder = TokenDecoder(**checkpoint.config)
    decoder.load_state_dict(checkpoint.tensors)
    return decoder.eval().requires_grad_(False), checkpoint


@click.command(help=__doc__)
@corpora_option
@whole_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--folds", "work", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--tiles", "count", default=TILES, show_default=True, help="Composites to fit on.")
@reserved_option
@workers_option
def train_command(
    corpora: tuple[Path, ...],
    whole: Path,
    out: Path,
    work: Path,
    cache: Path,
    count: int,
    reserved: Path | None,
    workers: int,
) -> None:
    """Train decoders on composites of all CORPORA: weights for OUT, those of five folds for a work folder."""
    for folder in (work, out):  # now, not after hours of work
        make_folder(folder)
    windows, fold_of = training_windows(corpora)
    if reserved:
        check_not_reserved(fold_of, reserved)
    photographs = photographs_of(whole, fold_of)
    tiles, scale = fitted_tiles(fold_materials(windows, fold_of, workers), BLOCKS, count, workers, cache)
    everything = np.arange(count)
    folds = [
        fit_decoder(tiles, BLOCKS, everything[tiles.folds != fold], f"fold {fold + 1} of {FOLDS}")
        for fold in range(FOLDS)
    ]
    shipped = fit_decoder(tiles, BLOCKS, everything, "all folds")
    readings = photograph_results(PhotographReadings(folds, BLOCKS, scale, fold_of), photographs, workers)
    write_json(work / PHOTOGRAPHS_FILE, readings)
    alarms = shipped_alarms(photographs, list(readings.values()))
    facts = {"name": "localizer-b16", "version": VERSION, "tiles": count}
    for fold, decoder in enumerate(folds):
        write_checkpoint(work / FOLD_FILE.format(fold), with_scale(decoder, scale), alarms, facts)
    write_checkpoint(out / WEIGHTS_FILE, with_scale(shipped, scale), alarms, facts)


if __name__ == "__main__":
    train_command()
