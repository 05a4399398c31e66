"""The folder in which scans without ``--out FILE`` keep their results."""

from __future__ import annotations

from pathlib import Path

from sidscan.util.cache_folder import cache_folder


def kept_results_folder() -> Path | None:
    """Below the user's cache folder; None where the user has no home folder. It may not be there yet."""
    return cache_folder("scans")
