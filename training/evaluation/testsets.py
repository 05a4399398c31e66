"""Labelled test sets: CNNDetection's 20 and Synthbuster in their published layouts, and pairs of folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidscan.errors import UsageError
from sidscan.training.common.listing import is_ignored

TestSetLayout = Literal["cnndetection", "synthbuster", "pair"]

_REAL_FOLDER, _SYNTHETIC_FOLDER = "0_real", "1_fake"  # of the published layout
_RAISE_FOLDER = "RAISEpng"  # Synthbuster's real images
_PAIR_KEY = "pair"
_MAX_LISTED = 12  # entries of a folder that a message lists


@dataclass(frozen=True, slots=True)
class TestSetSpec:
    """A published test set: what it is called, and where its images lie.

    Attributes:
        key: the folder name in the authors' code, without ``diffusion_datasets/``.
        title: the column title, as in the paper's Table 2.
        family: ``gan``, ``deepfake``, ``low-level``, ``perceptual`` or ``diffusion``.
        shared_reals: the folder whose ``0_real`` holds the real images; empty: the set has its own.
        has_classes: whether class folders lie between the set's folder and ``0_real``, ``1_fake``.
    """

    __test__ = False  # keeps pytest from collecting it

    key: str
    title: str
    family: str
    shared_reals: str = ""
    has_classes: bool = False


_IMAGENET, _LAION = "diffusion_datasets/imagenet", "diffusion_datasets/laion"
CNNDETECTION = (  # in the order of the paper's tables
    TestSetSpec("progan", "ProGAN", "gan", has_classes=True),
    TestSetSpec("stylegan", "StyleGAN", "gan", has_classes=True),
    TestSetSpec("stylegan2", "StyleGAN2", "gan", has_classes=True),
    TestSetSpec("biggan", "BigGAN", "gan"),
    TestSetSpec("cyclegan", "CycleGAN", "gan", has_classes=True),
    TestSetSpec("stargan", "StarGAN", "gan"),
    TestSetSpec("gaugan", "GauGAN", "gan"),
    TestSetSpec("deepfake", "Deepfake", "deepfake"),
    TestSetSpec("seeingdark", "SITD", "low-level"),
    TestSetSpec("san", "SAN", "low-level"),
    TestSetSpec("crn", "CRN", "perceptual"),
    TestSetSpec("imle", "IMLE", "perceptual"),
    TestSetSpec("guided", "Guided", "diffusion", _IMAGENET),
    TestSetSpec("ldm_200", "LDM 200 steps", "diffusion", _LAION),
    TestSetSpec("ldm_200_cfg", "LDM 200 w/ CFG", "diffusion", _LAION),
    TestSetSpec("ldm_100", "LDM 100 steps", "diffusion", _LAION),
    TestSetSpec("glide_100_27", "Glide 100-27", "diffusion", _LAION),
    TestSetSpec("glide_50_27", "Glide 50-27", "diffusion", _LAION),
    TestSetSpec("glide_100_10", "Glide 100-10", "diffusion", _LAION),
    TestSetSpec("dalle", "DALL-E", "diffusion", _LAION),
)
SYNTHBUSTER = (
    TestSetSpec("dalle2", "DALL-E 2", "diffusion"),
    TestSetSpec("dalle3", "DALL-E 3", "diffusion"),
    TestSetSpec("stable-diffusion-1-3", "SD 1.3", "diffusion"),
    TestSetSpec("stable-diffusion-1-4", "SD 1.4", "diffusion"),
    TestSetSpec("stable-diffusion-2", "SD 2", "diffusion"),
    TestSetSpec("stable-diffusion-xl", "SDXL", "diffusion"),
    TestSetSpec("glide", "Glide", "diffusion"),
    TestSetSpec("firefly", "Firefly", "diffusion"),
    TestSetSpec("midjourney-v5", "Midjourney v5", "diffusion"),
)
TEST_SET_SPECS: dict[TestSetLayout, tuple[TestSetSpec, ...]] = {
    "cnndetection": CNNDETECTION,
    "synthbuster": SYNTHBUSTER,
    "pair": (TestSetSpec(_PAIR_KEY, "Pair", "other"),),
}
_BY_KEY = {spec.key: spec for specs in TEST_SET_SPECS.values() for spec in specs}
_EXPECTED = {
    "cnndetection": "biggan/0_real, biggan/1_fake; progan/<class>/0_real, progan/<class>/1_fake; "
    "diffusion_datasets/ldm_200/1_fake with diffusion_datasets/laion/0_real",
    "synthbuster": "RAISEpng/*.png, synthbuster/dalle2/*.png",
}


@dataclass(frozen=True, slots=True)
class TestImage:
    """A labelled image of a test set.

    Attributes:
        path: where the file is.
        name: the path below the tests' folder, with ``/``; the same on every machine.
        synthetic: the label.
        group: the class folder, or empty.
    """

    __test__ = False  # keeps pytest from collecting it

    path: Path
    name: str
    synthetic: bool
    group: str = ""


@dataclass(frozen=True)
class TestSet:
    """A test set that is on this machine. Its real images come first; each label is sorted by name."""

    __test__ = False  # keeps pytest from collecting it

    key: str
    images: tuple[TestImage, ...]


@dataclass(frozen=True)
class TestSetCollection:
    """All test sets in a folder.

    Attributes:
        missing: keys of sets that the layout has, or that were asked for, and that the folder lacks.
    """

    __test__ = False  # keeps pytest from collecting it

    layout: TestSetLayout
    sets: tuple[TestSet, ...]
    missing: tuple[str, ...]


def title_of_set(key: str) -> str:
    """The name of a set in tables: its published title, else its key."""
    return _BY_KEY[key].title if key in _BY_KEY else key


def family_of_set(key: str) -> str:
    """The family of generators that made a set's images; ``other`` for a set that was not published."""
    return _BY_KEY[key].family if key in _BY_KEY else "other"


