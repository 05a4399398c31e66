"""Which input a name means: ``images``, ``./images`` and the full path are one folder."""

from __future__ import annotations

import os

from sidscan.records import Kind
from sidscan.util.member_names import split_member_name


def identity_of(name: str, kind: Kind | str, folder: str | None) -> str:
    """The absolute, normalised path that a name leads to from ``folder``; links stay. URLs stay as they are.

    Args:
        folder: the current folder; None if it is unknown, or private: relative names stay relative then.
    """
    if kind == Kind.MEMBER and (member := split_member_name(name)):
        # No file has this path, and the archive's own is above it. What is in the archive stays as it is.
        return f"{identity_of(member[0], Kind.FILE, folder)}/\0!/{member[1]}"
    if kind != Kind.FILE or "://" in name or "\0" in name:
        return name
    path = os.path.join(folder, name) if folder is not None else name  # noqa: PTH118
    if folder is not None and ".." in path.split(os.sep):  # noqa: PTH206  (behind a link, `..` is not what it looks like)
        parent, _, last = path.rstrip(os.sep).rpartition(os.sep)
        path = os.path.realpath(path) if last == ".." else os.path.join(os.path.realpath(parent), last)  # noqa: PTH118
    path = os.path.normpath(path)
    return os.path.normcase(f"/{path.lstrip('/')}" if path.startswith("//") and os.sep == "/" else path)


def current_folder() -> str | None:
    """The current folder; None if somebody removed it."""
    try:
        return os.getcwd()  # noqa: PTH109  (text, as names are)
    except OSError:
        return None
