"""What a record has of images besides their results: thumbnails, crops, closer looks and maps."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from sidscan.journal import closer_looks, localizations, thumbnails
from sidscan.journal.file import RecordFile
from sidscan.journal.tables import SHA256
from sidscan.records.localization import KeptLocalization
from sidscan.records.score_map import CloserLook


class CompanionRecord(RecordFile):
    """A record that keeps what reports show of images, by the sha256 of their bytes."""

    def thumbnail(self, sha256: str) -> bytes | None:
        """The thumbnail of an image's bytes; None if there is none."""
        row = self._read("SELECT webp FROM thumbnails WHERE sha256 = ?", (sha256,)).fetchone()
        return bytes(row[0]) if row else None

    def second_image(self, sha256: str) -> bytes | None:
        """The preview (WebP) in an image's bytes that shows another image; None if there is none."""
        row = self._read("SELECT webp FROM second_images WHERE sha256 = ?", (sha256,)).fetchone()
        return bytes(row[0]) if row else None

    def crop(self, sha256: str, view: str) -> bytes | None:
        """A view of an image at full size (WebP), as it lies in the image; None if it was not kept."""
        query = "SELECT webp FROM crops WHERE sha256 = ? AND view = ?"
        row = self._read(query, (sha256, view)).fetchone()
        return bytes(row[0]) if row else None

    def count_without_thumbnail(self) -> int:
        """Number of scored images that have no thumbnail."""
        query = f"""SELECT count(*) FROM items WHERE status = 'scored'
            AND {SHA256} NOT IN (SELECT sha256 FROM thumbnails)"""  # noqa: S608
        return int(self._read(query).fetchone()[0])

    def list_images_to_read(self, for_thumbnails: bool, for_hashes: bool) -> int:
        """List images that were scored and lack a thumbnail, crop or hash; returns their number."""
        if not (for_thumbnails or for_hashes):
            return 0
        with self._writing():
            return thumbnails.list_lacking(self._db, for_thumbnails, for_hashes)

    def images_to_read(self) -> Iterator[thumbnails.ImageToRead]:
        """The images of `list_images_to_read`; safe to call `add` meanwhile."""
        return thumbnails.listed(self._db)

    def add(self, additions: thumbnails.Additions) -> None:
        """Record what was made of images whose results are kept."""
        with self._writing():
            thumbnails.keep(self._db, additions.thumbnails, additions.crops, additions.second_images)
            thumbnails.add_hashes(self._db, additions.hashes)

    def strongest(self) -> list[tuple[float, str]]:
        """Strength and sha256 of the images of which crops are kept, so far."""
        return thumbnails.strongest(self._db)

    def keep_closer_look(self, sha256: str, look: CloserLook) -> None:
        """Record a closer look at an image's bytes durably."""
        with self._writing():
            closer_looks.keep(self._db, sha256, look)

    def closer_look(self, sha256: str) -> CloserLook | None:
        """All windows of an image with these bytes, scored; None if nobody looked closer."""
        try:
            return closer_looks.find(self._db, sha256)
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    def keep_localization(self, sha256: str, kept: KeptLocalization) -> None:
        """Record durably what a localizer made of an image's bytes."""
        with self._writing():
            localizations.keep(self._db, sha256, kept)

    def localization(self, sha256: str) -> KeptLocalization | None:
        """What a localizer made of an image with these bytes; None if nobody asked one."""
        try:
            return localizations.find(self._db, sha256)
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    def map_file_digests(self, path: Path) -> Collection[str]:
        """The sha256 of what this run last wrote to the file of a map, hex."""
        try:
            return localizations.file_digests(self._db, self.path, path)
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    def expect_map_file(self, path: Path, sha256: str) -> None:
        """Note, right before it happens, that the file of a map gets bytes with this sha256."""
        with self._writing():
            localizations.expect_file(self._db, self.path, path, sha256)

    def confirm_map_file(self, path: Path, sha256: str) -> None:
        """Note that it has them."""
        with self._writing():
            localizations.confirm_file(self._db, self.path, path, sha256)
