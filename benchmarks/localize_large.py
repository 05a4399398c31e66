"""What does a map of a 24-megapixel photograph take, and does it lie on the image's pixels?

    python benchmarks/localize_large.py --folder FOLDER --out FILE

`sidscan localize` makes maps of three JPEGs in FOLDER: a scene of 6000 x 4000 pixels, the same pixels with
EXIF orientation 6, and the scene without its first columns and rows, whose map must be that of the rest.
 Needs an installed encoder for `localizer-b16`. `--native` also measures the first one with all its tiles.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from harness import children, resident
from numpy.typing import NDArray
from PIL import Image
from record import publish, stamp

SIZE = 6000, 4000
SHIFT = 448  # pixels: a tile's stride at a scale of 4, so that tiles lie on the same pixels
_MARGIN = 900  # pixels at the right and bottom, where the last tiles of both lie elsewhere
_TRIED = range(-16, 17, 4)


def scene(width: int, height: int) -> NDArray[np.uint8]:
    """Like a photograph: power falls with frequency, light from one side, shot noise."""
    rng = np.random.default_rng(0)
    channels = []
    for _ in range(3):
        canvas = np.zeros((height, width), np.float32)
        for octave in range(1, 9):
            small = rng.normal(size=(height >> (9 - octave) or 1, width >> (9 - octave) or 1))
            grown = Image.fromarray(small.astype(np.float32)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            canvas += np.asarray(grown) / 1.8**octave
        channels.append(canvas)
    light = np.linspace(0.8, 1.2, width, dtype=np.float32)[None, :, None]
    bright = (110 + 60 * np.stack(channels, axis=-1)).clip(2, 250) * light
    noisy = bright + rng.normal(size=bright.shape).astype(np.float32) * np.sqrt(bright) * 0.5
    return noisy.clip(0, 255).astype(np.uint8)


def write(folder: Path) -> dict[str, Path]:
    """The three photographs."""
    pixels = scene(*SIZE)
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = {name: folder / f"{name}.jpg" for name in ("upright", "orientation_6", "shifted")}
    options: dict[str, Any] = {"quality": 95, "subsampling": 0}
    Image.fromarray(pixels).save(paths["upright"], **options)
    Image.fromarray(pixels).save(paths["orientation_6"], exif=exif, **options)
    Image.fromarray(pixels[SHIFT:, SHIFT:]).save(paths["shifted"], **options)
    return paths


def localize(image: Path, folder: Path, *more: str) -> dict[str, Any]:
    """Times, memory and row of one run of the command."""
    out, maps = folder / f"{image.stem}{len(more)}.json", folder / f"{image.stem}{len(more)}_maps"
    command = [sys.executable, "-m", "sidscan", "localize", str(image), "--detector", "mini", "--fresh"]
    command += ["--out", str(out), "--out-dir", str(maps), "--overwrite", *more]
    before, began = os.times(), time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    peak: list[float] = []
    watching = threading.Thread(target=_watch, args=(process, peak))
    watching.start()
    _, said = process.communicate()
    wall, after = time.monotonic() - began, os.times()
    watching.join()
    if process.returncode:
        raise SystemExit(said)
    row = json.loads(out.read_text(encoding="utf-8"))["findings"][0]["localization"]
    sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "seconds": round(wall, 1),
        "processor_seconds": round(processor, 1),
        "peak_mebibytes": round(max(peak)),
        **{
            key: row[key]
            for key in ("protocol", "scale", "tiles", "area", "maximum", "orientation", "made_by")
        },
        "map": maps / f"{sha256}.map.png",
    }


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    """MiB of the command and its workers together, ten times a second."""
    while process.poll() is None:
        peak.append(sum(resident(pid) or 0 for pid in (process.pid, *children(process.pid))))
        time.sleep(0.1)


def offset(whole: NDArray[np.float32], shifted: NDArray[np.float32]) -> tuple[int, int]:
    """Pixels, across and down, by which the second map lies best on the first one's same scene."""
    height, width = (length - SHIFT - _MARGIN for length in whole.shape)
    part = shifted[32 : 32 + height - 64, 32 : 32 + width - 64]

    def difference(place: tuple[int, int]) -> float:
        left, top = SHIFT + 32 + place[0], SHIFT + 32 + place[1]
        return float(np.abs(whole[top : top + part.shape[0], left : left + part.shape[1]] - part).mean())

    rough = min(((x, y) for x in _TRIED for y in _TRIED), key=difference)
    near = [(rough[0] + x, rough[1] + y) for x in range(-3, 4) for y in range(-3, 4)]
    return min(near, key=difference)


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    paths = write(options.folder)
    made = {name: localize(path, options.folder) for name, path in paths.items()}
    maps = {name: np.asarray(Image.open(each.pop("map")), np.float32) for name, each in made.items()}
    if options.native:
        made["native"] = localize(paths["upright"], options.folder, "--max-tiles", "2000")
        del made["native"]["map"]
    across, down = offset(maps["upright"], maps["shifted"])
    publish(
        {
            **stamp("localize_large", "torch", "PIL"),
            "load_average": os.getloadavg(),
            "size": SIZE,
            "runs": made,
            "map_size": maps["upright"].shape[::-1],
            "orientation_6_map_is_the_same": bool(np.array_equal(maps["upright"], maps["orientation_6"])),
            "levels_of_the_map": [int(maps["upright"].min()), int(maps["upright"].max())],
            "misplaced_pixels": [across, down],
        },
        options.out,
    )


if __name__ == "__main__":
    main()
