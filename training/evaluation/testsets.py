"""Labelled test sets: CNNDetection's 20 and Synthbuster as their authors lay them out, and folder pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sidscan.errors import UsageError
from sidscan.training.common.listing import is_ignored

Layout = Literal["cnndetection", "synthbuster", "pair"]

REAL, SYNTHETIC = "0_real", "1_fake"  # folder names of the published layout
RAISE = "RAISEpng"  # Synthbuster's real pictures
PAIR = "pair"
_SHOWN = 12  # entries of a folder that a message lists


@dataclass(frozen=True, slots=True)
class Kind:
    """One published test set.

    Attributes:
        key: folder as the authors' code calls it, without ``diffusion_datasets/``.
        title: column title, as in the paper's Table 2.
        family: ``gan``, ``deepfake``, ``low-level``, ``perceptual`` or ``diffusion``.
        reals: folder whose ``0_real`` holds the real pictures; empty: the set's own.
        classes: whether class folders lie between the set's folder and ``0_real``, ``1_fake``.
    """

    key: str
    title: str
    family: str
    reals: str = ""
    classes: bool = False


_IMAGENET, _LAION = "diffusion_datasets/imagenet", "diffusion_datasets/laion"
CNNDETECTION = (  # in the order of the paper's tables
    Kind("progan", "ProGAN", "gan", classes=True),
    Kind("stylegan", "StyleGAN", "gan", classes=True),
    Kind("stylegan2", "StyleGAN2", "gan", classes=True),
    Kind("biggan", "BigGAN", "gan"),
    Kind("cyclegan", "CycleGAN", "gan", classes=True),
    Kind("stargan", "StarGAN", "gan"),
    Kind("gaugan", "GauGAN", "gan"),
    Kind("deepfake", "Deepfake", "deepfake"),
    Kind("seeingdark", "SITD", "low-level"),
    Kind("san", "SAN", "low-level"),
    Kind("crn", "CRN", "perceptual"),
    Kind("imle", "IMLE", "perceptual"),
    Kind("guided", "Guided", "diffusion", _IMAGENET),
    Kind("ldm_200", "LDM 200 steps", "diffusion", _LAION),
    Kind("ldm_200_cfg", "LDM 200 w/ CFG", "diffusion", _LAION),
    Kind("ldm_100", "LDM 100 steps", "diffusion", _LAION),
    Kind("glide_100_27", "Glide 100-27", "diffusion", _LAION),
    Kind("glide_50_27", "Glide 50-27", "diffusion", _LAION),
    Kind("glide_100_10", "Glide 100-10", "diffusion", _LAION),
    Kind("dalle", "DALL-E", "diffusion", _LAION),
)
SYNTHBUSTER = (
    Kind("dalle2", "DALL-E 2", "diffusion"),
    Kind("dalle3", "DALL-E 3", "diffusion"),
    Kind("stable-diffusion-1-3", "SD 1.3", "diffusion"),
    Kind("stable-diffusion-1-4", "SD 1.4", "diffusion"),
    Kind("stable-diffusion-2", "SD 2", "diffusion"),
    Kind("stable-diffusion-xl", "SDXL", "diffusion"),
    Kind("glide", "Glide", "diffusion"),
    Kind("firefly", "Firefly", "diffusion"),
    Kind("midjourney-v5", "Midjourney v5", "diffusion"),
)
KINDS: dict[Layout, tuple[Kind, ...]] = {
    "cnndetection": CNNDETECTION,
    "synthbuster": SYNTHBUSTER,
    "pair": (Kind(PAIR, "Pair", "other"),),
}
_BY_KEY = {kind.key: kind for kinds in KINDS.values() for kind in kinds}
_EXPECTED = {
    "cnndetection": "biggan/0_real, biggan/1_fake; progan/<class>/0_real, progan/<class>/1_fake; "
    "diffusion_datasets/ldm_200/1_fake with diffusion_datasets/laion/0_real",
    "synthbuster": "RAISEpng/*.png, synthbuster/dalle2/*.png",
}


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled picture of one test set.

    Attributes:
        path: where it is.
        name: the path below the tests' folder, with ``/``; the same on every machine.
        synthetic: the label.
        group: class folder, or empty.
    """

    path: Path
    name: str
    synthetic: bool
    group: str = ""


@dataclass(frozen=True)
class TestSet:
    """A test set that is there, its real pictures first, sorted by name."""

    __test__ = False  # the name is the field's; pytest need not look

    key: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Found:
    """What lies in a tests folder.

    Attributes:
        missing: keys of the layout's (or of the asked) sets that are not there.
    """

    layout: Layout
    sets: tuple[TestSet, ...]
    missing: tuple[str, ...]


def title(key: str) -> str:
    """How tables call a set; its key where it is not a published one."""
    return _BY_KEY[key].title if key in _BY_KEY else key


def family(key: str) -> str:
    """Family of generators a set belongs to; ``other`` where it is not a published one."""
    return _BY_KEY[key].family if key in _BY_KEY else "other"


