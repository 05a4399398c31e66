"""Weights whose publisher states no digest, and whose terms must be accepted.

The first file that is installed is pinned: its digest is recorded beside the checkpoint that sidscan makes of
it, and another file is refused unless somebody asks for it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from sidscan.errors import DigestMismatch, ModelError, UsageError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.installed import Installed
from sidscan.models.origins import Unpinned

Accepts = Callable[[CatalogEntry], bool]
"""Whether the user accepts the terms of a model."""


def refuse_terms(entry: CatalogEntry) -> bool:  # noqa: ARG001
    """Nobody was asked."""
    return False


def check_terms(entry: CatalogEntry, accepts: Accepts) -> None:
    """Refuse a model whose terms nobody accepted.

    Raises:
        UsageError: says where they are.
    """
    if entry.terms and not accepts(entry):
        raise UsageError(
            f"{entry.name} comes under {entry.licence}, which nobody accepted",
            f"Read {entry.terms}. If your use is within it, repeat the command with --accept-licence.",
        )


def checkpoint_of(path: Path, entry: CatalogEntry) -> tuple[bytes, str]:
    """What is kept of a published file, or of the file that was made of it elsewhere.

    Returns:
        its bytes, and the sha256 (hex) of the published file.

    Raises:
        ModelError: the file is not the model that ``entry`` describes.
    """
    from sidscan.models import imported_files
    from sidscan.models.families import LocalizerFamily, find_family

    family, again = find_family(entry.family), model_stated(path) == entry.name
    if not isinstance(family, LocalizerFamily):
        return imported_files.made_again(path, entry) if again else imported_files.made_of(path, entry)
    make = family.from_checkpoint if again else family.from_published
    checkpoint = make(path, entry)
    return checkpoint.to_bytes(), str(checkpoint.facts["published_sha256"])


def model_stated(path: Path) -> str | None:
    """The model of the catalog that sidscan made a file of, if the file says so."""
    from sidscan.models import imported_files
    from sidscan.models.localizer_checkpoints import read_facts

    model = read_facts(path).get("model", imported_files.stated(path).get("model"))
    return model if isinstance(model, str) else None


def kind_of(path: Path) -> str:
    """What a file of DeCLIP's training holds, in words; empty for another file."""
    from sidscan.models.state_dicts import read_training_state
    from sidscan.models.torch_archive import shown

    try:
        stated = read_training_state(path).stated
    except ModelError:
        return ""
    if "decoder_type" not in stated:
        return ""
    decoder, layer = (shown(str(stated.get(name))) for name in ("decoder_type", "feature_layer"))
    return f"a {decoder} decoder of DeCLIP on {layer}"


def not_imported(path: Path, catalog: Mapping[str, CatalogEntry]) -> ModelError | None:
    """The error for a file that holds a model as it was published, where a checkpoint of it is needed.

    Its name says which of the catalog's models it is, if nobody renamed it; its content does not.
    """
    kind = kind_of(path)
    if not kind:
        return None
    called = (
        entry.name
        for entry in catalog.values()
        if isinstance(entry.origin, Unpinned) and entry.origin.published_file == path.name
    )
    name = next(called, "NAME")
    one_of = f", where NAME is one of {names(catalog, 'localizer')}" if name == "NAME" else ""
    return ModelError(
        f"{path} holds {kind} as its authors publish it, and has to be imported first",
        f"`sidscan models import {shlex.quote(str(path))} --as {name}`, then `--model {name}`{one_of}.",
    )


def names(catalog: Mapping[str, CatalogEntry], kind: str) -> str:
    """The models of a kind without a published digest."""
    unpinned = (entry for entry in catalog.values() if not entry.is_pinned and entry.kind == kind)
    return ", ".join(entry.name for entry in unpinned)


def only_a_page(entry: CatalogEntry, origin: Unpinned) -> UsageError:
    """The error for a file that only a browser can fetch."""
    return UsageError(
        f"{entry.name} can't be pulled: its authors publish {origin.published_file} on a page for browsers",
        f"Fetch it from {origin.url}, then `sidscan models import FILE --as {entry.name}`.",
    )


def another_file(path: Path, first: Installed, digest: str) -> DigestMismatch:
    """The error for a file that is not the one that was installed first."""
    return DigestMismatch(
        f"{path.name} is not the {first.entry.name} that was installed first: sha256 {digest}, expected "
        f"{first.source_sha256 or first.sha256}",
        "If its authors replaced it, and you trust this file, repeat the command with --replace.",
    )
