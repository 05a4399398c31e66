"""Folders of images and of masks in which white is synthetic.

DATA/images/**            with or without the folders train, valid, test at the top
DATA/masks/**             the same paths; .png, or the very name of the image
DATA/real/**              real images, if there are some
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.errors import UsageError

from ..folders import below, image_files
from ..rows import LabelledImage, StatedSplit, Wanted, split_called
from . import Layout, register


@register
class WhiteMasks(Layout):
    """One set, called as its folder."""

    name = "white-masks"
    expected = "images/, masks/"
    has_masks = True

    def recognises(self, data: Path) -> bool:
        """By its two folders."""
        return (data / "images").is_dir() and (data / "masks").is_dir()

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:  # noqa: ARG002
        """Images with masks, then the real ones."""
        if not self.recognises(data):
            raise UsageError(f"{data} has no folders images and masks", f"Expected {self.expected} in it.")
        name_of_set = data.resolve().name
        for split, path in _files_by_split(data / "images"):
            yield LabelledImage(path, below(path, data), True, name_of_set, split, mask=_mask_of(path, data))
        for split, path in _files_by_split(data / "real") if (data / "real").is_dir() else ():
            yield LabelledImage(path, below(path, data), False, "", split)


def _mask_of(path: Path, data: Path) -> Path:
    """The mask of the image's own name where it exists, else the one in PNG."""
    same = data / "masks" / path.relative_to(data / "images")
    return same if same.is_file() else same.with_suffix(".png")


def _files_by_split(folder: Path) -> list[tuple[StatedSplit, Path]]:
    return [(split_called(path.relative_to(folder).parts[0]), path) for path in image_files(folder)]
