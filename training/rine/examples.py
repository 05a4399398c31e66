"""Training sets: the images of a data set that a run reads, in a stated order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from sidscan.errors import UsageError
from sidscan.training.datasets.content import content_size
from sidscan.training.datasets.layouts import cnndetection, ldm
from sidscan.training.datasets.reading import read_data_set
from sidscan.training.datasets.rows import LabelledImage, Wanted, digest_line, split_images

SetPart = Literal["train", "valid"]
SetLayout = Literal["cnndetection", "ldm"]
"""Layouts of published training sets; a run may read any other that `datasets.layouts` knows."""

CLASS_SETS: dict[str, tuple[str, ...]] = {  # paper, section 4; 20: all classes, its appendix
    "1": ("horse",),
    "2": ("chair", "horse"),
    "4": ("car", "cat", "chair", "horse"),
    "20": (
        *("airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
        *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
        *("train", "tvmonitor"),
    ),
}


def list_part(
    data: Path,
    layout: str,
    part: SetPart,
    classes: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> list[LabelledImage]:
    """The images of one part; empty if the data set has no validation part.

    Raises:
        UsageError: the data set has another layout than stated, or the part has images of one label only.
    """
    wanted = Wanted(sets=tuple(sets), classes=tuple(classes), split=part)
    images, _ = split_images(read_data_set(data, layout, wanted), part)
    labels = {image.label for image in images}
    if len(labels) < 2 and (images or part == "train"):
        lacking = "real" if "real" not in labels else "synthetic"
        raise UsageError(
            f"{data} has no {lacking} image for the part {part}", "Add some, or choose other sets or classes."
        )
    return images


def check_layout(data: Path, layout: str, classes: Sequence[str], sets: Sequence[str] = ()) -> None:
    """Refuse a data set of another layout at once; of CNNDetection's without listing all images.

    Raises:
        UsageError: as `list_part`.
    """
    if layout == "ldm":
        ldm.check_root(data)
    elif layout == "cnndetection" and classes:
        cnndetection.check_classes(data, classes)
    else:
        list_part(data, layout, "train", classes, sets)


def list_digest(examples: Iterable[LabelledImage]) -> str:
    """sha256 (hex) over labels, names and file sizes, in order. It reads no pixels."""
    hasher = hashlib.sha256()
    for example in examples:
        hasher.update(digest_line(example, content_size(example.path)))
    return hasher.hexdigest()
