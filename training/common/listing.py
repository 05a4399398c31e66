"""Which files of a folder count as images. Training sets and test sets follow the same rule."""

from __future__ import annotations

_NOT_IMAGES = (".txt", ".py", ".csv", ".json", ".md", ".zip", ".db", ".ini")


def is_ignored(name: str) -> bool:
    """Whether a file or folder is hidden or has the suffix of something else than an image.

    Every other file must be readable as an image.
    """
    return name.startswith((".", "__")) or name.lower().endswith(_NOT_IMAGES)
