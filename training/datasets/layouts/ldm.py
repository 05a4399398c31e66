"""The latent diffusion training set of DMimageDetection (Corvi et al., ICASSP 2023), as RINE's code reads it.

DATA/latent_diffusion_trainingset/{train,valid}/<folder>/*        generated
DATA/latent_diffusion_trainingset/{train,valid}/real_lsun.txt     names CLASS_FILE in DATA/train/CLASS/0_real
DATA/latent_diffusion_trainingset/{train,valid}/real_coco.txt     names in DATA/coco/{train,val}2014
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.models.families.dmid import DMID_PAPER

from ..folders import below, image_files, subfolders
from ..rows import LabelledImage, Split, Wanted
from . import Layout, register

_ROOT = "latent_diffusion_trainingset"
_PARTS: tuple[Split, ...] = ("train", "valid")


@register
class LatentDiffusion(Layout):
    """Lists name the real images: LSUN images that belong to ProGAN's training set, and MS COCO's."""

    name = "ldm"
    expected = f"{_ROOT}/train/<folder>, {_ROOT}/train/real_lsun.txt, {_ROOT}/train/real_coco.txt"
    source = "Corvi et al., ICASSP 2023"
    papers = (DMID_PAPER,)

    def recognises(self, data: Path) -> bool:
        """By its folder."""
        return (data / _ROOT).is_dir()

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """The parts that are there; a listed image that is missing is an error."""
        if wanted.split in ("", "train"):
            check_root(data)
        for split in _PARTS:
            if wanted.split in ("", split) and (data / _ROOT / split).is_dir():
                yield from _part(data, split)


def check_root(data: Path) -> None:
    """Refuse a folder without this training set.

    Raises:
        UsageError: it has none.
    """
    root = data / _ROOT / "train"
    if not root.is_dir():
        raise UsageError(f"{root} does not exist", "Get latent_diffusion_trainingset from DMimageDetection.")


def _part(data: Path, split: Split) -> Iterator[LabelledImage]:
    root = data / _ROOT / split
    real = [*_lsun(data, root), *_coco(data, root)]
    missing = [path for path, _ in real if not path.exists()]
    if missing:
        raise UsageError(f"listed images that do not exist: {len(missing)}, e.g. {missing[0]}")
    for path, group in real:
        yield LabelledImage(path, below(path, data), False, "ldm", split, group=group)
    for folder in subfolders(root):
        paths = sorted(path for path in image_files(folder) if path.parent == folder)
        if not paths:
            raise UsageError(f"{folder} contains no images", "It should contain generated images.")
        for path in paths:
            yield LabelledImage(path, below(path, data), True, "ldm", split, "latent diffusion", folder.name)


def _lsun(data: Path, root: Path) -> Iterator[tuple[Path, str]]:
    for entry in _entries(root / "real_lsun.txt"):
        name, _, file = entry.partition("_")
        yield data / "train" / name / "0_real" / file, "lsun"


def _coco(data: Path, root: Path) -> Iterator[tuple[Path, str]]:
    for entry in _entries(root / "real_coco.txt"):
        paths = [data / "coco" / f"{part}2014" / f"COCO_{part}2014_{entry}" for part in ("train", "val")]
        yield next((path for path in paths if path.exists()), paths[0]), "coco"


def _entries(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from error
