"""Folders of images, as layouts walk them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.training.common.listing import is_ignored

from .rows import StatedSplit

_SPLIT_FOLDERS: dict[str, StatedSplit] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_MOST_SHOWN = 12  # entries of a folder that a message lists


def image_files(folder: Path) -> Iterator[Path]:
    """All files below a folder, sorted, but hidden ones and those that are not images by their names.

    Raises:
        UsageError: a folder can't be listed.
    """

    def refuse(error: OSError) -> None:
        raise UsageError(f"can't list {error.filename}: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        yield from (Path(root, name) for name in sorted(files) if not is_ignored(name))


def require_images(folder: Path, what: str, remedy: str = "Leave a set out with --sets.") -> list[Path]:
    """All image files below a folder, in the order of their paths.

    Args:
        remedy: what to do where there is none.

    Raises:
        UsageError: the folder is missing or holds none; the message calls them ``what``.
    """
    if not folder.is_dir():
        near = folder.parent if folder.parent.is_dir() else folder.parent.parent
        raise UsageError(f"{what} are missing: expected {folder}", f"{near} holds {entries(near)}.")
    paths = sorted(image_files(folder))
    if not paths:
        raise UsageError(
            f"{what} are missing: no image in {folder}",
            f"It holds {entries(folder)}. {remedy}",
        )
    return paths


def entries(folder: Path) -> str:
    """Names of what a folder holds, for messages."""
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return ", ".join(names[:_MOST_SHOWN]) + more if names else "nothing"


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in a folder, sorted by name; none where it does not exist."""
    if not folder.is_dir():
        return []
    found = (entry for entry in folder.iterdir() if entry.is_dir() and not is_ignored(entry.name))
    return sorted(found, key=lambda entry: entry.name)


def below(path: Path, data: Path) -> str:
    """The name of an image: its path below the data set's folder."""
    return path.relative_to(data).as_posix()


def split_of_folder(name: str) -> StatedSplit:
    """The part that a folder of that name holds, as data sets call it; empty where it is none."""
    return _SPLIT_FOLDERS.get(name.casefold(), "")


def first_split(names: Iterable[str]) -> StatedSplit:
    """The part that the first of these folders with such a name holds."""
    for name in names:
        if split := split_of_folder(name):
            return split
    return ""
