"""Results written whole or not at all, with words for when they can't be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidscan.errors import OutputError
from sidscan.util import files


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """As `sidscan.util.files.atomic_write`.

    Raises:
        OutputError: it can't be written; an older file of that name is left as it was.
    """
    try:
        with files.atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror or error}",
            "Nothing that was done is lost; make room, and run the same command again.",
        ) from error


def write_text(path: Path, text: str) -> None:
    """UTF-8, line ends as they are."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Indented JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def make_folder(folder: Path) -> None:
    """Make a folder for results, unless it is there.

    Raises:
        OutputError: that can't be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't make {folder}: {error.strerror}", "Choose another --out.") from error
