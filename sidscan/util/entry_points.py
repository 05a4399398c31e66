"""Entry points of installed packages: detectors and layouts of data sets that other packages bring."""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, distributions

from sidscan.util.files import real_path


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
