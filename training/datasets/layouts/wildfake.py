"""WildFake (Hong et al., AAAI 2025): images by family and generator.

DATA/Images/Real/<source>/**                      without the folder Images, too
DATA/Images/<family>/<generator>/**               GAN_based, Diffusion_based, Others

Folders called train or test below a generator's say the part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.util.bibtex import Citation

from ..folders import below, entries, first_split, require_images, subfolders
from ..rows import LabelledImage, Wanted
from . import Layout, register

_REAL = "real"
_PAPER = Citation(
    key="hong2025wildfake",
    kind="inproceedings",
    title="WildFake: A Large-Scale and Hierarchical Dataset for AI-Generated Images Detection",
    authors=(
        *("Hong, Yan", "Feng, Jianming", "Chen, Haoxing", "Lan, Jun", "Zhu, Huijia", "Wang, Weiqiang"),
        "Zhang, Jianfu",
    ),
    year=2025,
    venue="Proceedings of the AAAI Conference on Artificial Intelligence",
    volume="39",
    number="4",
    pages="3500-3508",
    doi="10.1609/aaai.v39i4.32363",
    arxiv="2402.11843",
)


@register
class WildFake(Layout):
    """One set for each family of generators; the real images belong to all of them."""

    name = "wildfake"
    expected = "Images/Real/<source>, Images/Diffusion_based/<generator>, Images/GAN_based/<generator>"
    source = "Hong et al., AAAI 2025, arXiv 2402.11843"
    papers = (_PAPER,)

    def recognises(self, data: Path) -> bool:
        """By the folders of families."""
        return any(folder.name.casefold().endswith("_based") for folder in subfolders(_root(data)))

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """Real images, then family by family."""
        if not self.recognises(data):
            raise UsageError(
                f"{data} does not have the layout of WildFake",
                f"Expected {self.expected}; found {entries(data)}.",
            )
        families = sorted(subfolders(_root(data)), key=lambda folder: folder.name.casefold() != _REAL)
        for family in families:
            is_real = family.name.casefold() == _REAL
            if is_real or not wanted.sets or family.name in wanted.sets:
                for generator in subfolders(family):
                    yield from _images(data, family, generator, is_real)


def _images(data: Path, family: Path, generator: Path, is_real: bool) -> Iterator[LabelledImage]:
    for path in require_images(generator, f"the images of {family.name}/{generator.name}"):
        yield LabelledImage(
            path,
            below(path, data),
            not is_real,
            "" if is_real else family.name,
            first_split(path.relative_to(generator).parts[:-1]),
            "" if is_real else generator.name,
            generator.name if is_real else "",
        )


def _root(data: Path) -> Path:
    return data / "Images" if (data / "Images").is_dir() else data
