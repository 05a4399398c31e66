"""One file per layout of a data set, and the registry in which each enters itself.

A layout turns a folder, or a file, into rows (`LabelledImage`). Adding one takes one file: a subclass of
`Layout`, decorated with `register`. Files in this folder are found by themselves; other packages name theirs
under the entry-point group ``sidscan.layouts``. `sidscan.models.families` works in the same way.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import ClassVar

from sidscan.errors import UsageError
from sidscan.util.bibtex import Citation
from sidscan.util.entry_points import load_entry_points

from ..rows import LabelledImage, Wanted

ENTRY_POINTS = "sidscan.layouts"
_REGISTERED: dict[str, Layout] = {}
_log = logging.getLogger("sidscan.training")


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A published set of a layout.

    Attributes:
        key: its name in manifests and scores files.
        title: the column title in tables.
        family: ``gan``, ``deepfake``, ``low-level``, ``perceptual`` or ``diffusion``.
    """

    key: str
    title: str
    family: str


class Layout(ABC):
    """How one kind of data set lies on a disk.

    Attributes:
        name: as ``--layout`` takes it.
        expected: where files are expected, for messages.
        source: who published data sets that lie so; empty for layouts of sidscan's own.
        papers: what a text that uses such a data set cites; empty where several data sets lie so.
        known_sets: the published sets, in the order of tables.
        has_masks: whether it gives masks, so that localizers can use it.
    """

    name: ClassVar[str]
    expected: ClassVar[str]
    source: ClassVar[str] = ""
    papers: ClassVar[tuple[Citation, ...]] = ()
    known_sets: ClassVar[tuple[KnownSet, ...]] = ()
    has_masks: ClassVar[bool] = False

    def recognises(self, data: Path) -> bool:  # noqa: ARG002
        """Whether a folder or file looks like such a data set; a layout that any folder fits says no."""
        return False

    @abstractmethod
    def images(self, data: Path, wanted: Wanted) -> Iterator[LabelledImage]:
        """Rows of a data set; it reads names, and no pixels.

        Raises:
            UsageError: the data set has another layout, or lacks a part of what is wanted.
        """


def register(layout: type[Layout]) -> type[Layout]:
    """Register a layout; a class decorator.

    Raises:
        ValueError: a layout of that name is registered already.
    """
    if layout.name in _REGISTERED:
        raise ValueError(f"{layout.name} is registered already")
    _REGISTERED[layout.name] = layout()
    return layout


@cache
def all_layouts() -> Mapping[str, Layout]:
    """Every layout by name, sorted: those of this folder, and those of other installed packages.

    A package that can't be loaded is named in the log and left out.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    load_entry_points(ENTRY_POINTS, _REGISTERED, "layouts", _log)
    return dict(sorted(_REGISTERED.items()))


def find_layout(name: str) -> Layout:
    """The layout called ``name``.

    Raises:
        UsageError: none is.
    """
    layouts = all_layouts()
    if name not in layouts:
        near = get_close_matches(name.lower(), layouts, n=1)
        suggestion = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(f"no layout is called {name}", f"{suggestion}Known are {', '.join(layouts)}.")
    return layouts[name]


def known_sets() -> dict[str, KnownSet]:
    """The published sets of all layouts by key; the first layout that has a key names the set."""
    found: dict[str, KnownSet] = {}
    for layout in all_layouts().values():
        for known in layout.known_sets:
            found.setdefault(known.key, known)
    return found
