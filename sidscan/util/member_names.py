"""Names of members of archives: ``PATH!/inner/name.jpg``, as Java writes them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

SEPARATOR = "!/"
_ARCHIVE_END = re.compile(r"\.[a-z0-9]{1,8}$", re.IGNORECASE)


def member_name(archive: str, inner: str) -> str:
    """How reports call a member."""
    return f"{archive}{SEPARATOR}{inner}"


def split_member_name(name: str) -> tuple[str, str] | None:
    """Archive and inner name, by the text alone; None if it can't be the name of a member.

    A folder's name may end in ``!``, so the first part that ends like a file's name is the archive.
    """
    parts = list(_splits(name))
    likely = (part for part in parts if _ARCHIVE_END.search(part[0]))
    return next(likely, parts[0] if parts else None)


def find_archive(name: str) -> tuple[str, str] | None:
    """Archive and inner name, as files on this disk say; None if no file is an archive by this name.

    A file with the whole name comes first. Else nothing is ambiguous: what stands before ``!/`` is either a
    folder or a file.
    """
    if SEPARATOR not in name or os.path.lexists(name):
        return None
    return next((part for part in _splits(name) if _is_regular(part[0])), None)


def has_file_and_archive(name: str) -> bool:
    """Whether a name is that of a file and also of a member: a folder ``x.zip!`` lies beside ``x.zip``."""
    parts = split_member_name(name)
    return parts is not None and os.path.lexists(name) and _is_regular(parts[0])


def _splits(name: str) -> Iterator[tuple[str, str]]:
    at = name.find(SEPARATOR)
    while at >= 0:
        if at:
            yield name[:at], name[at + len(SEPARATOR) :]
        at = name.find(SEPARATOR, at + 1)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116  (Path would normalise the name)
    except (OSError, ValueError):
        return False
