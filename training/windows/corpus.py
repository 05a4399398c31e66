"""The corpus of windows: its manifest, the fixed folds of repositories, decoding.

A corpus is a folder with ``manifest.csv`` (one row per window: ``file``, ``label``, ``generator``, ``kind``,
``repo``, ``license`` ...) and the windows it names, each about 224..320 px a side. Where the whole image that
a window was cut from is at hand, the column ``original`` names its file in the same folder.
"""

from __future__ import annotations

import csv
import itertools
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.formats import supported_formats
from sidscan.training.common.pixels import Pixels

FOLDS = 5
_SAME_SCENES = {"zsyOAOA/VDNet": "BIDS/BSDS500"}  # CBSD68 is made of images of BSDS500: one fold for both
_SEED = 0  # of draws among windows


@dataclass(frozen=True)
class Window:
    """One row of the manifest."""

    file: str  # path below the corpus folder
    synthetic: bool
    category: str  # the generator of a synthetic window, the kind of a real one
    repo: str  # owner/name of the repository the image comes from
    licence: str  # as that repository states it
    corpus: Path = field(default=Path(), compare=False)  # the folder that holds it
    original: str = ""  # path of the whole image below the corpus folder; empty where it is not there


def read_corpora(corpora: Sequence[Path]) -> list[Window]:
    """All windows of several corpora, one corpus after the other."""
    return [window for corpus in corpora for window in read_manifest(corpus)]


def read_manifest(corpus: Path) -> list[Window]:
    """All windows of ``corpus/manifest.csv``, in its order.

    Raises:
        ValueError: a row's label is neither ``real`` nor ``synthetic``.
    """
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return [_window(row, corpus) for row in csv.DictReader(file)]


def _window(row: dict[str, str], corpus: Path) -> Window:
    if row["label"] not in ("real", "synthetic"):
        raise ValueError(f"{row['file']}: label {row['label']!r} is neither real nor synthetic")
    synthetic = row["label"] == "synthetic"
    category = row["generator"] if synthetic else row["kind"]
    original = row.get("original") or ""
    return Window(row["file"], synthetic, category, row["repo"], row["license"], corpus, original)


def fold_of_repo(windows: Iterable[Window]) -> dict[str, int]:
    """Deal whole repositories into ``FOLDS`` folds, reproducibly and without looking at any result.

    Each corpus is dealt by itself, so that a further corpus leaves earlier folds as they are. Repositories
    with synthetic windows come first, then the others. Each list is sorted by (windows descending, name) and
    dealt in a serpentine: 0 1 2 3 4 4 3 2 1 0 0 1 ... A repository with both labels is dealt once, as
    synthetic, so that it never lies in two folds. Repositories that show the same scenes share a fold.
    """
    corpora: dict[Path, list[Window]] = {}
    for window in windows:
        corpora.setdefault(window.corpus, []).append(window)
    folds: dict[str, int] = {}
    for members, synthetic in itertools.product(corpora.values(), (True, False)):
        counts = Counter(w.repo for w in members if w.synthetic is synthetic and w.repo not in folds)
        for rank, repo in enumerate(sorted(counts, key=lambda name: (-counts[name], name))):
            lap, position = divmod(rank, FOLDS)
            folds[repo] = position if lap % 2 == 0 else FOLDS - 1 - position
    return folds | {repo: folds[other] for repo, other in _SAME_SCENES.items() if {repo, other} <= set(folds)}


def sample_windows(windows: Sequence[Window], count: int, per_repository: int) -> list[Window]:
    """Up to ``count`` windows of each label, as even over repositories as possible.

    Every repository gives one window per round, and at most ``per_repository`` windows. A fixed seed decides
    which windows, and which repositories take part in the last round.
    """
    rng = np.random.default_rng(_SEED)
    sample: list[Window] = []
    for synthetic in (False, True):
        drawn: list[tuple[int, float, Window]] = []  # round, random rank within it, window
        for repo in sorted({w.repo for w in windows if w.synthetic is synthetic}):
            members = [w for w in windows if w.repo == repo and w.synthetic is synthetic]
            indices = rng.permutation(len(members))[:per_repository]
            drawn += [(turn, float(rng.random()), members[index]) for turn, index in enumerate(indices)]
        sample += [window for _, _, window in sorted(drawn, key=lambda entry: entry[:2])[:count]]
    return sample


def sample_by_repository(windows: Sequence[Window], count: int) -> list[Window]:
    """Up to ``count`` windows of every repository and label, in order.

    Checksums of names choose them, so further repositories leave the choice as it is.
    """
    groups: dict[tuple[str, bool], list[Window]] = {}
    for window in windows:
        groups.setdefault((window.repo, window.synthetic), []).append(window)
    chosen = {
        window
        for group in groups.values()
        for window in sorted(group, key=lambda window: (zlib.crc32(window.file.encode()), window.file))[
            :count
        ]
    }
    return [window for window in windows if window in chosen]


def synthetic_mask(windows: Sequence[Window]) -> NDArray[np.bool_]:
    """Which of the windows are synthetic, (windows,)."""
    return np.array([window.synthetic for window in windows])


def decode_window(window: Window) -> Pixels:
    """The window's pixels, (height, width, 3) uint8 RGB, as Pillow decodes them, not rotated."""
    return _decode(window.corpus / window.file)


def decode_original(window: Window) -> Pixels:
    """The pixels of the whole image that the window was cut from, likewise."""
    return _decode(window.corpus / window.original)


def _decode(path: Path) -> Pixels:
    """Palette images go through RGBA, so that transparency is flattened as in a scan."""
    supported_formats()  # makes Pillow read HEIC where pillow-heif is installed
    with Image.open(path) as image:
        return np.asarray((image.convert("RGBA") if image.mode in ("P", "PA") else image).convert("RGB"))
