"""Images with a text hidden in the lowest bits of their pixels."""

from __future__ import annotations

import gzip
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def hidden(scheme: str, text: str, width: int = 64, height: int = 48, bits: int | None = None) -> Image.Image:
    """An image with a text in its lowest bits, as the published code hides it.

    Args:
        bits: the length that is stated; that of the text by default.
    """
    channels = 4 if scheme.startswith("stealth_png") else 3
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, channels), dtype=np.uint8)
    if channels == 4:
        pixels[..., 3] = 255
    body = gzip.compress(text.encode()) if scheme.endswith("comp") else text.encode()
    stated = (8 * len(body) if bits is None else bits).to_bytes(4, "big")
    message = np.unpackbits(np.frombuffer(scheme.encode() + stated + body, np.uint8))
    columns: NDArray[np.uint8] = pixels[..., 3:] if channels == 4 else pixels
    flat = columns.transpose(1, 0, 2).reshape(-1).copy()
    flat[: len(message)] = flat[: len(message)] & 254 | message
    columns[...] = flat.reshape(width, height, -1).transpose(1, 0, 2)
    return Image.fromarray(pixels)


def saved(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()
