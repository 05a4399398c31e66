"""GenImage (Zhu et al., NeurIPS 2023): ImageNet's photographs, and images of its classes by eight generators.

DATA/[<generator>/]<folder>/{train,val}/{ai,nature}/*     <folder>: imagenet_ai_0419_sdv4, imagenet_glide ...

The paper tests on the folders ``val``, so they are the part ``test``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.util.bibtex import Citation

from ..folders import below, entries, require_images, subfolders
from ..rows import LabelledImage, StatedSplit, Wanted
from . import KnownSet, Layout, register

_PARTS: tuple[tuple[str, StatedSplit], ...] = (("train", "train"), ("val", "test"))
_LABELS = (("nature", False), ("ai", True))
_SETS = (  # key, title, what the folder's name ends in
    ("genimage-midjourney", "Midjourney", "midjourney"),
    ("genimage-sd14", "SD 1.4", "sdv4"),
    ("genimage-sd15", "SD 1.5", "sdv5"),
    ("genimage-adm", "ADM", "adm"),
    ("genimage-glide", "GLIDE", "glide"),
    ("genimage-wukong", "Wukong", "wukong"),
    ("genimage-vqdm", "VQDM", "vqdm"),
    ("genimage-biggan", "BigGAN", "biggan"),
)
_PAPER = Citation(
    key="zhu2023genimage",
    kind="inproceedings",
    title="GenImage: A Million-Scale Benchmark for Detecting AI-Generated Image",
    authors=(
        *("Zhu, Mingjian", "Chen, Hanting", "Yan, Qiangyu", "Huang, Xudong", "Lin, Guanyu", "Li, Wei"),
        *("Tu, Zhijun", "Hu, Hailin", "Hu, Jie", "Wang, Yunhe"),
    ),
    year=2023,
    venue="Advances in Neural Information Processing Systems",
    volume="36",
    pages="77771-77782",
    arxiv="2306.08571",
)


@register
class GenImage(Layout):
    """One set for each generator, each with its own real images."""

    name = "genimage"
    expected = (
        "imagenet_ai_0419_sdv4/train/ai, imagenet_ai_0419_sdv4/train/nature, .../val/ai, .../val/nature"
    )
    source = "Zhu et al., NeurIPS 2023"
    papers = (_PAPER,)
    known_sets = tuple(
        KnownSet(key, title, "gan" if end == "biggan" else "diffusion") for key, title, end in _SETS
    )

    def recognises(self, data: Path) -> bool:
        """Whether a folder of a generator is there."""
        return bool(_folders(data))

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """Set by set; real images first."""
        folders = _folders(data)
        if not folders:
            raise UsageError(
                f"{data} does not have the layout of GenImage",
                f"Expected {self.expected}; found {entries(data)}.",
            )
        for folder in folders:
            key, title = _set_of(folder.name)
            if wanted.sets and key not in wanted.sets:
                continue
            for part, split in _PARTS:
                if (folder / part).is_dir() and wanted.split in ("", split):
                    yield from _labelled(data, folder / part, key, title, split)


def _labelled(data: Path, part: Path, key: str, title: str, split: StatedSplit) -> Iterator[LabelledImage]:
    for name, synthetic in _LABELS:
        what = f"the {'synthetic' if synthetic else 'real'} images of {key}"
        for path in require_images(part / name, what):
            generator = title if synthetic else ""
            yield LabelledImage(path, below(path, data), synthetic, key, split, generator)


def _folders(data: Path) -> list[Path]:
    """The folders with ``train`` and ``val``, here or one level down, in the order of the paper's tables."""
    here = subfolders(data)
    found = [folder for each in here for folder in (each, *subfolders(each)) if _is_set(folder)]
    order = [key for key, _, _ in _SETS]
    return sorted(found, key=lambda folder: _place(order, _set_of(folder.name)[0]))


def _place(order: list[str], key: str) -> tuple[int, str]:
    return (order.index(key) if key in order else len(order), key)


def _is_set(folder: Path) -> bool:
    return any((folder / part / "ai").is_dir() and (folder / part / "nature").is_dir() for part, _ in _PARTS)


def _set_of(name: str) -> tuple[str, str]:
    """Key and title of a folder's set; a generator of your own keeps the folder's name."""
    ends = (one for one in _SETS if name.casefold().endswith(one[2]))
    key, title, _ = next(ends, (name, name, ""))
    return key, title
