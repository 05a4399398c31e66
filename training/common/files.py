"""Result files, written whole or not at all; failures become errors that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.util.files import atomic_write, content_sha256

_WRITTEN = ".sidscan-written.json"  # file name -> sha256 of what was written there last


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


def check_unedited(folder: Path, names: Iterable[str]) -> None:
    """Refuse to replace results that somebody edited, or that something else wrote.

    Args:
        names: files of the folder that are about to be written; `note_written` notes what they hold.

    Raises:
        OutputError: one of them holds something else than what was noted.
    """
    written = _written(folder)
    for name in names:
        path = folder / name
        try:
            content = content_sha256(path)
        except NotADirectoryError:  # making the folder says so
            continue
        except OSError as error:
            raise OutputError(f"can't read {path}: {error.strerror}", "Choose another --out.") from error
        if content not in (None, written.get(name)):
            raise OutputError(
                f"{path} was changed after sidscan wrote it, or is not its file; it is left alone",
                "Rename it to keep it; or choose another --out, or replace it with --overwrite.",
            )


def note_written(folder: Path, names: Iterable[str]) -> None:
    """Note what files of the folder hold, for `check_unedited`."""
    contents = {name: content_sha256(folder / name) for name in names}
    write_json(folder / _WRITTEN, {**_written(folder), **{k: v for k, v in contents.items() if v}})


def _written(folder: Path) -> dict[str, str]:
    try:
        noted = json.loads((folder / _WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # ValueError: damaged, so nothing is known
        return {}
    return noted if isinstance(noted, dict) else {}
