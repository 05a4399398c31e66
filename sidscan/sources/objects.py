"""Objects of cloud stores become items, by the rules that hold for the files of a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sidscan.config import ScanConfig
from sidscan.errors import NothingToScan, UsageError
from sidscan.records import Item, Kind
from sidscan.sources import strays
from sidscan.sources.exclude import Exclusions
from sidscan.sources.inventory import InventoryRow
from sidscan.sources.paths import UNLISTABLE_PREFIX
from sidscan.util.object_urls import ListedObject, ObjectUrl, is_object_url, parse_object_url
from sidscan.util.urls import mask_credentials

BUCKET_PREFIX = "its bucket is not named on the command line, so it is not read; permit it with --bucket "
"""How the reason starts of an object that a list names and nobody allowed to read."""
NO_BUCKET = "it names no bucket; write s3://BUCKET/KEY"

ListObjects = Callable[[ObjectUrl], Iterator[ListedObject]]
"""Lists what a name stands for: one object, or all below a prefix (`fetch.object_stores`).

It raises an exception, whose text says why, where that fails.
"""


def why_refused(name: str, config: ScanConfig) -> str:
    """Why an object is not read that a list or a record names; empty if the command line names its bucket."""
    named = (*config.buckets, *filter(is_object_url, config.inputs))
    try:
        store = parse_object_url(name).store
    except ValueError:
        return NO_BUCKET
    return "" if store in {parse_object_url(each).store for each in named} else f"{BUCKET_PREFIX}{store}"


class Objects:
    """Finds what names of object stores stand for.

    Args:
        list_objects: None leaves each name one item, which nobody looked up.
    """

    def __init__(self, config: ScanConfig, list_objects: ListObjects | None, exclusions: Exclusions) -> None:
        self._list, self._hidden, self._exclusions = list_objects, config.hidden, exclusions
        self._allow_empty, self._outputs = config.allow_empty, config.output_prefix
        self._allowed = {parse_object_url(bucket).store for bucket in config.buckets}

    def items(self, name: str, required: bool) -> Iterator[Item]:
        """An object, or all below a prefix.

        A list is somebody else's text, and would be read with the keys of this machine: so only buckets that
        the command line names are. Objects on a list are not looked up, since that takes a request for each.

        Args:
            required: whether the command line names it.

        Raises:
            UsageError: the command line names what is not there, or can't be listed.
            NothingToScan: it names a prefix without objects.
        """
        name = mask_credentials(name)
        try:
            url = parse_object_url(name)
        except ValueError:
            if required:
                raise UsageError(
                    f"{name} names no bucket",
                    "Write s3://BUCKET/KEY; keys of access come from the environment.",
                ) from None
            yield Item(name, Kind.OBJECT, skip=NO_BUCKET)
            return
        if not required and url.store not in self._allowed:
            yield Item(name, Kind.OBJECT, skip=f"{BUCKET_PREFIX}{url.store}")
        elif self._list is None or (not required and url.key and not url.key.endswith("/")):
            yield Item(str(url), Kind.OBJECT)
        else:
            yield from self._listed(url, self._list(url), required)

    def inventory_items(self, rows: Iterable[InventoryRow]) -> Iterator[Item]:
        """An item for each row of an inventory, which is a list: only buckets that were named are read."""
        excluded: dict[str, Callable[[str], str]] = {}
        for row in rows:
            store = f"s3://{row.bucket}"
            start = len(store) + 1
            url, is_folder = f"{store}/{row.key}", row.key.endswith("/") and not row.size
            if is_folder or (self._outputs and url.startswith(self._outputs)):
                continue
            if not self._hidden and any(part.startswith(".") for part in row.key.split("/")):
                continue
            if store not in self._allowed:
                yield Item(url, Kind.OBJECT, skip=f"{BUCKET_PREFIX}{store}")
            elif row.skip:
                yield Item(url, Kind.OBJECT, skip=row.skip)
            else:
                if store not in excluded:
                    excluded[store] = self._exclusions.below(store)
                yield _item(ListedObject(url, row.size or 0, row.stamp), start, excluded[store])

    def _listed(self, url: ObjectUrl, listing: Iterator[ListedObject], required: bool) -> Iterator[Item]:
        count = 0
        try:
            for item in self._items_of(url, listing):
                count += 1
                yield item
        except (UsageError, NothingToScan):
            raise
        except Exception as error:
            if required and not count:
                raise UsageError(
                    f"can't list {url}: {error}",
                    "Check the name, and the credentials and the endpoint in the environment.",
                ) from None
            yield Item(str(url), Kind.OBJECT, skip=f"{UNLISTABLE_PREFIX}{error}")
            return
        if not count and not self._allow_empty:
            raise NothingToScan(
                f"there are no objects below {url}",
                "Check the name; hidden ones need --hidden; --allow-empty accepts that.",
            )

    def _items_of(self, url: ObjectUrl, listing: Iterator[ListedObject]) -> Iterator[Item]:
        """An item for each object; first bytes are looked at when it is read, and not before.

        An empty object that has the name of a folder marks that folder, and is none.
        """
        start = len(url.store) + 1 + url.key.rfind("/") + 1
        excluded = self._exclusions.below(str(url)[:start].rstrip("/"))
        held: ListedObject | None = None
        for each in listing:
            if held and not each.url.startswith(f"{held.url}/"):
                yield _item(held, start, excluded)
            held = None
            if self._outputs and each.url.startswith(self._outputs):
                continue
            if not self._hidden and any(part.startswith(".") for part in each.url[start:].split("/")):
                continue
            if each.size:
                yield _item(each, start, excluded)
            else:
                held = each
        if held and f"{held.url}/" != str(url):
            yield _item(held, start, excluded)


def _item(each: ListedObject, start: int, excluded: Callable[[str], str]) -> Item:
    inner = each.url[start:]
    *folders, base = inner.split("/")
    skip = excluded(inner) or strays.stray_member(base, b"")
    skip = skip or next(filter(None, map(strays.stray_folder, folders)), "")
    return Item(each.url, Kind.OBJECT, each.stamp, skip)
