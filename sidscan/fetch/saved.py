"""Keep the bytes that URLs gave, each file named by its hash."""

from __future__ import annotations

import os
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.fetch.errors import NotSaved
from sidscan.util.files import atomic_write, open_file, remove_old_leftovers, sha256_of
from sidscan.util.magic import identify


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

    A file of an unknown format gets no suffix.

    Args:
        sha256: of ``data``, hex.

    Raises:
        NotSaved: it can't be written.
    """
    image_format = identify(data)
    path = folder / f"{sha256}{image_format.saved_suffix if image_format else ''}"
    try:
        if not _has_content(path, len(data), sha256):
            with atomic_write(path) as partial:
                partial.write_bytes(data)
    except OSError as error:
        raise NotSaved(
            f"can't write to --save-dir {folder}: {error.strerror}; free space there and run it again"
        ) from error
    return path


def _has_content(path: Path, size: int, sha256: str) -> bool:
    """Whether the file exists with exactly these bytes; a damaged one is written again."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with open_file(path) as file:
        return sha256_of(file) == sha256
