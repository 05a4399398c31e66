"""Processor time of decoding only the needed rows of large JPEGs, compared with Pillow decoding all rows.

    python benchmarks/decode.py --rounds 9

Images are generated, as large as a camera's, and held in memory. Every round decodes each image fully and
partially, in turn, and cuts the crops, which must be equal. Figures are medians over the rounds, with the
lowest and the highest; ratios compare times of the same round. ``share_of_rows`` is the share of an image
that is decoded. The C library manages memory as in a scan's worker processes.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image
from record import publish, stamp

from sidscan.config import Crops
from sidscan.images import crops as cropping
from sidscan.images import decode
from sidscan.isolation.processes import WORKER_ENVIRONMENT
from sidscan.records import CropSet

SIZES = {"2 MP": (1800, 1200), "12 MP": (4000, 3000), "24 MP": (6000, 4000)}
SUBSAMPLINGS = ("4:2:0", "4:4:4")
CODINGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "restart markers": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
}


def scene_image(width: int, height: int) -> Image.Image:
    """A smooth scene with noise, seeded."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 40, width), np.linspace(0, 30, height))
    scene = np.stack([np.sin(x * scale + np.cos(y)) for scale in (0.7, 1.0, 1.3)], axis=-1)
    noisy = 128 + 80 * scene + rng.normal(0, 6, scene.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def read(data: bytes, crops: Crops, partially: bool) -> tuple[float, CropSet, float]:
    """Processor seconds, crops, and the share of rows that are decoded."""
    start = time.process_time()
    source = decode.decode(data, rows=partial(cropping.needed_rows, crops=crops) if partially else None)
    crop_set = cropping.crop(source, crops)
    seconds = time.process_time() - start
    rows = sum(len(part.rows) for part in source.decoded_rows) or source.height
    return seconds, crop_set, rows / source.height


def measure(data: bytes, crops: Crops, rounds: int) -> dict[str, Any]:
    """Times and ratios for one image."""
    pillow, bands = [], []
    for each in range(rounds):
        order = (False, True) if each % 2 else (True, False)
        results = {partially: read(data, crops, partially) for partially in order}
        if results[True][1].crops.tobytes() != results[False][1].crops.tobytes():
            raise SystemExit("the crops differ")
        pillow.append(results[False][0])
        bands.append(results[True][0])
    return {
        **spread("pillow_ms", [1000 * seconds for seconds in pillow], 1),
        **spread("bands_ms", [1000 * seconds for seconds in bands], 1),
        **spread("ratio", [b / a for a, b in zip(pillow, bands, strict=True)], 3),
        "share_of_rows": round(results[True][2], 3),
    }


def spread(figure: str, values: list[float], digits: int) -> dict[str, Any]:
    """Median, lowest and highest."""
    return {
        figure: round(statistics.median(values), digits),
        f"{figure}_range": [round(min(values), digits), round(max(values), digits)],
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quality", type=int, default=92)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not WORKER_ENVIRONMENT.items() <= os.environ.items():  # glibc reads it when a process starts
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **WORKER_ENVIRONMENT})
    decode.warm_up()
    figures: dict[str, Any] = {}
    for size, sides in SIZES.items():
        image = scene_image(*sides)
        for subsampling in SUBSAMPLINGS:
            for coding, how in CODINGS.items():
                buffer = io.BytesIO()
                image.save(buffer, "JPEG", quality=options.quality, subsampling=subsampling, **how)
                data = buffer.getvalue()
                figures[f"{size} {subsampling} {coding}"] = {
                    "bytes": len(data),
                    **{crops: measure(data, crops, options.rounds) for crops in get_args(Crops)},
                }
    result = stamp("decode", "PIL") | {
        "decoder": decode.decoder_name(),
        "quality": options.quality,
        "rounds": options.rounds,
        "pictures": figures,
    }
    publish(result, options.out)


if __name__ == "__main__":
    main()
