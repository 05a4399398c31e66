"""CNNDetection (Wang et al., CVPR 2020), with the diffusion sets that UFD added (Ojha et al., CVPR 2023).

DATA/train/<class>/{0_real,1_fake}/*                    ProGAN, 20 classes of LSUN; DATA/val likewise
DATA/test/<set>/{0_real,1_fake}/*                       without the folder test, too; some sets have classes
DATA/test/diffusion_datasets/<set>/1_fake/*             real images: imagenet/0_real, laion/0_real
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidscan.errors import UsageError
from sidscan.models.families.cnndet import CNNDETECTION_PAPER
from sidscan.models.families.ufd import UFD_PAPER
from sidscan.training.common.listing import is_ignored

from ..folders import below, entries, require_images, subfolders
from ..rows import SET_SEPARATOR, LabelledImage, StatedSplit, Wanted
from . import KnownSet, Layout, register

REAL, SYNTHETIC = "0_real", "1_fake"
_LABELS = ((REAL, False), (SYNTHETIC, True))
_PARTS: tuple[tuple[StatedSplit, str], ...] = (("train", "train"), ("valid", "val"))
_NO_CLASS = "Expected are DATA/train/<class>/0_real and DATA/train/<class>/1_fake, one folder per class."
_CLASSES = (
    f"{_NO_CLASS} --classes replaces the preset's classes; '--classes all' takes every class in DATA/train."
)
_IMAGENET, _LAION = "diffusion_datasets/imagenet", "diffusion_datasets/laion"


@dataclass(frozen=True, slots=True)
class _TestSet:
    """A published test set, and where its images lie.

    Attributes:
        shared_reals: the folder whose ``0_real`` holds the real images; empty: the set has its own.
        has_classes: whether class folders lie between the set's folder and ``0_real``, ``1_fake``.
    """

    known: KnownSet
    shared_reals: str = ""
    has_classes: bool = False

    @property
    def key(self) -> str:
        return self.known.key

    def folder(self, tests: Path) -> Path:
        """The folder of the synthetic images, whether it exists or not."""
        return tests / "diffusion_datasets" / self.key if self.shared_reals else tests / self.key


def _gan(key: str, title: str, family: str = "gan", has_classes: bool = False) -> _TestSet:
    return _TestSet(KnownSet(key, title, family), has_classes=has_classes)


def _diffusion(key: str, title: str, reals: str = _LAION) -> _TestSet:
    return _TestSet(KnownSet(key, title, "diffusion"), reals)


_TEST_SETS = (  # in the order of the tables of RINE's paper
    _gan("progan", "ProGAN", has_classes=True),
    _gan("stylegan", "StyleGAN", has_classes=True),
    _gan("stylegan2", "StyleGAN2", has_classes=True),
    _gan("biggan", "BigGAN"),
    _gan("cyclegan", "CycleGAN", has_classes=True),
    _gan("stargan", "StarGAN"),
    _gan("gaugan", "GauGAN"),
    _gan("deepfake", "Deepfake", "deepfake"),
    _gan("seeingdark", "SITD", "low-level"),
    _gan("san", "SAN", "low-level"),
    _gan("crn", "CRN", "perceptual"),
    _gan("imle", "IMLE", "perceptual"),
    _diffusion("guided", "Guided", _IMAGENET),
    _diffusion("ldm_200", "LDM 200 steps"),
    _diffusion("ldm_200_cfg", "LDM 200 w/ CFG"),
    _diffusion("ldm_100", "LDM 100 steps"),
    _diffusion("glide_100_27", "Glide 100-27"),
    _diffusion("glide_50_27", "Glide 50-27"),
    _diffusion("glide_100_10", "Glide 100-10"),
    _diffusion("dalle", "DALL-E"),
)


@register
class CNNDetection(Layout):
    """Training classes, and the 20 test sets of RINE's Table 2."""

    name = "cnndetection"
    expected = (
        "biggan/0_real, biggan/1_fake; progan/<class>/0_real, progan/<class>/1_fake; "
        "diffusion_datasets/ldm_200/1_fake with diffusion_datasets/laion/0_real; to train, "
        "train/<class>/0_real, train/<class>/1_fake"
    )
    source = "Wang et al., CVPR 2020; Ojha et al., CVPR 2023"
    papers = (CNNDETECTION_PAPER, UFD_PAPER)
    known_sets = tuple(test_set.known for test_set in _TEST_SETS)

    def recognises(self, data: Path) -> bool:
        """Whether a test set is there, or a class to train on."""
        return _has_tests(_tests_in(data)) or any(map(_is_class, subfolders(data / "train")))

    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """The classes and the test sets; what is there must be whole."""
        if wanted.split == "train":
            yield from _class_images(data, "train", "train", wanted.classes or class_folders(data))
            return
        for split, part in _PARTS:
            names = wanted.classes or [path.name for path in subfolders(data / part) if _is_class(path)]
            if wanted.split in ("", split) and names and _has_classes(data / part, names):
                yield from _class_images(data, split, part, names)
        if wanted.split in ("", "test"):
            yield from _test_images(data, _tests_in(data), wanted.sets)


