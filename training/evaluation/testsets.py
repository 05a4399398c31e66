"""Test sets: the sets of a labelled data set, each with its real images, and pairs of folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.training.datasets.folders import require_images
from sidscan.training.datasets.layouts import KnownSet, all_layouts
from sidscan.training.datasets.reading import AUTO, choose_layout, read_data_set
from sidscan.training.datasets.rows import LabelledImage, Split, Wanted, require_part

_PAIR = KnownSet("pair", "Pair", "other")
_FIRST = ("cnndetection", "synthbuster")  # layouts, in the order of tables; the others follow by name


@dataclass(frozen=True)
class TestSet:
    """A test set that is on this machine. Its real images come first."""

    __test__ = False  # keeps pytest from collecting it

    key: str
    images: tuple[LabelledImage, ...]


@dataclass(frozen=True)
class TestSetCollection:
    """All test sets of a data set.

    Attributes:
        layout: how it lies (`datasets.layouts`), or ``pair``.
        missing: keys of published sets of the layout that it lacks.
    """

    __test__ = False  # keeps pytest from collecting it

    layout: str
    sets: tuple[TestSet, ...]
    missing: tuple[str, ...]


def published_layouts() -> list[tuple[KnownSet, ...]]:
    """The published sets of each layout that has some, in the order of tables."""
    layouts = sorted(all_layouts().values(), key=lambda each: each.name not in _FIRST)
    return [layout.known_sets for layout in layouts if layout.known_sets]


@cache
def _by_key() -> dict[str, KnownSet]:
    known = {_PAIR.key: _PAIR}
    for sets in published_layouts():
        for one_set in sets:
            known.setdefault(one_set.key, one_set)
    return known


def title_of_set(key: str) -> str:
    """The name of a set in tables: its published title, else its key."""
    return _by_key()[key].title if key in _by_key() else key


def family_of_set(key: str) -> str:
    """The family of generators that made a set's images; ``other`` for a set that was not published."""
    return _by_key()[key].family if key in _by_key() else "other"


def find_test_sets(
    data: Path, layout: str = AUTO, only: Sequence[str] = (), part: Split = "test"
) -> TestSetCollection:
    """The sets of a part of a data set, in the order of its layout.

    A published set that is absent is named in ``missing``. A set that is present must have real and synthetic
    images.

    Raises:
        UsageError: the data set has another layout, lacks one of ``only`` or the part, or a set has images of
            one label only.
    """
    chosen = choose_layout(data, layout)
    images = read_data_set(data, chosen.name, Wanted(sets=tuple(only), split=part))
    sets = _sets(require_part(images, part, data), data, only)
    keys = {one_set.key for one_set in sets}
    missing = () if only else tuple(known.key for known in chosen.known_sets if known.key not in keys)
    return TestSetCollection(chosen.name, sets, missing)


def pair_of_folders(real: Path, synthetic: Path) -> TestSetCollection:
    """A single test set made of two folders and everything below them.

    Raises:
        UsageError: a folder does not exist or holds no image, or one folder lies within the other.
    """
    first, second = real.resolve(), synthetic.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise UsageError(f"{real} and {synthetic} overlap", "An image can't be real and synthetic.")
    images = [
        LabelledImage(path, f"{label}/{path.relative_to(folder).as_posix()}", label == "synthetic")
        for label, folder in (("real", real), ("synthetic", synthetic))
        for path in require_images(folder, f"the {label} images", f"Name another folder with --{label}.")
    ]
    return TestSetCollection(_PAIR.key, (TestSet(_PAIR.key, tuple(images)),), ())


def parse_set_keys(values: Iterable[str]) -> tuple[str, ...]:
    """``("a,b", "c")`` -> ``("a", "b", "c")``; each key may begin with the folder ``diffusion_datasets/``."""
    keys = [key.strip().removeprefix("diffusion_datasets/") for value in values for key in value.split(",")]
    return tuple(dict.fromkeys(key for key in keys if key))


def _sets(images: Sequence[LabelledImage], data: Path, only: Sequence[str]) -> tuple[TestSet, ...]:
    """Images by set; real images without a set belong to all, synthetic ones to a set called as the data."""
    members: dict[str, list[LabelledImage]] = {}
    for image in images:
        for key in image.sets or ((data.stem,) if image.synthetic else ()):
            members.setdefault(key, []).append(image)
    shared = [image for image in images if image.is_real and not image.set]
    chosen = [key for key in members if not only or key in only] or [data.stem]
    return tuple(_set(key, [*shared, *members.get(key, ())], data) for key in chosen)


def _set(key: str, images: Sequence[LabelledImage], data: Path) -> TestSet:
    real = [image for image in images if image.is_real]
    synthetic = [image for image in images if image.synthetic]
    if not real or not synthetic:
        lacking = "synthetic" if real else "real"
        raise UsageError(
            f"the set {key} of {data} has no {lacking} image",
            "Add some, or choose other sets with --sets. Real images without a set belong to all sets.",
        )
    return TestSet(key, (*real, *synthetic))
