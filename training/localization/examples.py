"""Images with masks that say where they are synthetic, and real images without; all layouts give these."""

from __future__ import annotations

import hashlib
import math
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from sidscan.errors import UsageError
from sidscan.training.common.listing import is_ignored

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
StatedSplit = Literal["train", "valid", "test", ""]
"""Empty where the data set does not say."""
_SHOWN = 3  # names that a message lists


@dataclass(frozen=True, slots=True)
class MaskedImage:
    """One image of a data set.

    Attributes:
        name: the path below the data set's folder, with ``/``; the same on every machine.
        mask: the file that says where the image is synthetic; None for a real image.
        set: what figures are computed for; empty for a real image that all sets share.
        split: empty where the data set has no parts.
        generator: what made the synthetic region, as far as the data set says it.
        black_is_synthetic: as Dolos has it; everywhere else white is.
    """

    path: Path
    name: str
    mask: Path | None
    set: str
    split: StatedSplit = ""
    generator: str = ""
    black_is_synthetic: bool = False

    @property
    def is_real(self) -> bool:
        """Whether no part of it is synthetic."""
        return self.mask is None


def split_images(
    images: Sequence[MaskedImage], split: Split, held_out: float = 0.0
) -> tuple[list[MaskedImage], bool]:
    """The images of one part of a data set, and whether the part was drawn here.

    Images without a stated part belong to training, and to the test where there is no other. Where no image
    is stated to be for validation, ``held_out`` of those for training are drawn by their names.
    """
    stated = [image for image in images if image.split == split]
    loose = [image for image in images if not image.split]
    if split == "test":
        return (stated, False) if stated else (loose, False)
    if any(image.split == "valid" for image in images) or not held_out:
        return (stated if split == "valid" else stated + loose), False
    pool = [image for image in images if image.split == "train"] + loose
    chosen = _draw(pool, held_out)
    return [image for image in pool if (image.name in chosen) == (split == "valid")], True


def _draw(images: Sequence[MaskedImage], fraction: float) -> set[str]:
    """Names of a fraction of every set's images; they don't depend on the order of the list."""
    chosen: set[str] = set()
    for one_set in sorted({image.set for image in images}):
        names = sorted(image.name for image in images if image.set == one_set)
        random.Random(f"held out {one_set}").shuffle(names)
        chosen.update(names[: math.ceil(fraction * len(names))])
    return chosen


def require_masks(images: Sequence[MaskedImage]) -> None:
    """Check that every mask that a layout expects is there.

    Raises:
        UsageError: some are missing.
    """
    masked = sum(not image.is_real for image in images)
    missing = [image for image in images if image.mask is not None and not image.mask.is_file()]
    if not missing:
        return
    raise UsageError(
        f"masks are missing: {len(missing)} of {masked} images have none, "
        f"e.g. {missing[0].mask} for {', '.join(image.name for image in missing[:_SHOWN])}",
        "Restore the masks, or take these images out of the data set.",
    )


def require_distinct_masks(images: Sequence[MaskedImage]) -> None:
    """Check that no two images are told apart by their suffixes alone: they would share a mask.

    Raises:
        UsageError: there are such.
    """
    seen: dict[tuple[Path, Path | None], MaskedImage] = {}
    for image in images:
        first = seen.setdefault((image.path.with_suffix(""), image.mask), image)
        if first is not image and image.mask is not None:
            raise UsageError(
                f"{first.name} and {image.name} have one mask: {image.mask}",
                "Rename one of the images, and its mask.",
            )


def list_digest(images: Iterable[MaskedImage]) -> str:
    """sha256 (hex) over names, labels and sizes of files, in order. It reads no pixels."""
    digest = hashlib.sha256()
    for image in images:
        sizes = [path.stat().st_size for path in (image.path, image.mask) if path is not None]
        digest.update(f"{image.set} {image.black_is_synthetic:d} {sizes} {image.name}\n".encode())
    return digest.hexdigest()


def with_polarity(image: MaskedImage, black_is_synthetic: bool | None) -> MaskedImage:
    """The image, its mask read as the user says; None leaves it to the layout."""
    return image if black_is_synthetic is None else replace(image, black_is_synthetic=black_is_synthetic)


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


def split_called(name: str) -> StatedSplit:
    """The part of that name; empty where it is not one."""
    return next((split for split in SPLITS if split == name), "")


def subfolders(folder: Path) -> list[str]:
    """Names of the folders directly in a folder, sorted; none where it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_ignored(entry.name))
