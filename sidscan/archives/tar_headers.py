"""The members of a tar, header by header, in flat memory; `tarfile` reads the headers."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from sidscan.archives.entries import ArchiveEntry, ArchiveError, Packing, Problem, Span, utc
from sidscan.archives.unpack import DAMAGE, Readable, is_of_system
from sidscan.util.magic import SIGNATURE_BYTES

if TYPE_CHECKING:
    from typing_extensions import Self

# Errors of tarfile that its documentation does not name: two blocks of zeros, as it should be; and nothing.
_END, _NOTHING = "EOFHeaderError", "EmptyHeaderError"
NOT_A_TAR = "it is not a tar archive, or damaged at its start"


class _Header(tarfile.TarInfo):
    """A header that leaves the reason behind when there is no further one.

    `tarfile` ends without a word where a header is damaged.
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            tarfile.ended_by = error  # type: ignore[attr-defined]
            raise


def read_headers(
    file: Readable, packing: Packing, wants_head: Callable[[str], bool]
) -> Iterator[ArchiveEntry]:
    """All members, in their order.

    Args:
        file: the tar, uncompressed; of a solid one a stream that can't be sought.
        wants_head: whether the first bytes of a member of this name are asked for.

    Raises:
        ArchiveError: it is no tar, or damaged; earlier members were yielded.
    """
    count = 0
    try:
        mode = "r|" if packing is Packing.SOLID else "r:"
        with tarfile.open(fileobj=file, mode=mode, tarinfo=_Header, errors="surrogateescape") as tar:  # type: ignore[call-overload]
            while (member := tar.next()) is not None:
                count += 1
                if not member.isdir():
                    yield _entry(tar, member, packing, wants_head(member.name))
                tar.members.clear()  # it would keep all of them
            ended_by = getattr(tar, "ended_by", None)
    except ArchiveError:
        raise
    except (*DAMAGE, tarfile.TarError) as error:
        if is_of_system(error):
            raise
        raise ArchiveError(_words(error, count)) from error
    if type(ended_by).__name__ != _END:
        raise ArchiveError(_words(ended_by, count))


def _words(error: BaseException | None, count: int) -> str:
    if count == 0:
        return NOT_A_TAR
    members = "1 member" if count == 1 else f"{count} members"
    if type(error).__name__ == _NOTHING:
        return f"its end mark is missing after {members}; it may be cut off"
    return f"it is damaged or cut off after {members} ({error})"


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo, packing: Packing, with_head: bool) -> ArchiveEntry:
    if problem := _problem_of(member):
        return ArchiveEntry(member.name, problem=problem.value)
    span = Span(packing, member.offset_data, member.size, modified_at=utc(member.mtime))
    head = b""
    if with_head and (content := tar.extractfile(member)) is not None:
        head = content.read(SIGNATURE_BYTES)
    return ArchiveEntry(member.name, span, head=head)


def _problem_of(member: tarfile.TarInfo) -> Problem | None:
    if member.issym():
        return Problem.LINK
    if member.islnk():
        return Problem.HARD_LINK
    if not member.isreg():
        return Problem.SPECIAL
    if member.issparse():
        return Problem.SPARSE
    return None if member.size >= 0 else Problem.OUTSIDE