def find_test_sets(
    tests: Path, layout: Literal["auto"] | TestSetLayout = "auto", only: Sequence[str] = ()
) -> TestSetCollection:
    """The test sets below ``tests``, in published order.

    A set that is absent is named in ``missing``. A set that is present must be complete.

    Raises:
        UsageError: no set is present, one of ``only`` is absent, or a set has an empty or missing class.
    """
    if not tests.is_dir():
        raise UsageError(f"no such folder: {tests}", "Name the folder that holds the test sets.")
    chosen = _recognise(tests) if layout == "auto" else layout
    specs = _select_specs(chosen, only)
    present = [spec for spec in specs if _synthetic_root(tests, chosen, spec).is_dir()]
    missing = tuple(spec.key for spec in specs if spec not in present)
    if (only and missing) or not present:
        what = f"not below {tests}: {', '.join(missing)}"
        raise UsageError(what, f"Expected {_EXPECTED[chosen]}; found {_entries(tests)}.")
    collect = _collect_synthbuster if chosen == "synthbuster" else _collect_cnndetection
    sets = tuple(TestSet(spec.key, collect(tests, spec)) for spec in present)
    return TestSetCollection(chosen, sets, missing)


def pair_of_folders(real: Path, synthetic: Path) -> TestSetCollection:
    """A single test set made of two folders and everything below them.

    Raises:
        UsageError: a folder does not exist or holds no image, or one folder lies within the other.
    """
    first, second = real.resolve(), synthetic.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise UsageError(f"{real} and {synthetic} overlap", "An image can't be real and synthetic.")
    images = [
        TestImage(path, f"{label}/{path.relative_to(folder).as_posix()}", label == "synthetic")
        for label, folder in (("real", real), ("synthetic", synthetic))
        for path in _image_paths(folder, f"the {label} images")
    ]
    return TestSetCollection("pair", (TestSet(_PAIR_KEY, tuple(images)),), ())


def parse_set_keys(values: Iterable[str]) -> tuple[str, ...]:
    """``("a,b", "c")`` -> ``("a", "b", "c")``; each key may begin with the folder ``diffusion_datasets/``."""
    keys = [key.strip().removeprefix("diffusion_datasets/") for value in values for key in value.split(",")]
    return tuple(dict.fromkeys(key for key in keys if key))