def find(tests: Path, layout: Literal["auto"] | Layout = "auto", only: Sequence[str] = ()) -> Found:
    """The test sets below ``tests``, in published order.

    Sets that are not there are named in ``missing``; one that is there must be whole.

    Raises:
        UsageError: no set is there, one of ``only`` is not, or one has an empty or missing class.
    """
    if not tests.is_dir():
        raise UsageError(f"no such folder: {tests}", "Name the folder that holds the test sets.")
    chosen = _recognise(tests) if layout == "auto" else layout
    kinds = _asked(chosen, only)
    there = [kind for kind in kinds if _folder(tests, chosen, kind).is_dir()]
    missing = tuple(kind.key for kind in kinds if kind not in there)
    if (only and missing) or not there:
        what = f"not below {tests}: {', '.join(missing)}"
        raise UsageError(what, f"Expected {_EXPECTED[chosen]}; found {_entries(tests)}.")
    collect = _synthbuster if chosen == "synthbuster" else _cnndetection
    return Found(chosen, tuple(TestSet(kind.key, collect(tests, kind)) for kind in there), missing)


def pair(real: Path, synthetic: Path) -> Found:
    """One test set of two folders, looked through with all their folders.

    Raises:
        UsageError: one of them does not exist or holds no picture, or one lies within the other.
    """
    one, other = real.resolve(), synthetic.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UsageError(f"{real} and {synthetic} overlap", "A picture can't be real and synthetic.")
    examples = [
        Example(path, f"{label}/{_below(path, folder)}", label == "synthetic")
        for label, folder in (("real", real), ("synthetic", synthetic))
        for path in _pictures(folder, f"the {label} pictures")
    ]
    return Found("pair", (TestSet(PAIR, tuple(examples)),), ())


def _recognise(tests: Path) -> Layout:
    if (tests / RAISE).is_dir():
        return "synthbuster"
    if any(_folder(tests, "cnndetection", kind).is_dir() for kind in CNNDETECTION):
        return "cnndetection"
    raise UsageError(
        f"no known test set lies directly below {tests}, which holds {_entries(tests)}",
        f"Expected {_EXPECTED['cnndetection']}; or {_EXPECTED['synthbuster']}; "
        "or name two folders with --real and --synthetic.",
    )


def _asked(layout: Layout, only: Sequence[str]) -> tuple[Kind, ...]:
    kinds = KINDS[layout]
    unknown = [key for key in only if key not in {kind.key for kind in kinds}]
    if unknown:
        known = ", ".join(kind.key for kind in kinds)
        raise UsageError(f"no test set of {layout} is called {', '.join(unknown)}", f"Choose among {known}.")
    return tuple(kind for kind in kinds if not only or kind.key in only)


def _folder(tests: Path, layout: Layout, kind: Kind) -> Path:
    """Where a set's synthetic pictures are, or would be."""
    if layout == "synthbuster":
        nested = tests / "synthbuster"
        return (nested if nested.is_dir() else tests) / kind.key
    return tests / "diffusion_datasets" / kind.key if kind.reals else tests / kind.key


def _cnndetection(tests: Path, kind: Kind) -> tuple[Example, ...]:
    folder = _folder(tests, "cnndetection", kind)
    places = [("", folder)]
    if kind.classes:
        places = [(place.name, place) for place in _folders(folder)]
        if not places:
            raise UsageError(f"{kind.key} is empty: {folder}", f"Expected {kind.key}/<class>/{REAL}.")
    sides: dict[bool, list[Example]] = {False: [], True: []}
    for group, place in places:
        real = tests / kind.reals / REAL if kind.reals else place / REAL
        for synthetic, side in ((False, real), (True, place / SYNTHETIC)):
            sides[synthetic] += _examples(tests, kind.key, side, synthetic, group)
    return (*sides[False], *sides[True])


def _synthbuster(tests: Path, kind: Kind) -> tuple[Example, ...]:
    return (
        *_examples(tests, kind.key, tests / RAISE, synthetic=False),
        *_examples(tests, kind.key, _folder(tests, "synthbuster", kind), synthetic=True),
    )


def _examples(tests: Path, key: str, folder: Path, synthetic: bool, group: str = "") -> list[Example]:
    pictures = _pictures(folder, f"the {'synthetic' if synthetic else 'real'} pictures of {key}")
    return [Example(path, _below(path, tests), synthetic, group) for path in pictures]


def _pictures(folder: Path, what: str) -> list[Path]:
    if not folder.is_dir():
        near = folder.parent if folder.parent.is_dir() else folder.parent.parent
        raise UsageError(f"{what} are missing: expected {folder}", f"{near} holds {_entries(near)}.")
    found = sorted(_walk(folder))
    if not found:
        raise UsageError(
            f"{what} are missing: no picture in {folder}",
            f"It holds {_entries(folder)}. Leave a set out with --sets.",
        )
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Files but hidden ones and those that by their name are no pictures."""

    def refuse(error: OSError) -> None:
        raise UsageError(f"can't list {error.filename}: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_ignored(name)]
        yield from (Path(place, name) for name in files if not is_ignored(name))


def _folders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir() and not is_ignored(place.name))


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _entries(folder: Path) -> str:
    names = sorted(place.name for place in folder.iterdir()) if folder.is_dir() else []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "nothing"


def parse_keys(text: Iterable[str]) -> tuple[str, ...]:
    """``("a,b", "c")`` -> ``("a", "b", "c")``; the folder name ``diffusion_datasets/`` may stand before."""
    keys = [key.strip().removeprefix("diffusion_datasets/") for part in text for key in part.split(",")]
    return tuple(dict.fromkeys(key for key in keys if key))
