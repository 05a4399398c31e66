"""The model card of localizer-b16: measure the five folds, write localizer_b16.json and localizer_b16.md.

    python -m sidscan.training.localizer_b16.card --corpus DIR --corpus DIR2 --corpus MORE --corpus MORE2 \\
        --whole WHOLE --weights sidscan/weights --folds FOLDS --rine-folds RINE

FOLDS is the work folder of the training, RINE that of rine-b16's. Every composite is judged by the decoder
and the head that were not fitted on its repositories. localizer_b16.json holds every figure, and
localizer_b16.md is rendered from it. Figures of single images stay in FOLDS, and are not computed twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from sidscan.models.heads.token_decoder import TokenDecoder
from sidscan.training.common.files import write_json, write_text
from sidscan.training.rine_b16.features import ENCODER
from sidscan.training.rine_b16.train import load_weights as load_head
from sidscan.training.windows.corpus import Window
from sidscan.training.windows.data_sources import data_sources, fold_weights
from sidscan.training.windows.options import corpora_option, whole_option, workers_option
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.weights_file import file_sha256, fold_files

from .agreement import THRESHOLDS
from .card_text import LocalizerCard, render_card
from .composites import KINDS
from .figures import composite_figures, fold_alarms, photograph_figures, tuned_thresholds
from .material import Material, whole_images_of
from .measure import LARGER, SIDE, jobs
from .results import METHODS, CompositeResults, Result
from .tokens import TokenScale
from .train import (
    PHOTOGRAPHS_FILE,
    TRAIN_COMMAND,
    VERSION,
    WEIGHTS_FILE,
    fold_materials,
    load_decoder,
    photographs_of,
    training_windows,
)

EACH, INSPECTED, FEWER, LARGE = 60, 6, 10, 10
"""Composites of a kind and size of region: JPEG 95; by all grids; other conditions; larger images."""
RESULTS_FILE = "composites.json"  # in the work folder
CARD_COMMAND = (
    "python -m sidscan.training.localizer_b16.card --corpus DIR --corpus DIR2 --corpus MORE --corpus MORE2 "
    "--whole WHOLE --weights sidscan/weights --folds FOLDS --rine-folds RINE"
)


def measured_results(
    materials: Sequence[Material], folds: Path, rine_folds: Path, weights: Path, workers: int
) -> list[Result]:
    """Of all composites; read from the work folder, if they are there."""
    path = folds / RESULTS_FILE
    if not path.is_file():
        loaded = [load_decoder(file) for file in fold_files(folds)]
        task = CompositeResults(
            materials={
                side: [whole_images_of(each, side, synthetic=SIDE) for each in materials]
                for side in (SIDE, *LARGER)
            },
            decoders=[decoder for decoder, _ in loaded],
            heads=[load_head(file)[0] for file in fold_files(rine_folds)],
            blocks=tuple(loaded[0][1].config["blocks"]),
            scale=_scale_of(loaded[0][0]),
            mini=weights / "mini.safetensors",
        )
        listed = jobs(EACH, INSPECTED, FEWER, LARGE)
        write_json(path, map_windows(task, listed, workers, "composites"))
    results: list[Result] = json.loads(path.read_text(encoding="utf-8"))
    return results


def _scale_of(decoder: TokenDecoder) -> TokenScale:
    """What `train.with_scale` put into a decoder."""
    taps = len(decoder.reads[0])
    return TokenScale(
        decoder.mean.numpy().reshape(taps, -1).copy(), decoder.scale.numpy().reshape(taps, -1).copy()
    )


def make_card(
    weights: Path,
    folds: Path,
    results: Sequence[Result],
    photographs: Sequence[Window],
    windows: Sequence[Window],
    fold_of: Mapping[str, int],
) -> LocalizerCard:
    """Every figure of the card."""
    decoder, checkpoint = load_decoder(weights / WEIGHTS_FILE)
    stored = json.loads((folds / PHOTOGRAPHS_FILE).read_text(encoding="utf-8"))
    of_photographs = [stored[each.file] for each in photographs]
    numbers = [fold_of[each.repo] for each in photographs]
    alarms = fold_alarms(photographs, of_photographs, numbers)
    return {
        "name": "localizer-b16",
        "version": VERSION,
        "licence": checkpoint.licence,
        "sha256": file_sha256(weights / WEIGHTS_FILE),
        "parameters": sum(parameter.numel() for parameter in decoder.parameters()),
        "card_command": CARD_COMMAND,
        "train_command": TRAIN_COMMAND,
        "encoder": ENCODER,
        "blocks": list(checkpoint.config["blocks"]),
        "threshold": checkpoint.threshold,
        "alarm_area": checkpoint.alarm_area,
        "alarm_contrast": checkpoint.alarm_contrast,
        "fold_alarms": [round(each, 4) for each in alarms[0]],
        "tiles": int(checkpoint.facts["tiles"]),
        "kinds": dict(KINDS),
        "windows": len(windows),
        "repositories": len({window.repo for window in windows}),
        "tuned": {name: [THRESHOLDS[i] for i in tuned_thresholds(results, name)] for name in METHODS},
        "composites": composite_figures(results, alarms[0]),
        "photographs": photograph_figures(photographs, of_photographs, numbers, alarms),
        "folds": fold_weights(fold_of, fold_files(folds)),
        "sources": data_sources(windows, fold_of),
    }


@click.command(help=__doc__)
@corpora_option
@whole_option
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--folds", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--rine-folds", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@workers_option
def card_command(
    corpora: tuple[Path, ...], whole: Path, weights: Path, folds: Path, rine_folds: Path, workers: int
) -> None:
    """Measure, and write both files beside the weights."""
    windows, fold_of = training_windows(corpora)
    materials = fold_materials(windows, fold_of, workers)
    results = measured_results(materials, folds, rine_folds, weights, workers)
    card = make_card(weights, folds, results, photographs_of(whole, fold_of), windows, fold_of)
    write_json(weights / "localizer_b16.json", card)
    write_text(weights / "localizer_b16.md", render_card(card))


if __name__ == "__main__":
    card_command()
