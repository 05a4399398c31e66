"""Folders of real and of synthetic images side by side: Chameleon (Yan et al., ICLR 2025), CIFAKE, WildRF ...

DATA/[test/][<set>/ ...]{0_real,1_fake}/**          or {real,fake}, {REAL,FAKE}, {nature,ai}, {real,synthetic}

Folders called train, val, valid or test say the part; the others above the labels are the set's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sidscan.errors import UsageError
from sidscan.util.bibtex import Citation

from ..folders import below, entries, first_split, require_images, split_of_folder, subfolders
from ..rows import LabelledImage, Wanted
from . import Layout, register

_REAL = ("0_real", "real", "nature")
_SYNTHETIC = ("1_fake", "fake", "ai", "synthetic")
_DEPTH = 4  # folders between the data set's and those of the labels
_PAPER = Citation(
    key="yan2025sanity",
    kind="inproceedings",
    title="A Sanity Check for AI-generated Image Detection",
    authors=(
        *("Yan, Shilin", "Li, Ouxiang", "Cai, Jiayin", "Hao, Yanbin", "Jiang, Xiaolong", "Hu, Yao"),
        "Xie, Weidi",
    ),
    year=2025,
    venue="International Conference on Learning Representations (ICLR)",
    arxiv="2406.19435",
)


class LabelFolder(NamedTuple):
    """A folder of images with one label.

    Attributes:
        above: names of the folders between the data set's and this one.
    """

    folder: Path
    synthetic: bool
    above: tuple[str, ...]


@register
class Chameleon(Layout):
    """Labels are names of folders; nothing says which generator made an image."""

    name = "chameleon"
    expected = "test/0_real, test/1_fake; or real, fake; or <set>/real, <set>/fake"
    source = "Yan et al., ICLR 2025"
    papers = (_PAPER,)

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:  # noqa: ARG002
        """Set by set and part by part; real images first."""
        for one in require_label_folders(data, self.expected):
            split = first_split(one.above)
            name_of_set = "/".join(name for name in one.above if not split_of_folder(name))
            for path in require_images(one.folder, f"the images in {one.folder.name}"):
                yield LabelledImage(
                    path, below(path, data), one.synthetic, name_of_set or data.resolve().name, split
                )


def require_label_folders(data: Path, expected: str) -> list[LabelFolder]:
    """All folders of a label below a folder; of siblings the real one comes first.

    Raises:
        UsageError: there are none, or only of one label.
    """
    found = list(_label_folders(data, ()))
    if len({one.synthetic for one in found}) < 2:
        raise UsageError(
            f"{data} has no folders of real and of synthetic images",
            f"Expected {expected}; found {entries(data)}.",
        )
    return found


def _label_folders(folder: Path, above: tuple[str, ...]) -> Iterator[LabelFolder]:
    here = subfolders(folder)
    for names, synthetic in ((_REAL, False), (_SYNTHETIC, True)):
        yield from (LabelFolder(each, synthetic, above) for each in here if each.name.casefold() in names)
    if len(above) < _DEPTH:
        for each in here:
            if each.name.casefold() not in (*_REAL, *_SYNTHETIC):
                yield from _label_folders(each, (*above, each.name))
