"""Members of archives become items, by the rules that hold for the files of a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from sidscan.archives.entries import ArchiveEntry, Problem, fingerprint_of
from sidscan.archives.parquet import NO_BYTES_COLUMN
from sidscan.archives.tar_headers import NOT_A_TAR
from sidscan.archives.zstandard import NEEDS_PACKAGE
from sidscan.records import Item, Kind
from sidscan.sources import strays
from sidscan.sources.exclude import Exclusions
from sidscan.sources.output_filter import SKIP_MAP, is_map_member
from sidscan.util.magic import FileFormat, FileKind, identify_file, identify_name
from sidscan.util.member_names import SEPARATOR, member_name

ARCHIVE_PREFIX = "not all of the archive can be read: "
"""How the reason of an archive's own row starts, which it has only if something is wrong with it."""
MEMBER_PREFIX = "the archive holds this image, but it can't be read: "
NOT_AN_IMAGE = "not an image: neither its name nor its first bytes say so"
EMPTY = "the archive holds no files; hidden ones need --hidden"
NESTED = "archives in archives are not read; unpack the outer one and scan the folder"
PART = "it is one part of an archive in several files; join them first, and scan the whole"
UNSURE = "not an image by its name, and its first bytes can't be read: "
_READ = frozenset({"ZIP", "COMIC", "TAR", "GZIP", "BZIP2", "XZ", "ZSTD", "WARC", "PARQUET"})
_MAY_BE_NO_TAR = frozenset({"GZIP", "BZIP2", "XZ", "ZSTD"})
_TAR_ENDS = (".tgz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
_NO_TAR = ([NOT_A_TAR], [NEEDS_PACKAGE])  # the second: nobody knows, and most are none
_PART = re.compile(r".+\.(?:z\d\d|(?:zip|tar|t?gz|t?bz2|t?xz|t?zst|7z)\.\d{3})", re.IGNORECASE | re.DOTALL)
_SKIPPED = frozenset(
    each.value
    for each in (Problem.LINK, Problem.HARD_LINK, Problem.SPECIAL, Problem.REVISIT, Problem.NO_BYTES)
)

ListEntries = Callable[[str], Iterator[ArchiveEntry]]
"""Lists an archive (`isolation.archives.ArchiveReader.list_entries`)."""


class Archives:
    """Looks into archives, if it may.

    Args:
        list_entries: None leaves archives as they are.
        hidden: whether hidden members are items, too.
    """

    def __init__(self, list_entries: ListEntries | None, hidden: bool, exclusions: Exclusions) -> None:
        self._list_entries, self._hidden, self._exclusions = list_entries, hidden, exclusions

    def reads(self, known: FileFormat | None, named: bool = False) -> bool:
        """Whether files of this format are looked into; of documents only those that somebody named."""
        if known is None or self._list_entries is None:
            return False
        is_document = known.kind is FileKind.DOCUMENT and known.within == "ZIP"
        return known.name in _READ or (named and is_document)

    def why_part(self, name: str) -> str:
        """Why a file is not read whose name says that it is one part of an archive; empty for any other."""
        return ARCHIVE_PREFIX + PART if self._list_entries and _PART.fullmatch(name) else ""

    def items(
        self, path: str, fingerprint: str, known: FileFormat, folder_inside: str = ""
    ) -> Iterator[Item]:
        """An item for each member, and one for the archive if not all of it can be read, or nothing is in it.

        Args:
            fingerprint: of the archive's file.
            known: what it is.
            folder_inside: only members that lie directly in it; those of a Parquet file lie in their column.
        """
        assert self._list_entries is not None
        folder, base = os.path.split(path)
        excluded = self._exclusions.below(folder)
        problems: list[str] = []
        is_empty = True
        for entry in self._list_entries(path):
            if not entry.name:
                problems.append(entry.problem)
                continue
            if folder_inside and f"{entry.name.rpartition('/')[0]}/" != folder_inside:
                continue
            if not self._hidden and _is_hidden(entry.name):
                continue
            is_empty = False
            skip = excluded(f"{base}{SEPARATOR}{entry.name}") or _why_not_image(entry)
            name = member_name(path, entry.name)
            yield Item(name, Kind.MEMBER, fingerprint_of(fingerprint, entry.span), skip)
        if problems == [NO_BYTES_COLUMN]:
            yield Item(path, fingerprint=fingerprint, skip=f"{known.noun}: {NO_BYTES_COLUMN}")
        elif problems in _NO_TAR and known.name in _MAY_BE_NO_TAR and not path.lower().endswith(_TAR_ENDS):
            yield Item(path, fingerprint=fingerprint, skip=known.not_opened)
        elif problems:
            yield Item(path, fingerprint=fingerprint, skip=ARCHIVE_PREFIX + "; ".join(problems))
        elif is_empty:
            yield Item(path, fingerprint=fingerprint, skip=EMPTY)


def _is_hidden(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith(".") and part.strip(".") for part in parts)


def _why_not_image(entry: ArchiveEntry) -> str:
    """Why a member is not read; empty if its first bytes or its name say that it is an image."""
    if entry.problem in _SKIPPED:
        return entry.problem
    by_name = identify_name(entry.name)
    if entry.problem and by_name is None and not entry.head:
        return UNSURE + entry.problem
    if stray := strays.stray_member(entry.name, entry.head):
        return stray
    if is_map_member(entry.name, entry.head):
        return SKIP_MAP
    known = identify_file(entry.name, entry.head) if entry.head else by_name
    if by_name is not None and not by_name.kind.may_hold_images:
        return MEMBER_PREFIX + entry.problem if entry.problem else ""
    if known is None:
        return NOT_AN_IMAGE
    if not known.kind.may_hold_images:
        return MEMBER_PREFIX + entry.problem if entry.problem else ""
    return f"{known.noun}: {NESTED}" if known.name in _READ else known.not_opened
