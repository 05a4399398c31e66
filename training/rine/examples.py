"""Training sets: folders of labelled pictures -> a list of examples in a stated order.

Two published layouts, and pairs of folders:

    cnndetection   DATA/train/<class>/{0_real,1_fake}/*     Wang et al., CVPR 2020: ProGAN, 20 LSUN classes
    ldm            DATA/latent_diffusion_trainingset/...    Corvi et al., ICASSP 2023, with its lists of reals
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidscan.errors import UsageError
from sidscan.training.common.listing import left_out

Part = Literal["train", "val"]
Layout = Literal["cnndetection", "ldm"]

CLASS_SETS: dict[str, tuple[str, ...]] = {  # paper, section 4; 20: its appendix, all that there are
    "1": ("horse",),
    "2": ("chair", "horse"),
    "4": ("car", "cat", "chair", "horse"),
    "20": (
        *("airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
        *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
        *("train", "tvmonitor"),
    ),
}
_LDM = "latent_diffusion_trainingset"
_LAYOUT = "The layout is DATA/train/<class>/0_real and DATA/train/<class>/1_fake, one folder per class."

_LAYOUT_AND_CLASSES = (
    f"{_LAYOUT} --classes chooses other classes than the preset's; 'all' takes those there are."
)


@dataclass(frozen=True)
class Example:
    """One labelled picture; ``group`` is its class or collection."""

    path: Path
    synthetic: bool
    group: str


def cnndetection(data: Path, classes: Sequence[str], part: Part = "train") -> list[Example]:
    """Examples of ``data/<part>/<class>/{0_real,1_fake}``, sorted; CNNDetection's layout.

    Raises:
        UsageError: a folder is missing or holds no picture.
    """
    examples = []
    for name in classes:
        for folder, synthetic in (("0_real", False), ("1_fake", True)):
            found = pictures(data / part / name / folder, _LAYOUT_AND_CLASSES)
            examples += [Example(path, synthetic, name) for path in found]
    return examples


def has_validation(data: Path, layout: Layout, classes: Sequence[str]) -> bool:
    """Whether the set has a validation part (for every class)."""
    if layout == "ldm":
        return (data / _LDM / "valid").is_dir()
    return all((data / "val" / name).is_dir() for name in classes)


def classes_in(data: Path) -> tuple[str, ...]:
    """The class folders below ``data/train``, sorted.

    Raises:
        UsageError: there are none.
    """
    train = data / "train"
    names = sorted(p.name for p in train.iterdir() if p.is_dir()) if train.is_dir() else []
    if not names:
        raise UsageError(f"{train} holds no class folder", _LAYOUT)
    return tuple(names)


def latent_diffusion(data: Path, part: Part = "train") -> list[Example]:
    """The LDM training set, as the published code reads it.

    Reals are named by lists: LSUN pictures that lie in ProGAN's training set, and MS COCO's.

    Raises:
        UsageError: a list or folder is missing, or a listed picture is not there.
    """
    root = data / _LDM / {"train": "train", "val": "valid"}[part]
    if not root.is_dir():
        raise UsageError(f"{root} is not there", "Get latent_diffusion_trainingset from DMimageDetection.")
    examples = []
    for entry in _lines(root / "real_lsun.txt"):
        name, _, file = entry.partition("_")
        examples.append(Example(data / "train" / name / "0_real" / file, False, "lsun"))
    for entry in _lines(root / "real_coco.txt"):
        places = [data / "coco" / f"{s}2014" / f"COCO_{s}2014_{entry}" for s in ("train", "val")]
        place = next((path for path in places if path.exists()), places[0])
        examples.append(Example(place, False, "coco"))
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        examples += [
            Example(path, True, folder.name) for path in pictures(folder, "It lists generated ones.")
        ]
    _check_there(examples)
    return examples


def pictures(folder: Path, remedy: str) -> list[Path]:
    """The pictures right in ``folder``, sorted; hidden files and what by its name is none are left out.

    Raises:
        UsageError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not there", remedy)
    found = sorted(path for path in folder.iterdir() if path.is_file() and not left_out(path.name))
    if not found:
        raise UsageError(f"{folder} holds no picture", remedy)
    return found


def digest(examples: Iterable[Example], data: Path) -> str:
    """sha256 (hex) over labels, names below ``data`` and sizes, in order; the pixels are not read."""
    hasher = hashlib.sha256()
    for example in examples:
        name = example.path.relative_to(data).as_posix()
        hasher.update(f"{example.synthetic:d} {example.path.stat().st_size} {name}\n".encode())
    return hasher.hexdigest()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from error


def _check_there(examples: Sequence[Example]) -> None:
    missing = [example.path for example in examples if not example.path.exists()]
    if missing:
        raise UsageError(f"{len(missing)} listed pictures are not there, e.g. {missing[0]}")
