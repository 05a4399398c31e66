"""Folders of images and of masks in which white is synthetic.

DATA/images/**            with or without the folders train, valid, test at the top
DATA/masks/**             the same paths; .png, or the very name of the image
DATA/real/**              real images, if there are some
"""

from __future__ import annotations

from pathlib import Path

from sidscan.errors import UsageError

from ..examples import MaskedImage, StatedSplit, image_files, split_called
from .base import Layout

_EXPECTED = "images/, masks/"


def _recognises(data: Path) -> bool:
    return (data / "images").is_dir() and (data / "masks").is_dir()


def _list_images(data: Path) -> list[MaskedImage]:
    if not _recognises(data):
        raise UsageError(f"{data} has no folders images and masks", f"Expected {_EXPECTED} in it.")
    name_of_set = data.resolve().name
    images = [
        MaskedImage(path, path.relative_to(data).as_posix(), _mask_of(path, data), name_of_set, split)
        for split, path in _files_by_split(data / "images")
    ]
    real = _files_by_split(data / "real") if (data / "real").is_dir() else ()
    return images + [
        MaskedImage(path, path.relative_to(data).as_posix(), None, "", split) for split, path in real
    ]


def _mask_of(path: Path, data: Path) -> Path:
    """The mask of the image's own name where it exists, else the one in PNG."""
    same = data / "masks" / path.relative_to(data / "images")
    return same if same.is_file() else same.with_suffix(".png")


def _files_by_split(folder: Path) -> list[tuple[StatedSplit, Path]]:
    return [(split_called(path.relative_to(folder).parts[0]), path) for path in image_files(folder)]


LAYOUT = Layout("white-masks", _EXPECTED, _recognises, _list_images)
