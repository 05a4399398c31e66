"""The conditions under which detectors are measured, and copies of a corpus under one of them.

Every fold gets a folder, so that its own weights can scan it. For the bundled detector:

python -m sidscan.training.windows.conditions CORPUS jpeg75 OUT
sidscan scan OUT/fold-0 --model FOLDS/fold-0.safetensors --out 0.csv
... the same for fold-1 to fold-4 ...
python -m sidscan.training.mini.audit 0.csv 1.csv 2.csv 3.csv 4.csv
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image

from sidscan.training.common.pixels import Pixels, recoded
from sidscan.util.progress import track

from .corpus import decode_window, fold_of_repo, read_manifest


def unchanged(pixels: Pixels) -> Pixels:
    """The decoded window."""
    return pixels


def centre_square(pixels: Pixels, side: int) -> Pixels:
    """The square in the middle; all of a smaller window."""
    height, width = pixels.shape[:2]
    top, left = max(height - side, 0) // 2, max(width - side, 0) // 2
    return pixels[top : top + side, left : left + side]


def half_size(pixels: Pixels) -> Pixels:
    """Half the width and height, Lanczos; crops of it are padded with zeros."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS))


def resized(pixels: Pixels, factor: float) -> Pixels:
    """Width and height times ``factor``, Lanczos, at least 1 px."""
    image = Image.fromarray(pixels)
    size = (max(round(image.width * factor), 1), max(round(image.height * factor), 1))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def fitted_into(pixels: Pixels, width: int, height: int) -> Pixels:
    """Made smaller, if needed, so that it fits into ``width`` x ``height`` px."""
    tall, wide, _ = pixels.shape
    factor = min(width / wide, height / tall)
    return resized(pixels, factor) if factor < 1 else pixels


def screenshot(pixels: Pixels) -> Pixels:
    """The image area of a screenshot: at most 1440 x 800 px, no JPEG afterwards."""
    return fitted_into(pixels, 1440, 800)


def social_media(pixels: Pixels) -> Pixels:
    """As a site of that kind keeps an upload: at most 1080 px a side, saved as JPEG 70."""
    return recoded(fitted_into(pixels, 1080, 1080), "JPEG", quality=70)


CONDITIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "clean": unchanged,
    "jpeg75": partial(recoded, container="JPEG", quality=75),
    "half": half_size,
}
"""Cards measure windows under these."""

ALTERED_CONDITIONS: dict[str, Callable[[Pixels], Pixels]] = {
    **{
        f"JPEG {quality}": partial(recoded, container="JPEG", quality=quality) for quality in (95, 85, 75, 60)
    },
    "WebP 80": partial(recoded, container="WEBP", quality=80),
    **{f"resized to {factor:g}": partial(resized, factor=factor) for factor in (0.5, 0.75, 1.5, 2.0)},
    "screenshot": screenshot,
    "social media": social_media,
}
"""What happens to images on their way into an archive; cards measure some whole images after it."""

ALTERED_IMAGES = 1  # of every repository and label, under these

HARD_CONDITIONS: dict[str, Callable[[Pixels], Pixels]] = {
    **{f"side {side}": partial(centre_square, side=side) for side in (32, 64, 96, 128)},
    **{
        f"jpeg {quality}": partial(recoded, container="JPEG", quality=quality) for quality in (10, 20, 30, 50)
    },
}
"""Cards measure some windows under these, to show where a detector should abstain."""

HARD_WINDOWS = 400  # of each label, under the hard conditions
PER_REPOSITORY = 10  # of these, windows of one repository, at most


@click.command(help=__doc__)
@click.argument("corpus", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("condition", type=click.Choice(sorted(CONDITIONS)))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def conditions_command(corpus: Path, condition: str, out: Path) -> None:
    """Write all windows under a condition, as PNG, in a folder per fold laid out as the corpus is."""
    windows = read_manifest(corpus)
    folds = fold_of_repo(windows)
    for window in track(windows, len(windows), "window"):
        target = (out / f"fold-{folds[window.repo]}" / window.file).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(CONDITIONS[condition](decode_window(window))).save(target, compress_level=1)


if __name__ == "__main__":
    conditions_command()
