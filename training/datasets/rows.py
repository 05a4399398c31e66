"""A labelled image, and the parts of a data set; manifests and all layouts give these."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sidscan.errors import UsageError

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
StatedSplit = Literal["train", "valid", "test", ""]
"""Empty where the data set does not say."""
SET_SEPARATOR = ";"  # between the names of sets that share a real image


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a data set.

    Attributes:
        path: a file, or a member of an archive by its name ``ARCHIVE!/MEMBER``.
        name: the path below the data set's folder, with ``/``; the same on every machine.
        set: what figures are computed for. A real image may name several sets, separated by ``;``; one
            without belongs to all sets.
        split: empty where the data set has no parts.
        generator: what made the image, or its synthetic region, as far as the data set says it.
        group: the class folder, or another group within a set; empty where there is none.
        mask: the file that says where the image is synthetic; None where there is none.
        black_is_synthetic: in the mask, as Dolos has it; everywhere else white is.
    """

    path: Path
    name: str
    synthetic: bool
    set: str = ""
    split: StatedSplit = ""
    generator: str = ""
    group: str = ""
    mask: Path | None = None
    black_is_synthetic: bool = False

    @property
    def is_real(self) -> bool:
        """Whether no part of it is synthetic."""
        return not self.synthetic

    @property
    def label(self) -> Literal["real", "synthetic"]:
        """As manifests and scores files have it."""
        return "synthetic" if self.synthetic else "real"

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets it belongs to; empty for a real image of all sets."""
        return tuple(filter(None, self.set.split(SET_SEPARATOR)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a caller needs of a data set; a layout need not list the rest.

    Attributes:
        sets, classes: names; empty for all.
        split: the part; empty for all.
        masks: whether every synthetic image needs a mask.
    """

    sets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    split: StatedSplit = ""
    masks: bool = False

    def has(self, image: LabelledImage) -> bool:
        """Whether the image is wanted, whatever its part."""
        in_sets = not self.sets or (image.is_real and not image.set) or bool(set(image.sets) & set(self.sets))
        return in_sets and (not self.classes or image.group in self.classes)


def split_called(name: str) -> StatedSplit:
    """The part of that name; empty where it is not one."""
    return next((split for split in SPLITS if split == name), "")


def split_images(
    images: Sequence[LabelledImage], split: Split, held_out: float = 0.0
) -> tuple[list[LabelledImage], bool]:
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


def require_part(images: Sequence[LabelledImage], split: Split, data: Path) -> list[LabelledImage]:
    """The images of one part, which must have some.

    Images without a stated part belong to each part that no image is stated to be in.

    Raises:
        UsageError: there are none.
    """
    part = [image for image in images if image.split == split]
    part = part or [image for image in images if not image.split]
    if not part:
        stated = ", ".join(sorted({image.split for image in images})) or "none"
        raise UsageError(
            f"{data} has no image for the part {split}", f"It has the parts {stated}; name one with --part."
        )
    return part


def digest_line(image: LabelledImage, size: int) -> bytes:
    """What a digest of a list holds of an image: label, bytes of the file, name."""
    return f"{image.synthetic:d} {size} {image.name}\n".encode()


def _draw(images: Iterable[LabelledImage], fraction: float) -> set[str]:
    """Names of a fraction of every set's images; they don't depend on the order of the list."""
    names_of: dict[str, list[str]] = {}
    for image in images:
        names_of.setdefault(image.set, []).append(image.name)
    chosen: set[str] = set()
    for one_set, names in names_of.items():
        names.sort()
        random.Random(f"held out {one_set}").shuffle(names)
        chosen.update(names[: math.ceil(fraction * len(names))])
    return chosen
