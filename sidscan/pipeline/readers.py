"""What reads an input of a scan, and what becomes of one that is not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sidscan.config import ScanConfig
from sidscan.fetch.client import Fetcher
from sidscan.isolation.processes import IdleProcesses, WorkerProcess
from sidscan.isolation.reader import IsolatedReader, LocalReader
from sidscan.records import DecodedImage, Failure, Item, ItemReader, Stage, Status
from sidscan.sources.members import ARCHIVE_PREFIX, MEMBER_PREFIX
from sidscan.sources.names import NOT_FOUND
from sidscan.sources.objects import BUCKET_PREFIX, NO_BUCKET
from sidscan.sources.paths import UNLISTABLE_PREFIX
from sidscan.sources.strays import NOT_HERE

# What nobody chose to leave out: how its reason starts -> the class of its error.
_FAILED_AT_LISTING = {
    UNLISTABLE_PREFIX: "FolderNotListed",
    NOT_HERE: "ContentMissing",
    NOT_FOUND: "FileNotFoundError",
    ARCHIVE_PREFIX: "ArchiveNotRead",
    MEMBER_PREFIX: "MemberNotRead",
    BUCKET_PREFIX: "BucketRefused",
    NO_BUCKET: "BucketRefused",
}
_REFUSED = (BUCKET_PREFIX, NO_BUCKET)


@contextmanager
def open_reader(
    config: ScanConfig, launched: WorkerProcess | None = None, idle: IdleProcesses | None = None
) -> Iterator[ItemReader]:
    """What reads an item: processes of their own, or this one.

    Args:
        launched: the first of these processes, which it closes.
        idle: where further ones come from, and where all are left when everything was read.
    """
    with closing(Fetcher(config)) as fetcher:
        if not config.isolation:
            yield LocalReader(config, fetcher)
            return
        with closing(IsolatedReader(config, fetcher, launched, idle)) as isolated:
            yield isolated
            isolated.release()


def read_item(item: Item, read: ItemReader) -> DecodedImage | Failure:
    """What ``read`` gives; a failure at once for an input that the listing says is not read."""
    for prefix, error_class in _FAILED_AT_LISTING.items():
        if item.skip.startswith(prefix):
            status = Status.REFUSED if prefix in _REFUSED else Status.FAILED
            return Failure(item, Stage.LIST, error_class, item.skip, status=status)
    if item.skip:
        return Failure(item, Stage.LIST, "Skipped", item.skip, status=Status.SKIPPED)
    return read(item)
