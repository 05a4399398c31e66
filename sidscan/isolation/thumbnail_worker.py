"""A process of `sidscan.isolation.thumbnails`: it makes JPEG of WebP until its parent is gone."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from PIL import WebPImagePlugin

from sidscan.images.thumbnails import SIDE
from sidscan.isolation.confinement import confine
from sidscan.isolation.frames import READY, Frame, read_frame, write_frame
from sidscan.isolation.limits import exit_with_parent, ignore_signals, limit_memory, limit_time, take_stdout

_MEBIBYTES = 256  # beyond what it holds at its start
_SECONDS = 5  # of processor time for one
_QUALITY = 75


def main() -> None:
    """Answer each WebP with a JPEG, or with nothing, until standard input ends."""
    answers = take_stdout()
    ignore_signals()
    confine()  # before there is another thread
    exit_with_parent(os.getppid())
    limit_memory(_MEBIBYTES)
    write_frame(answers, READY)
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = read_frame(sys.stdin.buffer)
            limit_time(_SECONDS)
            write_frame(answers, Frame({}, jpeg_of(task.payload)))


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
