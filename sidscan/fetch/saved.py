"""Keeps the bytes that URLs gave, each under its own hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.fetch.errors import NotSaved
from sidscan.util.files import atomic_write, remove_old_leftovers

_CHUNK = 1 << 20  # bytes
# First bytes -> suffix; what is none of these is kept without one.
_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"II*\x00", ".tiff"),
    (b"MM\x00*", ".tiff"),
    (b"BM", ".bmp"),
)
_BRANDS = {b"avif": ".avif", b"avis": ".avif", b"heic": ".heic", b"heix": ".heic", b"mif1": ".heic"}


def prepare_folder(folder: Path) -> None:
    """Make the folder, so that a long scan does not find out later, and clear it of what killed ones left.

    Raises:
        OutputError: it can't be made or written to.
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
    """The file in ``folder`` that holds ``data``; written unless it is there, whole or not at all.

    Args:
        sha256: of ``data``, hex.

    Raises:
        NotSaved: it can't be written.
    """
    path = folder / f"{sha256}{suffix(data)}"
    try:
        if not _has_content(path, len(data), sha256):
            with atomic_write(path) as partial:
                partial.write_bytes(data)
    except OSError as error:
        raise NotSaved(
            f"can't write to --save-dir {folder}: {error.strerror}; free space there and run it again"
        ) from error
    return path


def suffix(data: bytes) -> str:
    """A file name's end for the format that the first bytes state; empty for an unknown one."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "")
    return next((end for start, end in _SIGNATURES if data.startswith(start)), "")


def _has_content(path: Path, size: int, sha256: str) -> bool:
    """Whether the file is there with these very bytes: a damaged one is written again."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == sha256
