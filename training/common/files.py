"""Result files, written whole or not at all; failures become errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.util.files import atomic_write


@contextmanager
def writing_result(path: Path) -> Iterator[Path]:
    """A temporary path to write to; its file replaces ``path`` when the block ends without an error.

    This is `sidscan.util.files.atomic_write` with an error for users.

    Raises:
        OutputError: the file can't be written; an older file at ``path`` stays as it was.
    """
    try:
        with atomic_write(path) as partial:
            yield partial
    except OSError as error:
        raise OutputError(
            f"can't write {path}: {error.strerror or error}",
            "Nothing that was done is lost; make room, and run the same command again.",
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8; line ends stay as they are in ``text``."""
    with writing_result(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: object) -> None:
    """Write indented JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def make_folder(folder: Path) -> None:
    """Make a folder for results, unless it exists.

    Raises:
        OutputError: the folder can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't make {folder}: {error.strerror}", "Choose another --out.") from error
