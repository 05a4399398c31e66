"""A process of `sidscan.isolation.thumbnails`: it makes JPEG of WebP until its parent is gone."""

from __future__ import annotations

import io

from PIL import WebPImagePlugin

from sidscan.images.thumbnails import SIDE
from sidscan.isolation.frames import Frame
from sidscan.isolation.serving import serve

_MEBIBYTES = 256  # beyond what it holds at its start
_SECONDS = 5  # of processor time for one
_QUALITY = 75


def main() -> None:
    """Answer each WebP with a JPEG, or with nothing, until standard input ends."""
    serve(lambda task: [Frame({}, jpeg_of(task.payload))], _MEBIBYTES, seconds=lambda _: _SECONDS)


def jpeg_of(webp: bytes) -> bytes:
    """A thumbnail as JPEG; empty if it can't be decoded, or is larger than a thumbnail."""
    try:
        with WebPImagePlugin.WebPImageFile(io.BytesIO(webp)) as image:
            if max(image.size) > SIDE:
                return b""
            file = io.BytesIO()
            image.convert("RGB").save(file, "JPEG", quality=_QUALITY)
            return file.getvalue()
    except Exception:  # Pillow raises many kinds; all leave this thumbnail out
        return b""
