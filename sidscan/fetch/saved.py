"""Keep the bytes that URLs gave, each file named by its hash."""

from __future__ import annotations

import os
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.fetch.errors import NotSaved
from sidscan.util.files import atomic_write, content_sha256, remove_old_leftovers
from sidscan.util.magic import TAIL_BYTES, identify


def prepare_folder(folder: Path) -> None:
    """Create the folder before a long scan needs it, and remove what killed scans left there.

    Raises:
        OutputError: it can't be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"can't make the folder {folder}: {error.strerror}", "Name another --save-dir."
        ) from error
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} is not writable", "Name another --save-dir.")
    remove_old_leftovers(folder)


def save_download(data: bytes, sha256: str, folder: Path) -> Path:
    """The file in ``folder`` that holds ``data``; it is written unless it exists, whole or not at all.

    A file of an unknown format gets no suffix. A file of that name with other bytes is somebody's work, or
    damaged evidence; it is left alone.

    Args:
        sha256: of ``data``, hex.

    Raises:
        NotSaved: it can't be written, or a file of that name holds other bytes.
    """
    image_format = identify(data, data[-TAIL_BYTES:])
    path = folder / f"{sha256}{image_format.saved_suffix if image_format else ''}"
    try:
        held = content_sha256(path)
        if held not in (None, sha256):
            raise NotSaved(f"{path} holds other bytes and is left alone; move it away and run it again")
        if held is None:
            with atomic_write(path) as partial:
                partial.write_bytes(data)
    except OSError as error:
        raise NotSaved(
            f"can't write to --save-dir {folder}: {error.strerror}; free space there and run it again"
        ) from error
    return path
