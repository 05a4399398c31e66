"""Controlled shortcuts: how far the bundled detector's scores move when nothing but the file changes.

    python -m sidscan.training.mini.shortcuts CORPUS... OUT.json --folds FOLDS

Real and synthetic windows, spread over repositories, are scored as they are and again after being saved
once more (PNG, JPEG, WebP) or made smaller. With a folder of fold weights every window is scored by weights
that, by the model card, were not fitted on its repository; else by the shipped ones, which have seen them
all. Ten crops, as the card has it.

Windows are 224 to 320 px a side and a view is 224, so many a smaller copy gets padded with zeros, and its
ten crops become one. Those are told apart from the ones that still fill a view; of the latter, a smaller
copy also shows more of the picture in every crop. Windows that are in JPEG files have their 8x8 grid where
the picture's was, and are saved again on the same one.
"""

from __future__ import annotations

import io
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
from sidscan.models.catalog import Bundled, find_entry
from sidscan.models.refs import BUNDLED_MODEL
from sidscan.training.common.files import write_json
from sidscan.training.common.metrics import Scores

from .audit import fitted_on
from .card import digest, scores_of
from .conditions import as_is
from .corpus import Pixels, Window, decode, read_corpora, spread
from .processes import in_processes
from .train import LOGIT, Scorer, load

WINDOWS = 200  # of each label
AT_MOST = 10  # of one repository and label
LABELS = ("real", "synthetic")
DIGITS = 16  # of a sha256, as the card's readers have it


