"""Entry points of installed packages: detectors and layouts of data sets that other packages bring."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import TypeVar

from sidscan.util.files import real_path

_Registered = TypeVar("_Registered")


def load_entry_points(
    group: str, registered: MutableMapping[str, _Registered], what: str, log: logging.Logger
) -> None:
    """Load what other packages bring, which registers itself.

    A package that can't be loaded is named in the log, and what it registered before it failed is removed.

    Args:
        what: they bring, in words, for the log.
    """
    for point in installed_entry_points(group):
        before = set(registered)
        try:
            point.load()
        except Exception as error:  # another package's code raises whatever it likes
            for name in set(registered) - before:
                del registered[name]
            log.warning("the %s of %s can't be loaded: %s", what, point.value, error)


def distribution_in(folder: Path, group: str) -> str:
    """The package that brought this folder by an entry point of ``group``; empty where none did."""
    for point in installed_entry_points(group):
        file = getattr(sys.modules.get(point.module), "__file__", None)
        if file and point.dist and Path(file).parent in (folder, *folder.parents):
            return point.dist.name
    return ""


def installed_entry_points(group: str) -> list[EntryPoint]:
    """Entry points of installed packages, never of the current folder: it may be the archive that is scanned.

    Python searches that folder in a notebook or with ``python -c``.
    """
    current = real_path(os.curdir)
    folders = [folder for folder in sys.path if folder and real_path(folder) != current]
    points = {
        (point.name, point.value): point
        for distribution in distributions(path=folders)
        for point in distribution.entry_points
        if point.group == group
    }
    return list(points.values())
