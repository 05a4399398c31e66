"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sidscan.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    Raises:
        OutputError: it can't be written; an older file of that name is left as it was.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
            partial = Path(beside, path.name)
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror}",
            "Nothing that was scored is lost; free some space and run the same command again.",
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
