"""Images of camera size, all different."""

from __future__ import annotations

import io
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image


def camera_jpeg(width: int, height: int, seed: int) -> bytes:
    """A JPEG of camera size: smooth structure and sensor-like noise, quality 92, 4:2:0."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 100, width // 100, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(
        np.int16
    )
    scene += rng.normal(0, 4, (height, width, 1)).astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def make(folder: Path, count: int, size: str = "4000x3000") -> list[Path]:
    """Paths of images 0 .. count - 1 in ``folder``; writes missing ones; ``size`` in pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(_make, folder, size), range(count)))


def _make(folder: Path, size: str, number: int) -> Path:
    path = folder / f"{size}-{number:05}.jpg"
    if not path.exists():
        width, height = map(int, size.split("x"))
        partial_path = path.with_suffix(".partial")
        partial_path.write_bytes(camera_jpeg(width, height, number))
        partial_path.rename(path)
    return path
