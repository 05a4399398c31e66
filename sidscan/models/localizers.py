"""Localizers: models that say where an image was edited. Their weights, verified, and what is known of them.

`sidscan.runtimes.localizers.open_localizer` computes maps with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from sidscan.config import SIDE
from sidscan.errors import ModelError
from sidscan.models import unpinned
from sidscan.models.catalog import CatalogEntry, PatchSpec, TileSpec, find_entry
from sidscan.models.detectors import BY_THE_USER, Encoders
from sidscan.models.families import DetectorFamily, find_family, localizer_family
from sidscan.models.installed import Installed
from sidscan.models.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.decoder import LocalizerNetwork
    from sidscan.models.localizer_checkpoints import LocalizerCheckpoint

__all__ = ["LoadedLocalizer", "Localizer", "LocalizerInfo", "TileSpec", "load_localizer"]


@dataclass(frozen=True, slots=True)
class LocalizerInfo:
    """What a report says of a localizer.

    Attributes:
        digest: first 16 hex digits of the sha256 of each weights file, decoder before encoders, joined by
            ``+``.
        files: full sha256 per weights file, by catalog name.
        provenance: how each file was verified, by catalog name.
        licence: of the decoder's weights; empty where its file states none.
        tile: how it reads an image.
        threshold: probability above which a pixel counts as marked.
        alarm_area: share of an image's pixels above ``threshold`` that 1 % of whole photographs exceed; None
            where nobody measured it.
        card: what else its checkpoint or its card states.
        alarm_contrast: contrast of a map (`sidscan.localize.contrast`) that 1 % of whole photographs exceed;
            None where nobody measured it.
    """

    name: str
    digest: str
    files: Mapping[str, str]
    provenance: Mapping[str, str]
    licence: str
    tile: TileSpec
    threshold: float
    alarm_area: float | None
    card: Mapping[str, Any]
    alarm_contrast: float | None = None


@dataclass(frozen=True, slots=True)
class PatchMapInfo(LocalizerInfo):
    """Of a detector of whole images whose patches make the map; nobody trained it to find edits.

    Attributes:
        patches: how they lie. ``tile`` has their side and stride, in pixels of the picture.
    """

    patches: PatchSpec | None = None


class Localizer(Protocol):
    """Makes maps."""

    info: LocalizerInfo

    def maps(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB (b, h, w, 3) -> probabilities (b, side, side) that a pixel was made or changed by a generator.

        What is not of the size that the encoder reads is resized to it, as published (PIL, bilinear,
        antialiased), other shapes than squares, too. Tiles of ``info.tile.side`` get a map that lies pixel on
        pixel on them; for a whole image of another size (protocol ``global``) it covers the whole image.
        """
        ...


class LoadedLocalizer(NamedTuple):
    """A localizer's networks, on the CPU in float32."""

    info: LocalizerInfo
    network: LocalizerNetwork
    fp16_safe: bool


def load_localizer(
    ref: str | Path,
    store: Store | None = None,
    encoders: Sequence[Path] = (),
) -> LoadedLocalizer:
    """A localizer with its weights, verified byte for byte.

    Args:
        ref: a name of the catalog, or a checkpoint (`sidscan.models.localizer_checkpoints`).
        encoders: weights of encoders that a checkpoint was trained on, where they are not the catalog's.

    Raises:
        UnknownModel: no such name and no such file.
        ModelNotInstalled: known, but not on this machine.
        DigestMismatch: a file is no longer what was installed, or not what a checkpoint was trained on.
        ModelError: a file is damaged, or the model is no localizer.
    """
    opener = Encoders(store or Store(), encoders)
    name = str(ref)
    if name in opener.store.catalog or not (Path(name).suffix or Path(name).exists()):
        return _from_store(require_localizer(name, opener.store), opener)
    return _from_file(Path(name), opener)


def patches_of(name: str, store: Store) -> PatchSpec | None:
    """How the patches of a detector of the catalog lie; None for another model, or an unknown one."""
    entry = store.catalog.get(name)
    family = find_family(entry.family) if entry is not None and entry.kind == "detector" else None
    return family.patches if isinstance(family, DetectorFamily) else None


def load_patches(name: str, patches: PatchSpec, store: Store) -> LoadedLocalizer:
    """A detector that judges patches, its weights verified; ``patches`` as `patches_of` has them.

    Raises:
        ModelNotInstalled, DigestMismatch, ModelError: as `load_localizer`.
    """
    from sidscan.models.state_dicts import load_tensors

    installed = store.require(name)
    entry = installed.entry
    family = find_family(entry.family)
    assert isinstance(family, DetectorFamily)
    info = PatchMapInfo(
        name=name,
        digest=installed.sha256[:16],
        files={name: installed.sha256},
        provenance={name: installed.verified_by},
        licence=entry.licence,
        tile=TileSpec(patches.side, patches.side, patches.stride),
        threshold=entry.threshold or 0.5,
        alarm_area=None,
        card={},
        patches=patches,
    )
    network = family.patch_network(load_tensors(entry, installed.path))
    return LoadedLocalizer(info, network, family.fp16_safe)


