"""Training sets: folders of labelled images -> a list of examples in a stated order.

Two published layouts:

    cnndetection   DATA/train/<class>/{0_real,1_fake}/*     Wang et al., CVPR 2020: ProGAN, 20 LSUN classes
    ldm            DATA/latent_diffusion_trainingset/...    Corvi et al., ICASSP 2023, with its lists of reals
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidscan.errors import UsageError
from sidscan.training.common.listing import is_ignored

SetPart = Literal["train", "val"]
SetLayout = Literal["cnndetection", "ldm"]

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
_LDM = "latent_diffusion_trainingset"
_EXPECTED = "Expected are DATA/train/<class>/0_real and DATA/train/<class>/1_fake, one folder per class."
_EXPECTED_AND_CLASSES = (
    f"{_EXPECTED} --classes replaces the preset's classes; '--classes all' takes every class in DATA/train."
)


@dataclass(frozen=True)
class LabelledImage:
    """One example of a training set; ``group`` is its class or collection."""

    path: Path
    synthetic: bool
    group: str


def list_cnndetection(data: Path, classes: Sequence[str], part: SetPart = "train") -> list[LabelledImage]:
    """Examples of ``data/<part>/<class>/{0_real,1_fake}``, sorted; CNNDetection's layout.

    Raises:
        UsageError: a folder is missing or contains no images.
    """
    examples = []
    for name in classes:
        for folder, synthetic in (("0_real", False), ("1_fake", True)):
            paths = list_images(data / part / name / folder, _EXPECTED_AND_CLASSES)
            examples += [LabelledImage(path, synthetic, name) for path in paths]
    return examples


def check_layout(data: Path, layout: SetLayout, classes: Sequence[str]) -> None:
    """Refuse a folder of another layout at once, without listing the images of a training set.

    Raises:
        UsageError: a folder of the training part is missing or contains no images.
    """
    if layout == "ldm":
        _latent_diffusion_root(data, "train")
        return
    for name in classes:
        for folder in ("0_real", "1_fake"):
            _check_holds_images(data / "train" / name / folder, _EXPECTED_AND_CLASSES)


def has_validation(data: Path, layout: SetLayout, classes: Sequence[str]) -> bool:
    """Whether the set has a validation part (for every class)."""
    if layout == "ldm":
        return (data / _LDM / "valid").is_dir()
    return all((data / "val" / name).is_dir() for name in classes)


def class_folders(data: Path) -> tuple[str, ...]:
    """Names of the class folders in ``data/train``, sorted.

    Raises:
        UsageError: ``data/train`` is missing or contains no folder.
    """
    train = data / "train"
    names = sorted(p.name for p in train.iterdir() if p.is_dir()) if train.is_dir() else []
    if not names:
        raise UsageError(f"{train} contains no class folder", _EXPECTED)
    return tuple(names)


def list_latent_diffusion(data: Path, part: SetPart = "train") -> list[LabelledImage]:
    """The LDM training set, as the published code reads it.

    Lists name the real images: LSUN images that belong to ProGAN's training set, and MS COCO's.

    Raises:
        UsageError: a list or folder is missing, or a listed image does not exist.
    """
    root = _latent_diffusion_root(data, part)
    examples = []
    for entry in _entries(root / "real_lsun.txt"):
        name, _, file = entry.partition("_")
        examples.append(LabelledImage(data / "train" / name / "0_real" / file, False, "lsun"))
    for entry in _entries(root / "real_coco.txt"):
        paths = [data / "coco" / f"{s}2014" / f"COCO_{s}2014_{entry}" for s in ("train", "val")]
        path = next((path for path in paths if path.exists()), paths[0])
        examples.append(LabelledImage(path, False, "coco"))
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        examples += [
            LabelledImage(path, True, folder.name)
            for path in list_images(folder, "It should contain generated images.")
        ]
    missing = [example.path for example in examples if not example.path.exists()]
    if missing:
        raise UsageError(f"listed images that do not exist: {len(missing)}, e.g. {missing[0]}")
    return examples


def list_images(folder: Path, remedy: str) -> list[Path]:
    """The images directly in ``folder``, sorted; `common.listing` says which files count.

    Raises:
        UsageError: the folder is missing or contains no images.
    """
    _check_holds_images(folder, remedy)
    return sorted(_iter_images(folder))


def list_digest(examples: Iterable[LabelledImage], data: Path) -> str:
    """sha256 (hex) over labels, names below ``data`` and file sizes, in order. It reads no pixels."""
    hasher = hashlib.sha256()
    for example in examples:
        name = example.path.relative_to(data).as_posix()
        hasher.update(f"{example.synthetic:d} {example.path.stat().st_size} {name}\n".encode())
    return hasher.hexdigest()


def _latent_diffusion_root(data: Path, part: SetPart) -> Path:
    root = data / _LDM / {"train": "train", "val": "valid"}[part]
    if not root.is_dir():
        raise UsageError(f"{root} does not exist", "Get latent_diffusion_trainingset from DMimageDetection.")
    return root


def _check_holds_images(folder: Path, remedy: str) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist", remedy)
    if next(_iter_images(folder), None) is None:
        raise UsageError(f"{folder} contains no images", remedy)


def _iter_images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not is_ignored(path.name))


def _entries(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from error
