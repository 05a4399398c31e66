"""Files and directories."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from sidscan.records import Item
from sidscan.sources.output_filter import SKIP_SAVED, OutputFilter
from sidscan.util.files import open_file

# Suffixes under which pictures travel. Any other file is looked at for a picture's signature.
_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff"),
    *(".bmp", ".dib", ".gif", ".avif", ".heic", ".heif", ".hif"),
)
SIGNATURE_BYTES = 16
UNLISTABLE_PREFIX = "the folder can't be listed: "
NOT_AN_IMAGE = "not a picture: neither its name nor its first bytes say so"


def walk_folder(directory: str, hidden: bool, own: OutputFilter) -> Iterator[Item]:
    """All files below ``directory``, names sorted; links are not followed; hidden ones only on request.

    A folder that can't be listed becomes one item whose ``skip`` begins with `UNLISTED` and says why.
    """
    levels = [_list_folder(directory, hidden)]  # a stack of its own: no folder is too deep for it
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif isinstance(entry, Item):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            levels.append(_list_folder(entry.path, hidden))
        elif entry.is_symlink() or not own.is_output_entry(entry):
            yield _entry_item(entry, own)


def _list_folder(directory: str, hidden: bool) -> Iterator[os.DirEntry[str] | Item]:
    try:
        with os.scandir(directory) as found:
            entries = [entry for entry in found if hidden or not entry.name.startswith(".")]
    except OSError as error:  # said here: reading it as a file would say only that it is none
        return iter([Item(directory, skip=f"{UNLISTABLE_PREFIX}{error.strerror}")])
    return iter(sorted(entries, key=lambda entry: entry.name))


def file_item(name: str) -> Item:
    """A file that somebody named: it is read whatever its suffix, and through a link."""
    try:
        status = os.stat(name)  # noqa: PTH116  (Path() would normalise the name)
    except (OSError, ValueError):
        return Item(name)  # reading it will say why, in its row
    if not stat.S_ISREG(status.st_mode):
        return Item(name, skip="not a regular file")
    return Item(name, fingerprint=_fingerprint(status))


def _entry_item(entry: os.DirEntry[str], own: OutputFilter) -> Item:
    name = entry.path
    try:
        status = os.lstat(name)
    except OSError:
        return Item(name)
    if stat.S_ISLNK(status.st_mode):
        return Item(name, skip="symbolic link, not followed")
    if not stat.S_ISREG(status.st_mode):
        return Item(name, skip="not a regular file")
    if own.is_saved_download(entry):
        return Item(name, fingerprint=_fingerprint(status), skip=SKIP_SAVED)
    if not _may_be_image(name):
        return Item(name, fingerprint=_fingerprint(status), skip=NOT_AN_IMAGE)
    return Item(name, fingerprint=_fingerprint(status))


def _fingerprint(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}"


def _may_be_image(name: str) -> bool:
    if name.lower().endswith(_SUFFIXES):
        return True
    try:
        with open_file(name) as file:  # it may have become a pipe, which would hold up the scan
            head = file.read(SIGNATURE_BYTES)
    except OSError:
        return True  # reading it will say why, in its row
    return has_signature(head)


def has_signature(head: bytes) -> bool:
    """Whether the first 16 bytes are those of a supported picture format."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*"))
        or (head[:2] == b"BM" and head[6:10] == b"\x00" * 4)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _FTYP_BRANDS)
    )


_FTYP_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