def class_folders(data: Path) -> tuple[str, ...]:
    """Names of the class folders in ``data/train``, sorted.

    Raises:
        UsageError: ``data/train`` is missing or contains no folder.
    """
    names = tuple(path.name for path in subfolders(data / "train"))
    if not names:
        raise UsageError(f"{data / 'train'} contains no class folder", _NO_CLASS)
    return names


def check_classes(data: Path, classes: Iterable[str]) -> None:
    """Refuse a folder without these classes at once, without listing their images.

    Raises:
        UsageError: a folder of the training part is missing or contains no images.
    """
    for name in classes:
        for folder, _ in _LABELS:
            _require_any(data / "train" / name / folder)


def _class_images(
    data: Path, split: StatedSplit, part: str, classes: Iterable[str]
) -> Iterator[LabelledImage]:
    """Images of class folders, which lie directly in them; the set is called as the data's folder."""
    name_of_set = data.resolve().name
    for group in classes:
        for folder, synthetic in _LABELS:
            holder = data / part / group / folder
            _require_any(holder)
            for path in sorted(_direct_images(holder)):
                yield LabelledImage(path, below(path, data), synthetic, name_of_set, split, group=group)


def _require_any(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist", _CLASSES)
    if next(_direct_images(folder), None) is None:
        raise UsageError(f"{folder} contains no images", _CLASSES)


def _direct_images(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not is_ignored(path.name))


def _is_class(folder: Path) -> bool:
    return (folder / REAL).is_dir() or (folder / SYNTHETIC).is_dir()


def _has_classes(part: Path, classes: Iterable[str]) -> bool:
    return all((part / name).is_dir() for name in classes)


def _tests_in(data: Path) -> Path:
    return data / "test" if _has_tests(data / "test") else data


def _has_tests(tests: Path) -> bool:
    return any(test_set.folder(tests).is_dir() for test_set in _TEST_SETS)


def _test_images(data: Path, tests: Path, sets: Sequence[str]) -> Iterator[LabelledImage]:
    """Images of the test sets that are there; real images that sets share come with the first of them."""
    present = [one for one in _TEST_SETS if (not sets or one.key in sets) and one.folder(tests).is_dir()]
    seen: set[str] = set()
    for test_set in present:
        groups = _groups(tests, test_set)
        if reals := test_set.shared_reals:
            if reals not in seen:
                sharing = SET_SEPARATOR.join(one.key for one in present if one.shared_reals == reals)
                yield from _labelled(data, tests / reals / REAL, test_set, sharing, False, "")
                seen.add(reals)
        else:
            for group, folder in groups:
                yield from _labelled(data, folder / REAL, test_set, test_set.key, False, group)
        for group, folder in groups:
            yield from _labelled(data, folder / SYNTHETIC, test_set, test_set.key, True, group)


def _groups(tests: Path, test_set: _TestSet) -> list[tuple[str, Path]]:
    root = test_set.folder(tests)
    if not test_set.has_classes:
        return [("", root)]
    groups = [(folder.name, folder) for folder in subfolders(root)]
    if not groups:
        raise UsageError(
            f"{test_set.key} is empty: {root}",
            f"Expected {test_set.key}/<class>/{REAL}; found {entries(root)}.",
        )
    return groups


def _labelled(
    data: Path, folder: Path, test_set: _TestSet, sets: str, synthetic: bool, group: str
) -> Iterator[LabelledImage]:
    what = f"the {'synthetic' if synthetic else 'real'} images of {test_set.key}"
    generator = test_set.known.title if synthetic else ""
    for path in require_images(folder, what):
        yield LabelledImage(path, below(path, data), synthetic, sets, "test", generator, group)
