"""Files and folders become items."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from sidscan.records import Item, Kind
from sidscan.sources import strays
from sidscan.sources.exclude import Exclusions
from sidscan.sources.members import NOT_AN_IMAGE, Archives
from sidscan.sources.names import hint_for_missing
from sidscan.sources.output_filter import SKIP_MAP, SKIP_SAVED, OutputFilter, is_map_file
from sidscan.util.files import open_file
from sidscan.util.magic import SIGNATURE_BYTES, TAIL_BYTES, FileFormat, identify_file, identify_name

UNLISTABLE_PREFIX = "the folder can't be listed: "
_NOT_REGULAR = "not a regular file"


def walk_folder(
    directory: str, hidden: bool, outputs: OutputFilter, exclusions: Exclusions, archives: Archives
) -> Iterator[Item]:
    """All files below ``directory``, sorted by name. Links are not followed; hidden files only on request.

    Members of archives are items like files.

    A folder that can't be listed becomes one item whose ``skip`` is `UNLISTABLE_PREFIX` and the reason. One
    that is excluded, or that a system fills with thumbnails, becomes one item, too.
    """
    excluded, start = exclusions.below(directory), len(os.path.join(directory, ""))  # noqa: PTH118
    levels = [_list_folder(directory, hidden)]  # an explicit stack: no folder is too deep for it
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif isinstance(entry, Item):
            yield entry
        elif not entry.is_symlink() and outputs.is_output_entry(entry):
            continue
        elif entry.is_dir(follow_symlinks=False):
            if skip := excluded(f"{entry.path[start:]}/") or strays.stray_folder(entry.name):
                yield Item(entry.path, skip=skip)
            else:
                levels.append(_list_folder(entry.path, hidden))
        else:
            if skip := excluded(entry.path[start:]):
                yield Item(entry.path, skip=skip)
            else:
                yield from _entry_items(entry, outputs, archives)


def file_items(name: str, archives: Archives) -> Iterator[Item]:
    """The item of a file that the user named: it is read whatever its suffix, and through a link.

    Of an archive, or a document that is one, those of its members.
    """
    try:
        status = os.stat(name)  # noqa: PTH116  (Path() would normalise the name)
    except (OSError, ValueError):
        # Reading it will fail, and its row will say why, unless it can be said better here.
        yield Item(name, skip=strays.stray_link(name) or hint_for_missing(name))
        return
    if not stat.S_ISREG(status.st_mode):
        yield Item(name, skip=_NOT_REGULAR)
        return
    fingerprint, skip = _fingerprint(status), strays.stray_file(name, status)
    known = None if skip else _identified(name)[0]
    if known is not None and archives.reads(known, named=True):
        yield from archives.items(name, fingerprint, known)
    else:
        yield Item(name, fingerprint=fingerprint, skip=skip or archives.why_part(name))


def cell_items(name: str, archives: Archives, column: str) -> Iterator[Item]:
    """The items of the cells in one column of a Parquet file."""
    fingerprint = _fingerprint(os.stat(name))  # noqa: PTH116  (Path would normalise the name)
    known = _identified(name)[0]
    if known is not None and archives.reads(known):
        yield from archives.items(name, fingerprint, known, f"{column}/")
    else:
        yield Item(name, fingerprint=fingerprint)


def member_item(name: str, archive: str) -> Item:
    """The item of a single member of an archive, which is listed when it is read."""
    return Item(name, Kind.MEMBER, _fingerprint(os.stat(archive)))  # noqa: PTH116  (Path would normalise)


def _list_folder(directory: str, hidden: bool) -> Iterator[os.DirEntry[str] | Item]:
    try:
        with os.scandir(directory) as listing:
            entries = [entry for entry in listing if hidden or not _is_hidden(entry.name)]
    except OSError as error:  # caught here: reading the folder as a file would only say that it is a folder
        return iter([Item(directory, skip=f"{UNLISTABLE_PREFIX}{error.strerror}")])
    return iter(sorted(entries, key=lambda entry: entry.name))


def _is_hidden(name: str) -> bool:
    """Whether a name says so; the placeholder of an image does, but it is the image that somebody kept."""
    return name.startswith(".") and not strays.is_icloud_name(name)


def _entry_items(entry: os.DirEntry[str], outputs: OutputFilter, archives: Archives) -> Iterator[Item]:
    name = entry.path
    try:
        status = os.lstat(name)
    except OSError:
        yield Item(name)
        return
    if stat.S_ISLNK(status.st_mode):
        yield Item(name, skip=strays.stray_link(name) or "symbolic link, not followed")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Item(name, skip=_NOT_REGULAR)
        return
    fingerprint, known = _fingerprint(status), None
    if outputs.is_saved_download(entry):
        skip = SKIP_SAVED
    elif is_map_file(name):
        skip = SKIP_MAP
    elif not (skip := strays.stray_file(name, status) or archives.why_part(entry.name)):
        known, skip = _identified(name)
    if known is not None and archives.reads(known):
        yield from archives.items(name, fingerprint, known)
    else:
        yield Item(name, fingerprint=fingerprint, skip=skip)


def _fingerprint(status: os.stat_result) -> str:
    return f"{status.st_size}:{status.st_mtime_ns}"


def _identified(name: str) -> tuple[FileFormat | None, str]:
    """The format of a file, and why it is not read; that is empty if bytes or name say that it is an image.

    A format that is not read is an image, too: reading it fails, and its row names the format.
    """
    by_name = identify_name(name)
    if by_name is not None and not by_name.kind.may_hold_images:
        return by_name, ""
    try:
        with open_file(name) as file:  # it may have become a pipe by now, which would block the scan
            head = file.read(SIGNATURE_BYTES)
            file.seek(max(len(head), os.fstat(file.fileno()).st_size - TAIL_BYTES))
            known = identify_file(name, head, tail=head + file.read())
    except OSError:
        return None, ""  # reading it will fail, and its row will say why
    if known is None:
        return None, NOT_AN_IMAGE
    return known, known.not_opened if known.kind.may_hold_images else ""
