"""The conditions under which the bundled detector is measured, and copies of a corpus under one of them.

python -m sidscan.training.conditions CORPUS jpeg75 OUT
sidscan scan OUT --model mini --out report.csv
python -m sidscan.training.audit report.csv
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from PIL import Image
from tqdm import tqdm

from .corpus import Pixels, decode, read_manifest, split


def as_is(pixels: Pixels) -> Pixels:
    """The decoded window."""
    return pixels


def jpeg75(pixels: Pixels) -> Pixels:
    """Saved once more as JPEG of quality 75 (PIL's default subsampling, 4:2:0)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    return np.asarray(Image.open(buffer).convert("RGB"))


def half(pixels: Pixels) -> Pixels:
    """Half the width and height, Lanczos; the views pad it with zeros again."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS))


CONDITIONS: dict[str, Callable[[Pixels], Pixels]] = {"clean": as_is, "jpeg75": jpeg75, "half": half}


@click.command(help=__doc__)
@click.argument("corpus", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("condition", type=click.Choice(sorted(CONDITIONS)))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(corpus: Path, condition: str, out: Path) -> None:
    """Write the test part under a condition, as PNG, laid out as the corpus is."""
    for window in tqdm(split(read_manifest(corpus))["test"]):
        target = (out / window.file).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(CONDITIONS[condition](decode(corpus, window))).save(target, compress_level=1)


if __name__ == "__main__":
    main()
