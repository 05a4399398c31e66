"""Images of kept results, read again for what an earlier scan did not make of them; nothing is scored.

A scan that adds an HTML report to an earlier run needs thumbnails, and crops of the strongest images; one
that looks for copies needs hashes. The same readers read the files, within the same limits. A file that holds
other bytes than were scored, though its size and time are the same, loses its result, so that it is scored
again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import tee

from sidscan.config import ScanConfig
from sidscan.journal import Journal
from sidscan.journal.thumbnails import Additions, ImageToRead
from sidscan.records import DecodedImage, Failure, ItemReader
from sidscan.scoring.strongest_crops import highest_crop_webp
from sidscan.util.threads import OrderedMap

_ROWS_AT_ONCE = 64  # per transaction


class KeptImages:
    """Reads images again whose kept results lack a thumbnail, a crop, or a hash of what they show.

    Attributes:
        changed: names of files whose bytes are not those that were scored.
        unread: images that could not be read this time; their results stay as they are.
    """

    def __init__(self, journal: Journal, config: ScanConfig) -> None:
        self._journal, self._config = journal, config
        self._number = journal.list_images_to_read(config.thumbnails, config.find_copies)
        self.changed: list[str] = []
        self.unread = 0

    def __len__(self) -> int:
        return self._number

    def read(self, read: ItemReader) -> Iterator[None]:
        """Read all; yields after each. What was read is recorded, even if the caller stops."""
        strongest = {sha256 for _, sha256 in self._journal.strongest()} if self._config.thumbnails else set()
        pending = Additions()
        images, ahead = tee(self._journal.images_to_read())
        try:
            items = read.announced(image.item for image in ahead)
            with closing(OrderedMap(read, items, self._config.workers)) as entries:
                for image in images:
                    entries.peek()
                    self._take(image, entries.pop(), strongest, pending)
                    if len(pending) >= _ROWS_AT_ONCE:
                        self._journal.add(pending)
                        pending = Additions()
                    yield
        finally:
            self._journal.add(pending)

    def _take(
        self, image: ImageToRead, entry: DecodedImage | Failure, strongest: set[str], pending: Additions
    ) -> None:
        sha256 = entry.facts.sha256
        if sha256 is not None and sha256 != image.sha256:
            self.changed.append(image.name)
            self._journal.forget_result(image.position)
        elif isinstance(entry, Failure) or sha256 is None:
            self.unread += 1
        else:
            if entry.thumbnail:
                pending.thumbnails[sha256] = entry.thumbnail
            if entry.second_image and not self._config.private:
                pending.second_images[sha256] = entry.second_image
            if entry.facts.perceptual_hash is not None:
                pending.hashes[sha256] = entry.facts.perceptual_hash
            result = self._journal.find_by_sha256(sha256) if sha256 in strongest else None
            if result and result.strongest_of_crops:
                pending.crops[sha256] = highest_crop_webp(entry.crop_set, result)