def require_localizer(name: str, store: Store) -> Installed:
    """A localizer of the catalog, its bytes hashed again.

    Raises:
        ModelError: it is another kind of model.
        UnknownModel, ModelNotInstalled, DigestMismatch: as `Store.require`.
    """
    entry = find_entry(name, store.catalog)
    if entry.kind != "localizer":
        raise ModelError(
            f"{name} is not a localizer: its kind is {entry.kind}",
            f"Name a localizer: {', '.join(_localizers(store.catalog))}.",
        )
    return store.require(name)


def _from_store(installed: Installed, encoders: Encoders) -> LoadedLocalizer:
    from sidscan.models.localizer_checkpoints import read_localizer_checkpoint

    checkpoint, _ = read_localizer_checkpoint(installed.path)
    found = [encoders.store.require_or_stand_in(name) for name in installed.entry.encoders]
    return _loaded(
        checkpoint, [encoders.of(each) for each in found], installed_info(checkpoint, installed, *found)
    )


def _from_file(path: Path, encoders: Encoders) -> LoadedLocalizer:
    """The localizer in a checkpoint; reports call it by the file's name."""
    from sidscan.models.localizer_checkpoints import read_localizer_checkpoint

    try:
        checkpoint, sha256 = read_localizer_checkpoint(path)
    except ModelError as error:
        raise unpinned.not_imported(path, encoders.store.catalog) or error from error
    opened = encoders.trained_on(checkpoint.encoders)
    info = _info(
        checkpoint,
        name=path.name,
        files={path.name: sha256, **{each.name: each.sha256 for each in opened}},
        provenance={path.name: BY_THE_USER, **{each.name: each.provenance for each in opened}},
        licence=checkpoint.licence,
    )
    try:
        return _loaded(checkpoint, [each.encoder for each in opened], info)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", error.remedy) from error


def installed_info(checkpoint: LocalizerCheckpoint, *files: Installed) -> LocalizerInfo:
    """What reports say of a localizer of the catalog.

    Args:
        files: its own, then those of its encoders.
    """
    entry = files[0].entry
    return _info(
        checkpoint,
        name=entry.name,
        files={each.entry.name: each.sha256 for each in files},
        provenance={each.entry.name: each.verified_by for each in files},
        licence=entry.licence,
    )


def _info(
    checkpoint: LocalizerCheckpoint,
    *,
    name: str,
    files: Mapping[str, str],
    provenance: Mapping[str, str],
    licence: str,
) -> LocalizerInfo:
    return LocalizerInfo(
        name=name,
        digest="+".join(sha256[:16] for sha256 in files.values()),
        files=files,
        provenance=provenance,
        licence=licence,
        tile=checkpoint.tile,
        threshold=checkpoint.threshold,
        alarm_area=checkpoint.alarm_area,
        card=checkpoint.facts,
        alarm_contrast=checkpoint.alarm_contrast,
    )


def _loaded(
    checkpoint: LocalizerCheckpoint, encoders: Sequence[Encoder], info: LocalizerInfo
) -> LoadedLocalizer:
    family = localizer_family(checkpoint.family)
    tensors = cast("Mapping[str, Tensor]", checkpoint.tensors)  # as they were read: torch's
    network = family.networks(checkpoint.config, tensors, encoders)
    if network.decoder.side != checkpoint.tile.side:
        raise ModelError(
            f"its maps are of {network.decoder.side} px, its tiles of {checkpoint.tile.side} px", _MADE_BY
        )
    if checkpoint.tile.read != SIDE:
        raise ModelError(
            f"its tiles are resized to {checkpoint.tile.read} px, and encoders read {SIDE} px", _MADE_BY
        )
    return LoadedLocalizer(info, network.eval(), family.fp16_safe)


_MADE_BY = "`sidscan train-localizer` and `sidscan models import` make such files."


def _localizers(catalog: Mapping[str, CatalogEntry]) -> list[str]:
    return [entry.name for entry in catalog.values() if entry.kind == "localizer"]


def is_localizer(ref: str, store: Store) -> bool:
    """Whether a name or file leads to a localizer, as far as it says so itself."""
    if ref in store.catalog:
        return store.catalog[ref].kind == "localizer"
    from sidscan.models.localizer_checkpoints import states_localizer  # here: it loads safetensors

    return states_localizer(Path(ref))


def installed_files(name: str, store: Store) -> dict[str, str]:
    """sha256 by name of an installed localizer and the encoders that serve it; their bytes are hashed.

    Raises:
        UnknownModel, ModelNotInstalled, DigestMismatch: as `load_localizer`.
    """
    decoder = store.require(name)
    found = [decoder, *(store.require_or_stand_in(encoder) for encoder in decoder.entry.encoders)]
    return {each.entry.name: each.sha256 for each in found}
