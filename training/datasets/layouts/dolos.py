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
from sidscan.util.bibtex import Citation

from ..folders import below, image_files, subfolders
from ..rows import SPLITS, LabelledImage, Split, Wanted
from . import Layout, register

BLACK_IS_SYNTHETIC = ("pluralistic", "lama", "repaint-p2-9k", "ldm", "ldm_clean", "ldm_real")
_PAPER = Citation(
    key="tantaru2024dolos",
    kind="inproceedings",
    title="Weakly-supervised deepfake localization in diffusion-generated images",
    authors=("Țânțaru, Dragoș", "Oneață, Elisabeta", "Oneață, Dan"),
    year=2024,
    venue="Proceedings of the IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)",
    arxiv="2311.04584",
)


@register
class Dolos(Layout):
    """One set for each generator."""

    name = "dolos"
    expected = "fake/<name>/images/{train,valid,test}, fake/<name>/masks/{train,valid,test}"
    source = "Tantaru, Oneata and Oneata, WACV 2024"
    papers = (_PAPER,)
    has_masks = True

    def recognises(self, data: Path) -> bool:
        """By the folders of sets."""
        return bool(_sets(data))

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:  # noqa: ARG002
        """Set by set, then the real images, which all sets share."""
        names = _sets(data)
        if not names:
            raise UsageError(f"{data} does not have the layout of Dolos", f"Expected {self.expected}.")
        for name in names:
            for split in SPLITS:
                yield from _of_generator(data, name, split)
        for split in SPLITS:
            folder = data / "real" / split
            for path in image_files(folder) if folder.is_dir() else ():
                yield LabelledImage(path, below(path, data), False, "", split)


def _sets(data: Path) -> list[str]:
    return [folder.name for folder in subfolders(data / "fake") if (folder / "images").is_dir()]


def _of_generator(data: Path, name: str, split: Split) -> Iterator[LabelledImage]:
    folder = data / "fake" / name / "images" / split
    if not folder.is_dir():
        return
    masks = data / "fake" / name / "masks" / split
    for path in image_files(folder):
        yield LabelledImage(
            path,
            below(path, data),
            True,
            name,
            split,
            name,
            mask=(masks / path.relative_to(folder)).with_suffix(".png"),
            black_is_synthetic=name in BLACK_IS_SYNTHETIC,
        )