def _recognise(tests: Path) -> TestSetLayout:
    if (tests / _RAISE_FOLDER).is_dir():
        return "synthbuster"
    if any(_synthetic_root(tests, "cnndetection", spec).is_dir() for spec in CNNDETECTION):
        return "cnndetection"
    raise UsageError(
        f"no known test set lies directly below {tests}, which holds {_entries(tests)}",
        f"Expected {_EXPECTED['cnndetection']}; or {_EXPECTED['synthbuster']}; "
        "or name two folders with --real and --synthetic.",
    )


def _select_specs(layout: TestSetLayout, only: Sequence[str]) -> tuple[TestSetSpec, ...]:
    specs = TEST_SET_SPECS[layout]
    unknown = [key for key in only if key not in {spec.key for spec in specs}]
    if unknown:
        known = ", ".join(spec.key for spec in specs)
        raise UsageError(f"no test set of {layout} is called {', '.join(unknown)}", f"Choose among {known}.")
    return tuple(spec for spec in specs if not only or spec.key in only)


def _synthetic_root(tests: Path, layout: TestSetLayout, spec: TestSetSpec) -> Path:
    """The folder that holds a set's synthetic images, whether it exists or not."""
    if layout == "synthbuster":
        nested = tests / "synthbuster"
        return (nested if nested.is_dir() else tests) / spec.key
    return tests / "diffusion_datasets" / spec.key if spec.shared_reals else tests / spec.key


def _collect_cnndetection(tests: Path, spec: TestSetSpec) -> tuple[TestImage, ...]:
    root = _synthetic_root(tests, "cnndetection", spec)
    groups = [("", root)]
    if spec.has_classes:
        groups = [
            (folder.name, folder)
            for folder in sorted(root.iterdir())
            if folder.is_dir() and not is_ignored(folder.name)
        ]
        if not groups:
            raise UsageError(f"{spec.key} is empty: {root}", f"Expected {spec.key}/<class>/{_REAL_FOLDER}.")
    images: dict[bool, list[TestImage]] = {False: [], True: []}
    for group, folder in groups:
        real = tests / spec.shared_reals / _REAL_FOLDER if spec.shared_reals else folder / _REAL_FOLDER
        for synthetic, side in ((False, real), (True, folder / _SYNTHETIC_FOLDER)):
            images[synthetic] += _labelled_images(tests, spec.key, side, synthetic, group)
    return (*images[False], *images[True])


def _collect_synthbuster(tests: Path, spec: TestSetSpec) -> tuple[TestImage, ...]:
    synthetic_root = _synthetic_root(tests, "synthbuster", spec)
    return (
        *_labelled_images(tests, spec.key, tests / _RAISE_FOLDER, synthetic=False),
        *_labelled_images(tests, spec.key, synthetic_root, synthetic=True),
    )


def _labelled_images(
    tests: Path, key: str, folder: Path, synthetic: bool, group: str = ""
) -> list[TestImage]:
    paths = _image_paths(folder, f"the {'synthetic' if synthetic else 'real'} images of {key}")
    return [TestImage(path, path.relative_to(tests).as_posix(), synthetic, group) for path in paths]


def _image_paths(folder: Path, what: str) -> list[Path]:
    if not folder.is_dir():
        near = folder.parent if folder.parent.is_dir() else folder.parent.parent
        raise UsageError(f"{what} are missing: expected {folder}", f"{near} holds {_entries(near)}.")
    paths = sorted(_walk(folder))
    if not paths:
        raise UsageError(
            f"{what} are missing: no image in {folder}",
            f"It holds {_entries(folder)}. Leave a set out with --sets.",
        )
    return paths


def _walk(folder: Path) -> Iterator[Path]:
    """All files, except hidden ones and those whose name shows that they are not images."""

    def refuse(error: OSError) -> None:
        raise UsageError(f"can't list {error.filename}: {error.strerror}") from error

    for root, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_ignored(name)]
        yield from (Path(root, name) for name in files if not is_ignored(name))


def _entries(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more if names else "nothing"
