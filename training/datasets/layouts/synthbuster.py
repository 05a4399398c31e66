"""Synthbuster (Bammey, 2023): nine generators, with photographs of RAISE-1k as real images.

DATA/synthbuster/<generator>/*      or DATA/<generator>/*
DATA/RAISEpng/*                     real, for all of them
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.util.bibtex import Citation

from ..folders import below, require_images
from ..rows import SET_SEPARATOR, LabelledImage, Wanted
from . import KnownSet, Layout, register

_REALS = "RAISEpng"
_PAPERS = (
    Citation(
        key="bammey2024synthbuster",
        kind="article",
        title="Synthbuster: Towards Detection of Diffusion Model Generated Images",
        authors=("Bammey, Quentin",),
        year=2024,
        venue="IEEE Open Journal of Signal Processing",
        volume="5",
        pages="1-9",
        doi="10.1109/OJSP.2023.3337714",
    ),
    Citation(
        key="dangnguyen2015raise",
        kind="inproceedings",
        title="RAISE: A Raw Images Dataset for Digital Image Forensics",
        authors=("Dang-Nguyen, Duc-Tien", "Pasquini, Cecilia", "Conotter, Valentina", "Boato, Giulia"),
        year=2015,
        venue="Proceedings of the 6th ACM Multimedia Systems Conference",
        pages="219-224",
        doi="10.1145/2713168.2713194",
    ),
)


@register
class Synthbuster(Layout):
    """One set for each generator."""

    name = "synthbuster"
    expected = "RAISEpng/*.png, synthbuster/dalle2/*.png"
    source = "Bammey, IEEE Open Journal of Signal Processing 2023"
    papers = _PAPERS
    known_sets = tuple(
        KnownSet(key, title, "diffusion")
        for key, title in (
            ("dalle2", "DALL-E 2"),
            ("dalle3", "DALL-E 3"),
            ("stable-diffusion-1-3", "SD 1.3"),
            ("stable-diffusion-1-4", "SD 1.4"),
            ("stable-diffusion-2", "SD 2"),
            ("stable-diffusion-xl", "SDXL"),
            ("glide", "Glide"),
            ("firefly", "Firefly"),
            ("midjourney-v5", "Midjourney v5"),
        )
    )

    def recognises(self, data: Path) -> bool:
        """By the folder of the real images."""
        return (data / _REALS).is_dir()

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """The real images once, then each generator's; all are for tests."""
        nested = data / "synthbuster"
        root = nested if nested.is_dir() else data
        wants = [known for known in self.known_sets if not wanted.sets or known.key in wanted.sets]
        present = [known for known in wants if (root / known.key).is_dir()]
        if not present:
            return
        sharing = SET_SEPARATOR.join(known.key for known in present)
        for path in require_images(data / _REALS, f"the real images of {present[0].key}"):
            yield LabelledImage(path, below(path, data), False, sharing, "test")
        for known in present:
            for path in require_images(root / known.key, f"the synthetic images of {known.key}"):
                yield LabelledImage(path, below(path, data), True, known.key, "test", known.title)
