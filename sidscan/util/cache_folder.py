"""The user's cache folder: what sidscan keeps there can be deleted at any time."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path


def cache_folder(name: str) -> Path | None:
    """The folder ``name`` in it; None where the user has no home folder. It may not be there yet."""
    try:
        folder = user_cache_path("sidscan", appauthor=False) / name
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # as older versions of platformdirs say it
