"""Which files of a folder count as pictures, in training and in test sets alike."""

from __future__ import annotations

_NO_PICTURES = (".txt", ".py", ".csv", ".json", ".md", ".zip", ".db", ".ini")


def left_out(name: str) -> bool:
    """Whether a file or folder is hidden, or by its name no picture. Any other must be readable as one."""
    return name.startswith((".", "__")) or name.lower().endswith(_NO_PICTURES)
