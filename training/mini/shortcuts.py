"""Controlled shortcuts: how far the bundled detector's scores move when nothing but the file changes.

    python -m sidscan.training.mini.shortcuts CORPUS... OUT.json --folds FOLDS

Real and synthetic windows, sampled evenly over repositories, are scored as they are. They are scored again
after being saved once more (PNG, JPEG, WebP) or made smaller. With a folder of fold weights, every window is
scored by weights that, by the model card, were not fitted on its repository. Otherwise the shipped weights
score all windows, and they were fitted on all repositories. Ten crops are read, as for the card.

Windows are 224 to 320 px a side and a crop is 224. So many of the smaller copies are padded with zeros, and
their ten crops become one. The table separates these from the copies that still fill a crop. In the latter, a
crop of a smaller copy also shows more of the image. Windows in JPEG files have their 8x8 grid where the
image's was, and are saved again on the same grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from sidscan.config import SIDE
from sidscan.training.common.files import write_json
from sidscan.training.common.metrics import Scores
from sidscan.training.common.pixels import Pixels, recoded
from sidscan.training.windows.conditions import PER_REPOSITORY, unchanged
from sidscan.training.windows.corpus import (
    Window,
    decode_window,
    read_corpora,
    sample_windows,
    synthetic_mask,
)
from sidscan.training.windows.figures import scores_of_logits
from sidscan.training.windows.parallel import map_windows
from sidscan.training.windows.weights_file import FOLD_FILE, file_sha256
from sidscan.training.windows.window_score import LOGIT

from .audit import DIGEST_LENGTH, bundled_weights, fitted_on
from .train import WindowScorer, load_weights

WINDOWS_PER_LABEL = 200
_LABELS = ("real", "synthetic")


def resized(pixels: Pixels, factor: float) -> Pixels:
    """Both sides times a factor, Lanczos."""
    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


TREATMENTS: dict[str, Callable[[Pixels], Pixels]] = {
    "png": partial(recoded, container="PNG", compress_level=1),
    **{f"jpeg-{quality}": partial(recoded, container="JPEG", quality=quality) for quality in (95, 85, 75)},
    "webp-80": partial(recoded, container="WEBP", quality=80),
    **{f"size-{factor}": partial(resized, factor=factor) for factor in (0.9, 0.8, 0.7, 0.6, 0.5)},
}


@dataclass(frozen=True)
class ScoreChange:
    """What a treatment did to the scores of some windows.

    Attributes:
        score: median |change| of the score.
        logit: the same of the logit.
        shift: median change of the logit, with its sign.
        above: share at the threshold or above it before.
        up: share that came to it from below.
        down: share that fell below it.
    """

    n: int
    score: float
    logit: float
    shift: float
    above: float
    up: float
    down: float

    @property
    def crossed(self) -> float:
        """Share that crossed the threshold, either way."""
        return self.up + self.down


def score_change(before: Scores, after: Scores, threshold: float) -> ScoreChange:
    """From logits (windows,) before and after; the threshold is on the score."""
    scores_before, scores_after = scores_of_logits(before), scores_of_logits(after)
    above_before, above_after = scores_before >= threshold, scores_after >= threshold
    return ScoreChange(
        n=len(before),
        score=float(np.median(np.abs(scores_after - scores_before))),
        logit=float(np.median(np.abs(after - before))),
        shift=float(np.median(after - before)),
        above=float(above_before.mean()),
        up=float((above_after & ~above_before).mean()),
        down=float((above_before & ~above_after).mean()),
    )


def held_out_weights(windows: Sequence[Window], fitted: Sequence[frozenset[str]]) -> dict[str, int]:
    """Every window's repository -> index of the first weights that were not fitted on it.

    Args:
        fitted: the repositories that each of the weights was fitted on.

    Raises:
        click.UsageError: all of them were fitted on one repository.
    """
    weights_of_repo = {}
    for repo in sorted({window.repo for window in windows}):
        held_out = [index for index, repos in enumerate(fitted) if repo not in repos]
        if not held_out:
            raise click.UsageError(f"all of these weights were fitted on {repo}")
        weights_of_repo[repo] = held_out[0]
    return weights_of_repo


def change_table(
    windows: Sequence[Window],
    logits: NDArray[np.float64],
    groups: Mapping[str, NDArray[np.bool_]],
    threshold: float,
) -> pd.DataFrame:
    """A row per treatment, label and group that has windows.

    Args:
        logits: (windows, 1 + treatments), the first as they are.
        groups: by name, which windows belong to it after every treatment: (windows, treatments).
    """
    synthetic = synthetic_mask(windows)
    rows = []
    for column, treatment in enumerate(TREATMENTS):
        for label, of_label in zip(_LABELS, (~synthetic, synthetic), strict=True):
            for name, group in groups.items():
                chosen = of_label & group[:, column]
                if chosen.any():
                    change = score_change(logits[chosen, 0], logits[chosen, column + 1], threshold)
                    keys = {"treatment": treatment, "label": label, "group": name}
                    rows.append({**keys, **asdict(change), "crossed": change.crossed})
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def window_groups(windows: Sequence[Window]) -> dict[str, NDArray[np.bool_]]:
    """Groups of windows by whether their crops are padded, and by the file they are in.

    Crops of a treated window that is smaller than a crop are padded. Windows in JPEG files have the
    coefficients of the image they were cut from; all others are in lossless files.
    """
    factors = [float(name.split("-")[1]) if name.startswith("size-") else 1.0 for name in TREATMENTS]
    sides = [decode_window(window).shape[:2] for window in windows]
    small = np.array([[min(round(s * f) for s in side) < SIDE for f in factors] for side in sides])
    jpeg = np.array([[window.file.endswith(".jpg")] * len(factors) for window in windows])
    return {
        "all": np.ones_like(jpeg),
        "filled": ~small,
        "padded": small,
        "in-jpeg": jpeg,
        "in-lossless": ~jpeg,
    }


def choose_weights(folds: Path | None, windows: Sequence[Window]) -> tuple[list[Path], dict[str, int]]:
    """The weights files, and for every repository the index of the one that scores it.

    Raises:
        click.UsageError: the folder holds no fold weights, the card does not know them, or all of them were
            fitted on one repository.
    """
    if folds is None:
        return [bundled_weights().path], dict.fromkeys((window.repo for window in windows), 0)
    files = sorted(folds.glob(FOLD_FILE.format("*")))
    if not files:
        raise click.UsageError(f"{folds} holds no fold-*.safetensors")
    by_digest, digests = fitted_on(), [file_sha256(file)[:DIGEST_LENGTH] for file in files]
    if unknown := set(digests) - set(by_digest):
        raise click.UsageError(f"the model card does not know weights {', '.join(sorted(unknown))}")
    return files, held_out_weights(windows, [by_digest[digest] for digest in digests])


@click.command(help=__doc__)
@click.argument(
    "corpora", type=click.Path(exists=True, file_okay=False, path_type=Path), nargs=-1, required=True
)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--folds", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Fold weights.")
@click.option(
    "--windows", "count", default=WINDOWS_PER_LABEL, show_default=True, help="Windows of each label."
)
@click.option(
    "--at-most", default=PER_REPOSITORY, show_default=True, help="Windows of one repository and label."
)
@click.option("--workers", default=2, show_default=True, help="Processes that decode and score.")
def shortcuts_command(
    corpora: tuple[Path, ...], out: Path, folds: Path | None, count: int, at_most: int, workers: int
) -> None:
    """Score, compare, write OUT and print the table."""
    windows = sample_windows(read_corpora(corpora), count, at_most)
    files, weights_of_repo = choose_weights(folds, windows)
    networks = [load_weights(file)[:2] for file in files]
    scorer = WindowScorer(networks, weights_of_repo, [unchanged, *TREATMENTS.values()])
    logits = np.array(map_windows(scorer, windows, workers, "score"))[..., LOGIT]
    threshold = bundled_weights().threshold
    rows = change_table(windows, logits, window_groups(windows), threshold)
    sizes = {}
    for label in _LABELS:
        members = [window for window in windows if window.synthetic is (label == "synthetic")]
        sizes[label] = {"windows": len(members), "repositories": len({window.repo for window in members})}
    settings = {
        "weights": [file_sha256(file) for file in files],
        "held_out": folds is not None,
        "threshold": threshold,
        "at_most": at_most,
    }
    write_json(out, {**settings, **sizes, "changes": rows.round(4).to_dict("records")})
    for label, size in sizes.items():
        click.echo(f"{label}: {size['windows']} windows of {size['repositories']} repositories")
    if folds is None:
        click.echo("The shipped weights were fitted on all repositories of the training corpus.")
    click.echo(rows.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    shortcuts_command()
