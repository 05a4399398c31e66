"""The folder in which scans without ``--out FILE`` keep their results."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path


def kept_results_folder() -> Path | None:
    """Below the user's cache folder; None where the user has no home folder. It may not be there yet."""
    try:
        folder = user_cache_path("sidscan", appauthor=False) / "scans"
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # as older versions of platformdirs say it
