"""Generated test images, seeded, with enough texture that all crops differ."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth colour scene with noise, RGB."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    phases, scale = rng.uniform(0, 6, 3), rng.uniform(1, 3, 3)
    scene = np.stack([np.sin(x * s + y + p) for s, p in zip(scale, phases, strict=True)], axis=-1)
    noisy = 128 + 90 * scene + rng.normal(0, 8, scene.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def scene(seed: int, width: int = 480, height: int = 360) -> Image.Image:
    """An image with detail of every size."""
    generator = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for side in (4, 8, 16, 32, 64):
        noise = Image.fromarray(generator.integers(0, 256, (side, side, 3), dtype=np.uint8))
        total += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    return Image.fromarray((total / 5).astype(np.uint8))


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """The image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment at its start."""
    return data[:2] + bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


def exif_with(thumbnail: bytes, orientation: int = 1) -> bytes:
    """EXIF with an orientation and a thumbnail, behind its header."""
    first = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 26)
    second = struct.pack(">HHHIIHHIII", 2, 513, 4, 1, 56, 514, 4, 1, len(thumbnail), 0)
    return b"MM\x00*\x00\x00\x00\x08" + first + second + thumbnail


def with_thumbnail(main: Image.Image, thumbnail: Image.Image | bytes, orientation: int = 1) -> bytes:
    """A JPEG with EXIF that holds a thumbnail."""
    stored = thumbnail if isinstance(thumbnail, bytes) else encoded(thumbnail, "JPEG", quality=70)
    return with_segment(
        encoded(main, "JPEG", quality=90), 0xE1, b"Exif\x00\x00" + exif_with(stored, orientation)
    )


def exif_block() -> bytes:
    """Camera-like EXIF: make, model, lens, time, software, orientation, position."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131], exif[0x0112] = "Acme", "Acme One", "Acme Raw 2.1", 6
    details = exif.get_ifd(0x8769)
    details[0x9003], details[0xA434] = "2021:02:03 04:05:06", "Acme 35mm f/2"
    position = exif.get_ifd(0x8825)
    position[1], position[2] = "S", (33.0, 51.0, 24.0)
    position[3], position[4] = "E", (151.0, 12.0, 36.0)
    return exif.tobytes()


def folder(root: Path, count: int = 3, side: int = 256) -> Path:
    """Write a folder of JPEGs, one of them nested."""
    (root / "nested").mkdir(parents=True, exist_ok=True)
    for index in range(count):
        parent = root / "nested" if index == count - 1 else root
        (parent / f"photo-{index}.jpg").write_bytes(encoded(photo(side, side, index), "JPEG", quality=90))
    return root
