"""Time of the paper's grid of 48 heads from one encoder pass, compared with one head the published way.

    python benchmarks/grid.py --images 384 --encoder vit-b32

Random weights in CLIP's shape encode generated 256x256 images with two spectra. The ratio divides 48 times
the time of one head the published way (draw, encode, fit) by the time of one cached pass and all 48 fits.
The metrics of one recipe in both ways, and with other seeds, show whether the two ways differ by more than
seeds do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from random_rine import SHAPES, make_encoder
from record import publish, stamp

from sidscan.models import checkpoints
from sidscan.training.rine.config import TrainConfig
from sidscan.training.rine.recipe import PRESETS, Recipe, grid
from sidscan.training.rine.run import EpochMetrics
from sidscan.training.rine.studies import run_study
from sidscan.training.rine.train import train

SIDE = 256  # pixels, as ProGAN's set
SLOPES = {"0_real": 0.6, "1_fake": 2.5}  # of log amplitude over log frequency


def make_set(folder: Path, part: str, images: int, seed: int) -> None:
    """Write ``images`` images of one class in CNNDetection's layout, half of them with each label."""
    rng = np.random.default_rng(seed)
    frequencies = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    frequency = np.maximum(np.hypot(*frequencies), 1 / SIDE)
    for label, slope in SLOPES.items():
        target = folder / part / "cat" / label
        target.mkdir(parents=True)
        for number in range(images // 2):
            spectrum = np.fft.rfft2(rng.normal(size=(3, SIDE, SIDE))) * frequency**-slope
            planes = np.fft.irfft2(spectrum, (SIDE, SIDE))
            planes /= planes.std(axis=(1, 2), keepdims=True)
            pixels = (planes * 45 + 128).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
            Image.fromarray(pixels).save(target / f"{number:05d}.png")


def silent(words: str) -> None:
    """Print nothing."""


def published_way(config: TrainConfig, out: Path) -> tuple[float, EpochMetrics]:
    """Seconds for one head from fresh crops, and its metrics."""
    start = time.perf_counter()
    train(config, out, silent)
    seconds = time.perf_counter() - start
    metrics: EpochMetrics = checkpoints.read_checkpoint(out)[0].facts["epochs"][-1]
    return seconds, metrics


def whole_grid(config: TrainConfig, recipes: Sequence[Recipe], out: Path) -> float:
    """Seconds for the cache and all heads."""
    start = time.perf_counter()
    run_study(replace(config, cache=out / "features"), recipes, out, silent)
    return time.perf_counter() - start


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--encoder", choices=SHAPES, default="vit-b32")
    parser.add_argument("--batch", type=int, default=128, help="images per step; the default is published")
    parser.add_argument("--lr", type=float, default=1e-3, help="Adam's; the default is published")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the head trained the published way")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = measure(Path(scratch), arguments)
    publish(result, arguments.out)


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure both ways in one run."""
    data, encoder = folder / "data", folder / "encoder.safetensors"
    make_set(data, "train", arguments.images, 0)
    make_set(data, "val", 64, 1)
    make_encoder(encoder, SHAPES[arguments.encoder])
    base = replace(PRESETS["progan-4class"].recipe, batch=arguments.batch, lr=arguments.lr)
    config = TrainConfig(
        data=data, recipe=base, classes=("cat",), encoder=str(encoder), device=arguments.device
    )
    times, metrics_by_seed = [], []
    for seed in range(arguments.seeds):
        seeded = replace(config, recipe=replace(base, seed=seed))
        seconds, metrics = published_way(seeded, folder / f"published-{seed}")
        times.append(seconds)
        metrics_by_seed.append(metrics)
    recipes = grid(base)
    seconds = whole_grid(config, recipes, folder / "grid")
    same_recipe, _ = checkpoints.read_checkpoint(folder / "grid" / f"{base.label}.safetensors")
    published = statistics.median(times)
    return {
        **stamp("grid", "torch"),
        "encoder": f"{arguments.encoder}, random weights",
        "pictures": arguments.images,  # a key of earlier results
        "batch": arguments.batch,
        "lr": arguments.lr,
        "seconds_one_head_published": [round(value, 2) for value in times],
        "seconds_48_heads_cached": round(seconds, 2),
        "ratio": round(len(recipes) * published / seconds, 1),
        "published_by_seed": metrics_by_seed,
        "same_recipe_from_the_grid": same_recipe.facts["epochs"][-1],
    }


if __name__ == "__main__":
    main()
