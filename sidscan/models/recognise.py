"""Which model of the catalog a file is: by its digest, by what it says of itself, or on somebody's word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidscan.errors import DigestMismatch, ModelError, UsageError
from sidscan.models import unpinned
from sidscan.models.catalog import CatalogEntry, find_entry
from sidscan.models.digests import hash_file
from sidscan.models.installed import BY_USER, FIRST_INSTALLED, published_word
from sidscan.models.origins import Algorithm, Bundled, Unpinned


def identify(
    path: Path,
    hashes: Mapping[Algorithm, str],
    name: str | None,
    sha256: str | None,
    catalog: Mapping[str, CatalogEntry],
) -> tuple[CatalogEntry, str]:
    """Which entry a file is, and on whose word (`Installed.verified_by`).

    Args:
        hashes: of the file.
        name, sha256: of the model that somebody says it is, and of its bytes as the publisher states it.

    Raises:
        UnknownModel: the catalog has no model of that name.
        UsageError: it comes with sidscan, or with another package.
        ModelError: the file is another model, or nobody vouches for it.
    """
    wanted = find_entry(name, catalog) if name else None
    if wanted is not None and isinstance(wanted.origin, Bundled):
        raise UsageError(f"{wanted.name} {wanted.origin.source} and can't be replaced")
    entry = by_digest(hashes, catalog)
    if entry is not None:
        if wanted not in (None, entry):
            raise ModelError(f"{path.name} is {entry.name} (by its {entry.pin.label}), not {name}")
        return entry, published_word(entry)
    if wanted is not None and isinstance(wanted.origin, Unpinned):
        return wanted, FIRST_INSTALLED
    if stated := by_statement(path, catalog):
        return stated, FIRST_INSTALLED
    if wanted is not None and sha256 is not None:
        return wanted, BY_USER
    from sidscan.models import state_dicts

    if kind := unpinned.kind_of(path):
        raise ModelError(
            f"{path.name} matches no published digest; it holds {kind}",
            "No digest of these is published. Say which one it is: "
            f"`sidscan models import FILE --as NAME`, with {unpinned.names(catalog, 'localizer')}.",
        )
    shape = state_dicts.recognise_shape(state_dicts.read_arrays(path))
    known = [e for e in catalog.values() if e.shape is not None and not isinstance(e.origin, Bundled)]
    like = [entry for entry in known if entry.shape == shape]
    *others, last = [entry.name for entry in like] or [""]
    names = f"{', '.join(others)} or {last}" if others else last
    looks = f"it has the layout of {names}" if like else "its layout is that of no model sidscan knows"
    remedy = (
        "If you know where it comes from, state it: `sidscan models import FILE --as NAME --sha256 HEX`, "
        "with the sha256 that its publisher gives."
    )
    if by_word := [entry.name for entry in like if not entry.is_pinned]:
        pinned = f" {remedy}" if len(by_word) < len(like) else ""
        remedy = (
            f"No digest of {', '.join(by_word)} is published. If it is one of these, say which one: "
            f"`sidscan models import FILE --as NAME`.{pinned}"
        )
    raise ModelError(f"{path.name} matches no published digest; {looks}", remedy)


def by_statement(path: Path, catalog: Mapping[str, CatalogEntry]) -> CatalogEntry | None:
    """The model without a published digest that a file says sidscan made it of."""
    entry = catalog.get(unpinned.model_stated(path) or "")
    return entry if entry is not None and isinstance(entry.origin, Unpinned) else None


def by_digest(hashes: Mapping[Algorithm, str], catalog: Mapping[str, CatalogEntry]) -> CatalogEntry | None:
    """The model that a file with these digests is, or is made of."""
    return next((entry for entry in catalog.values() if entry.recognises(hashes)), None)


def matches(path: Path, entry: CatalogEntry) -> bool:
    """Whether a file has the digest that pins a model."""
    return hash_file(path, entry.pin.algorithm)[entry.pin.algorithm] == entry.pin.digest


def check_or_delete(part: Path, entry: CatalogEntry, source: str) -> None:
    """Keep a file only if it is what pins a model; a new attempt must not build on other bytes.

    Args:
        source: where it came from, in words.

    Raises:
        DigestMismatch: it is not, and was deleted.
    """
    pin = entry.pin
    digest = hash_file(part, pin.algorithm)[pin.algorithm]
    if digest != pin.digest:
        part.unlink()
        raise DigestMismatch(
            f"{source} is not the published {entry.name}: {pin.label} {digest}, expected {pin.digest}",
            "What came was deleted. Try again, or name another address with --url."
            if entry.url
            else "It was deleted. Please report this: the same wheel should always give the same file.",
        )
