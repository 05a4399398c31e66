"""A folder whose disk is not mounted looks empty: its earlier rows must not vanish without a word."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from sidscan.errors import NothingToScan
from sidscan.sources.paths import UNLISTABLE_PREFIX


def empty_folder_error(folder: str) -> NothingToScan:
    """The error of an input that is a folder without any file."""
    return NothingToScan(
        f"the folder {folder} is empty",
        "Is its disk mounted? Hidden files need --hidden; --allow-empty accepts an empty folder.",
    )


def check_not_vanished(paths: Iterator[str], skip_of: Callable[[str], str | None]) -> None:
    """Refuse a run that would lose all results below a folder, since the folder is gone or can't be listed.

    Args:
        paths: absolute paths of earlier results that are no inputs any more.
        skip_of: why a path that is an input itself is skipped; None if it is no input. A folder is an input
            if it can't be listed, if a list names it and it does not exist, or if it is left out.

    Raises:
        NothingToScan: there is such a folder.
    """
    seen: set[str] = set()
    for path in paths:
        folder = os.path.dirname(path)  # noqa: PTH120
        while folder not in seen:
            seen.add(folder)
            if _is_vanished(folder, skip_of(folder)):
                raise NothingToScan(
                    f"{folder} is gone or can't be listed, and an earlier run has results below it",
                    "Is its disk mounted? --allow-empty accepts that its images are gone.",
                )
            folder = os.path.dirname(folder)  # noqa: PTH120


def _is_vanished(folder: str, skip: str | None) -> bool:
    """Whether an input is a folder that is gone; one that is excluded, for example, is there."""
    return skip is not None and (skip.startswith(UNLISTABLE_PREFIX) or not os.path.lexists(folder))
