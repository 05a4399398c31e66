"""What a run is asked to read: items, and how each may end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


EXCLUDED_PREFIX = "excluded by --exclude "
"""How the reason of a row that --exclude leaves out begins."""


class Kind(str, Enum):
    """What an input names."""

    FILE = "file"
    URL = "url"
    MEMBER = "member"  # of an archive
    OBJECT = "object"  # in a cloud store


class Status(str, Enum):
    """How an input ended. Every input gets exactly one of these; all but the first two count as failed."""

    SCORED = "scored"
    SKIPPED = "skipped"
    FAILED = "failed"  # it can't be read, or it holds no image
    TIMEOUT = "timeout"  # reading or fetching it took too long
    MEMORY_LIMIT = "memory_limit"
    CRASHED = "crashed"  # the process that read it ended
    TRUNCATED = "truncated"  # a part of its pixels is missing
    TOO_LARGE = "too_large"  # these four: beyond a limit (images.limits)
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_LONG = "too_long"
    TOO_NARROW = "too_narrow"
    REFUSED = "refused"  # sidscan does not connect to its address, or its server forbids the fetch

    @property
    def failed(self) -> bool:
        """Whether an input that should have a score has none."""
        return self not in (Status.SCORED, Status.SKIPPED)


class Stage(str, Enum):
    """Where an input failed or was left out."""

    LIST = "list"
    READ = "read"
    FETCH = "fetch"
    DECODE = "decode"
    SCORE = "score"


@dataclass(frozen=True, slots=True)
class Item:
    """One input: a file, a URL, a member of an archive or an object in a cloud store.

    Attributes:
        name: the path or URL, as given or as the walk found it; undecodable bytes as surrogate escapes. Of a
            member ``ARCHIVE!/inner/name``.
        fingerprint: size and modification time of a file when it was listed; shows later whether it changed.
            Of a member those of its archive, and where it lies; of an object `util.object_urls.object_stamp`.
        skip: why the input is not read; empty for an image.
    """

    name: str
    kind: Kind = Kind.FILE
    fingerprint: str = ""
    skip: str = ""

    @property
    def size(self) -> int:
        """Bytes, as they were listed; 0 where that is not known."""
        size = self.fingerprint.partition(":")[0]
        if self.kind is Kind.MEMBER:
            _, _, size, *_ = (*self.fingerprint.partition("|")[2].split(":"), "", "", "")
        return int(size) if size.isdigit() else 0
