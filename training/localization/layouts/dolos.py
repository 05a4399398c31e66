"""Dolos (WACV 2024): faces of CelebA-HQ, parts of which four local generators repainted.

    DATA/fake/<name>/images/{train,valid,test}/*
    DATA/fake/<name>/masks/{train,valid,test}/*.png   the image's name
    DATA/real/{train,valid,test}/*

In masks of Dolos black is synthetic. DeCLIP's code inverts those of `BLACK_IS_SYNTHETIC`, and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.errors import UsageError

from ..examples import SPLITS, MaskedImage, Split, image_files, subfolders
from .base import Layout

BLACK_IS_SYNTHETIC = ("pluralistic", "lama", "repaint-p2-9k", "ldm", "ldm_clean", "ldm_real")
_EXPECTED = "fake/<name>/images/{train,valid,test}, fake/<name>/masks/{train,valid,test}"


def _recognises(data: Path) -> bool:
    return any((data / "fake" / name / "images").is_dir() for name in subfolders(data / "fake"))


def _list_images(data: Path) -> list[MaskedImage]:
    names = [name for name in subfolders(data / "fake") if (data / "fake" / name / "images").is_dir()]
    if not names:
        raise UsageError(f"{data} does not have the layout of Dolos", f"Expected {_EXPECTED}.")
    images = [image for name in names for split in SPLITS for image in _of_generator(data, name, split)]
    for split in SPLITS:
        paths = image_files(data / "real" / split) if (data / "real" / split).is_dir() else ()
        images += [MaskedImage(path, _below(path, data), None, "", split) for path in paths]
    return images


def _of_generator(data: Path, name: str, split: Split) -> Iterator[MaskedImage]:
    folder = data / "fake" / name / "images" / split
    if not folder.is_dir():
        return
    masks = data / "fake" / name / "masks" / split
    for path in image_files(folder):
        mask = (masks / path.relative_to(folder)).with_suffix(".png")
        yield MaskedImage(path, _below(path, data), mask, name, split, name, name in BLACK_IS_SYNTHETIC)


def _below(path: Path, data: Path) -> str:
    return path.relative_to(data).as_posix()


LAYOUT = Layout("dolos", _EXPECTED, _recognises, _list_images)