def saved(pixels: Pixels, container: str, **options: int) -> Pixels:
    """Written by PIL and read again; JPEG and lossy WebP with chroma halved (4:2:0), PIL's default."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, container, **options)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def resized(pixels: Pixels, factor: float) -> Pixels:
    """Both sides times a factor, Lanczos."""
    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


TREATMENTS: dict[str, Callable[[Pixels], Pixels]] = {
    "png": partial(saved, container="PNG", compress_level=1),
    **{f"jpeg-{quality}": partial(saved, container="JPEG", quality=quality) for quality in (95, 85, 75)},
    "webp-80": partial(saved, container="WEBP", quality=80),
    **{f"size-{factor}": partial(resized, factor=factor) for factor in (0.9, 0.8, 0.7, 0.6, 0.5)},
}


@dataclass(frozen=True)
class Change:
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


def change(before: Scores, after: Scores, threshold: float) -> Change:
    """Of logits (windows,) before and after; the threshold is on the score."""
    scores = scores_of(before), scores_of(after)
    was, now = (some >= threshold for some in scores)
    return Change(
        len(before),
        float(np.median(np.abs(scores[1] - scores[0]))),
        float(np.median(np.abs(after - before))),
        float(np.median(after - before)),
        float(was.mean()),
        float((now & ~was).mean()),
        float((was & ~now).mean()),
    )


def unseen_by(windows: Sequence[Window], seen: Sequence[frozenset[str]]) -> dict[str, int]:
    """Every window's repository -> the first of the weights that were not fitted on it.

    Raises:
        click.UsageError: all of them were fitted on one.
    """
    found = {}
    for repo in sorted({window.repo for window in windows}):
        fresh = [place for place, some in enumerate(seen) if repo not in some]
        if not fresh:
            raise click.UsageError(f"all of these weights were fitted on {repo}")
        found[repo] = fresh[0]
    return found


def table(
    windows: Sequence[Window],
    logits: NDArray[np.float64],
    groups: Mapping[str, NDArray[np.bool_]],
    threshold: float,
) -> pd.DataFrame:
    """A row per treatment, label and group that has windows.

    Args:
        logits: (windows, 1 + treatments), the first as they are.
        groups: which windows belong to it, after every treatment: (windows, treatments) by name.
    """
    synthetic = np.array([window.synthetic for window in windows])
    rows = []
    for place, treatment in enumerate(TREATMENTS):
        for label, side in zip(LABELS, (~synthetic, synthetic), strict=True):
            for name, group in groups.items():
                some = side & group[:, place]
                if some.any():
                    found = change(logits[some, 0], logits[some, place + 1], threshold)
                    names = {"treatment": treatment, "label": label, "group": name}
                    rows.append({**names, **asdict(found), "crossed": found.crossed})
    table: pd.DataFrame = pd.DataFrame(rows)
    return table


def groups_of(windows: Sequence[Window]) -> dict[str, NDArray[np.bool_]]:
    """Groups of windows by what their views are made of and by the file they are in.

    Padded views are those of a treated window that is smaller than a view. Windows in JPEG files keep the
    coefficients of the picture they were cut from; all others are in lossless files.
    """
    factors = [float(name.split("-")[1]) if name.startswith("size-") else 1.0 for name in TREATMENTS]
    sides = [decode(window).shape[:2] for window in windows]
    padded = np.array([[min(round(s * f) for s in side) < SIDE for f in factors] for side in sides])
    jpeg = np.array([[window.file.endswith(".jpg")] * len(factors) for window in windows])
    return {
        "all": np.ones_like(jpeg),
        "filled": ~padded,
        "padded": padded,
        "in-jpeg": jpeg,
        "in-lossless": ~jpeg,
    }


def open_weights(folds: Path | None, windows: Sequence[Window]) -> tuple[list[Path], dict[str, int]]:
    """The files of weights, and for every repository the place of the one that scores it.

    Raises:
        click.UsageError: no fold weights there, or such as the card does not know or that saw a repository.
    """
    if folds is None:
        return [_shipped().path], dict.fromkeys((window.repo for window in windows), 0)
    files = sorted(folds.glob("fold-*.safetensors"))
    if not files:
        raise click.UsageError(f"{folds} holds no fold-*.safetensors")
    seen, names = fitted_on(), [digest(file)[:DIGITS] for file in files]
    if unknown := set(names) - set(seen):
        raise click.UsageError(f"the model card does not know weights {', '.join(sorted(unknown))}")
    return files, unseen_by(windows, [seen[name] for name in names])


def _shipped() -> Bundled:
    origin = find_entry(BUNDLED_MODEL).origin
    assert isinstance(origin, Bundled)
    return origin


def _size(windows: Sequence[Window]) -> dict[str, int]:
    return {"windows": len(windows), "repositories": len({window.repo for window in windows})}


@click.command(help=__doc__)
@click.argument(
    "corpora", type=click.Path(exists=True, file_okay=False, path_type=Path), nargs=-1, required=True
)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--folds", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Fold weights.")
@click.option("--windows", "count", default=WINDOWS, show_default=True, help="Windows of each label.")
@click.option("--at-most", default=AT_MOST, show_default=True, help="Windows of one repository and label.")
@click.option("--workers", default=2, show_default=True, help="Processes that decode and score.")
def main(
    corpora: tuple[Path, ...], out: Path, folds: Path | None, count: int, at_most: int, workers: int
) -> None:
    """Score, compare, write OUT and print the table."""
    windows = spread(read_corpora(corpora), count, at_most)
    files, places = open_weights(folds, windows)
    networks = [load(file)[:2] for file in files]
    scorer = Scorer(networks, places, [as_is, *TREATMENTS.values()])
    logits = np.array(in_processes(scorer, windows, workers, "score"))[..., LOGIT]
    rows = table(windows, logits, groups_of(windows), _shipped().threshold)
    numbers = {
        label: _size([w for w in windows if w.synthetic is (label == "synthetic")]) for label in LABELS
    }
    facts = {
        "weights": [digest(file) for file in files],
        "held_out": folds is not None,
        "threshold": _shipped().threshold,
        "at_most": at_most,
    }
    write_json(out, {**facts, **numbers, "changes": rows.round(4).to_dict("records")})
    for label, number in numbers.items():
        click.echo(f"{label}: {number['windows']} windows of {number['repositories']} repositories")
    if folds is None:
        click.echo("The shipped weights were fitted on all repositories of the training corpus.")
    click.echo(rows.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
