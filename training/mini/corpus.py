"""The corpus of windows: its manifest, the fixed folds of repositories, decoding.

A corpus is a folder with ``manifest.csv`` (one row per window: ``file``, ``label``, ``generator``, ``kind``,
``repo``, ``license`` ...) and the windows it names, each about 224..320 px a side.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""A decoded picture: (height, width, 3), RGB."""

FOLDS = 5
SEED = 0  # of draws among windows


@dataclass(frozen=True)
class Window:
    """One row of the manifest."""

    file: str  # path below the corpus folder
    synthetic: bool
    source: str  # the generator of a synthetic window, the kind of a real one
    repo: str  # owner/name of the repository the picture comes from
    licence: str  # as that repository states it
    corpus: Path = field(default=Path(), compare=False)  # the folder that holds it


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
    source = row["generator"] if synthetic else row["kind"]
    return Window(row["file"], synthetic, source, row["repo"], row["license"], corpus)


def fold_of_repo(windows: Iterable[Window]) -> dict[str, int]:
    """Deal whole repositories into ``FOLDS`` folds, reproducibly and blind to any result.

    Each corpus by itself, so that a further one leaves the folds of those before it as they are.
    Repositories with synthetic windows first, then the other ones; each list is sorted by (windows
    descending, name) and dealt serpentine: 0 1 2 3 4 4 3 2 1 0 0 1 ... A repository with both labels is
    dealt once, as synthetic, so nothing of it can sit in two folds.
    """
    corpora: dict[Path, list[Window]] = {}
    for window in windows:
        corpora.setdefault(window.corpus, []).append(window)
    folds: dict[str, int] = {}
    for some, synthetic in itertools.product(corpora.values(), (True, False)):
        counts = Counter(w.repo for w in some if w.synthetic is synthetic and w.repo not in folds)
        for place, repo in enumerate(sorted(counts, key=lambda name: (-counts[name], name))):
            lap, seat = divmod(place, FOLDS)
            folds[repo] = seat if lap % 2 == 0 else FOLDS - 1 - seat
    return folds


def spread(windows: Sequence[Window], count: int, at_most: int) -> list[Window]:
    """Up to ``count`` windows of each label: one of every repository in turn, at most so many of one.

    Which ones, and which repositories still have a turn in the last round, is drawn once and for all.
    """
    rng = np.random.default_rng(SEED)
    chosen: list[Window] = []
    for synthetic in (False, True):
        turns: list[tuple[int, float, Window]] = []
        for repo in sorted({w.repo for w in windows if w.synthetic is synthetic}):
            own = [w for w in windows if w.repo == repo and w.synthetic is synthetic]
            drawn = rng.permutation(len(own))[:at_most]
            turns += [(turn, float(rng.random()), own[place]) for turn, place in enumerate(drawn)]
        chosen += [window for _, _, window in sorted(turns, key=lambda turn: turn[:2])[:count]]
    return chosen


def decode(window: Window) -> Pixels:
    """The window's pixels, (height, width, 3) uint8 RGB, as PIL decodes them."""
    with Image.open(window.corpus / window.file) as image:
        return np.asarray(image.convert("RGB"))
