"""What is installed, and the errors for what is not, or no longer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidscan.errors import DigestMismatch, ModelError, ModelNotInstalled, UsageError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.origins import REINSTALL, Bundled, IndexedWheel, Unpinned
from sidscan.util.files import can_lock

BY_USER = "sha256 given by the user"
BUNDLED = "bundled"
FIRST_INSTALLED = "its digest when it was first installed"


@dataclass(frozen=True, slots=True)
class Installed:
    """A model on this machine.

    Attributes:
        sha256: of the file; as computed just now (`Store.require`) or as recorded (`Store.installed`).
        verified_by: ``published sha256``, ``published git blob id``, `BY_USER`, `BUNDLED` or
            `FIRST_INSTALLED`.
        origin: the address or the wheel it was pulled from, or ``imported``, or ``bundled``.
        source_sha256: of the published file that it was made of, where no digest of that is published: the
            first one installed is the one that is believed.
    """

    entry: CatalogEntry
    path: Path
    size: int  # bytes
    sha256: str
    verified_by: str
    origin: str
    source_sha256: str = ""


def published_word(entry: CatalogEntry) -> str:
    """How `Installed.verified_by` calls the digest that a model's publisher states."""
    return f"published {entry.pin.label}"


def not_installed(entry: CatalogEntry, has_stand_in: bool, detector: str | None = None) -> ModelNotInstalled:
    """The error that says how to get a model.

    Args:
        has_stand_in: whether the model that stands in for it is installed.
        detector: the one that was asked for, where ``entry`` is the encoder that it reads.
    """
    if isinstance(entry.origin, Bundled):
        return ModelNotInstalled(f"{entry.name} is missing from this installation", REINSTALL)
    kind, original = "FILE", entry.origin.source
    if isinstance(entry.origin, IndexedWheel):
        kind, original = "WHEEL", entry.origin.wheel
    if isinstance(entry.origin, Unpinned):
        kind = f"FILE --as {entry.name}"
    remedy = f"`sidscan models import {kind}` takes it from a copy of {original}"
    if isinstance(entry.origin, Unpinned) and entry.origin.is_page:
        remedy = f"`sidscan models import {kind}` takes {entry.origin.published_file} of {original}"
    else:
        remedy = f"`sidscan models pull {detector or entry.name}` fetches it; without a network, {remedy}"
    if has_stand_in:
        remedy = f"{entry.stand_in}, which stands in for it, is installed: name that. Or {remedy}"
    what = f"{entry.name}, which {detector} reads," if detector else entry.name
    return ModelNotInstalled(f"{what} is not installed", remedy)


def changed(installed: Installed, words: str, digest: str, expected: str) -> DigestMismatch:
    """The error for bytes that are not those that were installed."""
    return DigestMismatch(
        f"{installed.path} has changed since it was installed: {words} {digest}, expected {expected}",
        again(installed),
    )


def again(installed: Installed) -> str:
    """How to get a model again."""
    if installed.origin == BUNDLED:
        return REINSTALL
    if installed.verified_by == BY_USER:
        return "Import the file again with `sidscan models import`."
    return f"`sidscan models pull {installed.entry.name}` fetches it again."


def not_writable(folder: Path, error: OSError | NotImplementedError) -> ModelError:
    """The error for a models folder that nothing can be written to."""
    if folder.is_dir() and not can_lock(folder):
        return ModelError(
            f"{folder} can't lock files, as some network shares can't, and installing a model needs that",
            "Move the models folder to a local disk by setting SIDSCAN_MODELS.",
        )
    file, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
    return ModelError(
        f"{file or folder} can't be written: {reason or error}",
        "The models folder can be moved by setting SIDSCAN_MODELS.",
    )


def not_downloaded(entry: CatalogEntry, origin: Bundled) -> UsageError:
    """The error for an address that was given for a model that comes with sidscan or another package."""
    return UsageError(
        f"{entry.name} {origin.source}, and --url has nothing to fetch",
        f"Name its encoder: `sidscan models pull {entry.encoder} --url URL`."
        if entry.encoder
        else "Leave --url out.",
    )
