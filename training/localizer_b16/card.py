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
from typing import NamedTuple

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


class CompositeCounts(NamedTuple):
    """Composites of a kind and size of region."""

    each: int = 60  # as JPEG 95
    inspected: int = 6  # of these, also by all grids
    fewer: int = 10  # of those with synthetic regions, saved otherwise
    larger: int = 10  # of a size of larger images

    @property
    def results_file(self) -> str:
        """In the work folder: results of fewer composites never stand in for all."""
        return f"composites-{'-'.join(map(str, self))}.json"


CARD_FILE = "localizer_b16.json"  # beside the weights
CARD_COMMAND = (
    "python -m sidscan.training.localizer_b16.card --corpus DIR --corpus DIR2 --corpus MORE --corpus MORE2 "
    "--whole WHOLE --weights sidscan/weights --folds FOLDS --rine-folds RINE"
)


def measured_results(
    materials: Sequence[Material],
    folds: Path,
    rine_folds: Path,
    weights: Path,
    counts: CompositeCounts,
    workers: int,
) -> list[Result]:
    """Of all composites; read from the work folder, if they are there."""
    path = folds / counts.results_file
    if not path.is_file():
        loaded = [load_decoder(file) for file in fold_files(folds)]
        task = CompositeResults(
            materials={
                side: [whole_images_of(each, side, synthetic=SIDE) for each in materials]
                for side in ((SIDE, *LARGER) if counts.larger else (SIDE,))
            },
            decoders=[decoder for decoder, _ in loaded],
            heads=[load_head(file)[0] for file in fold_files(rine_folds)],
            blocks=tuple(loaded[0][1].config["blocks"]),
            scale=scale_of(loaded[0][0]),
            mini=weights / "mini.safetensors",
        )
        write_json(path, map_windows(task, jobs(*counts), workers, "composites"))
    results: list[Result] = json.loads(path.read_text(encoding="utf-8"))
    return results


def scale_of(decoder: TokenDecoder) -> TokenScale:
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
    """Every figure of the card; what was measured on unseen repositories stays."""
    earlier = stored_card(weights)
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
        "unseen": earlier["unseen"] if earlier else None,
    }


@click.command(help=__doc__)
@corpora_option
@whole_option
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--folds", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--rine-folds", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option(
    "--composites",
    "counts",
    nargs=4,
    type=click.IntRange(min=0),
    default=CompositeCounts(),
    show_default=True,
    metavar="EACH INSPECTED FEWER LARGER",
    help="How many of a kind and size of region; few show whether the command runs.",
)
@workers_option
def card_command(
    corpora: tuple[Path, ...],
    whole: Path,
    weights: Path,
    folds: Path,
    rine_folds: Path,
    counts: tuple[int, int, int, int],
    workers: int,
) -> None:
    """Measure, and write both files beside the weights."""
    windows, fold_of = training_windows(corpora)
    materials = fold_materials(windows, fold_of, workers)
    results = measured_results(materials, folds, rine_folds, weights, CompositeCounts(*counts), workers)
    card = make_card(weights, folds, results, photographs_of(whole, fold_of), windows, fold_of)
    write_card(weights, card)


def write_card(weights: Path, card: LocalizerCard) -> None:
    """Both files."""
    write_json(weights / CARD_FILE, card)
    write_text(weights / CARD_FILE.replace(".json", ".md"), render_card(card))


def stored_card(weights: Path) -> LocalizerCard | None:
    """The card beside the weights, if it is there and about this file."""
    path = weights / CARD_FILE
    if not path.is_file():
        return None
    card: LocalizerCard = json.loads(path.read_text(encoding="utf-8"))
    return card if card["sha256"] == file_sha256(weights / WEIGHTS_FILE) else None


if __name__ == "__main__":
    card_command()
