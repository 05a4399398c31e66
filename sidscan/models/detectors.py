"""Names of the catalog -> networks that are ready to score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidscan.errors import ModelError
from sidscan.models.catalog import CATALOG, MINI, CatalogEntry
from sidscan.models.store import Installed, Store

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sidscan.models.backbones.mini import MiniEncoder
    from sidscan.models.heads import RineHead

PREFERRED = "rine-4class"  # the best of the published heads (paper, table 1)


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """A detector as a report names it.

    Attributes:
        digest: first 16 hex digits of the sha256 of each weights file, head before encoder, joined by ``+``.
        files: full sha256 per weights file, by catalog name.
        provenance: how each file was verified, by catalog name.
    """

    name: str
    digest: str
    threshold: float  # score at which evidence stops being weak
    files: dict[str, str]
    provenance: dict[str, str]


@dataclass(frozen=True)
class Detector:
    """An encoder, the head that reads it, and how a report names the two.

    Attributes:
        half: whether the encoder keeps its meaning in half precision. CLIP does, and was published in fp16;
            the bundled encoder measures fine differences of pixels and does not.
    """

    info: DetectorInfo
    encoder: nn.Module
    head: nn.Module
    half: bool


def choose(requested: Sequence[str], store: Store | None = None) -> tuple[tuple[str, ...], str]:
    """The detectors to use, and in words why these: asked for, or the best that is installed."""
    if requested:
        return tuple(dict.fromkeys(requested)), "asked for"
    store = store or Store()
    needed = [entry.name for entry in store.needed([PREFERRED])]
    missing = [name for name in needed if not store.installed(name)]
    if not missing:
        return (PREFERRED,), "default"
    if PREFERRED in missing:
        return (MINI,), f"fallback: {PREFERRED} is not installed"
    return (MINI,), f"fallback: {missing[0]}, which {PREFERRED} reads, is not installed"


def load(names: Sequence[str], store: Store | None = None) -> list[Detector]:
    """Detectors with their weights, verified byte for byte; an encoder that several need is loaded once.

    Raises:
        UnknownModel: no such name.
        ModelNotInstalled: known, but not on this machine.
        DigestMismatch: the file is no longer what was installed.
    """
    store = store or Store()
    encoders: dict[str, tuple[Installed, nn.Module]] = {}
    return [_detector(store.require(name), store, encoders) for name in names]


def _detector(
    installed: Installed, store: Store, encoders: dict[str, tuple[Installed, nn.Module]]
) -> Detector:
    from sidscan.models import layouts

    entry = installed.entry
    if entry.kind != "detector":
        detectors = ", ".join(name for name, known in CATALOG.items() if known.kind == "detector")
        raise ModelError(f"{entry.name} is an encoder, not a detector", f"Choose one of {detectors}.")
    tensors = layouts.load(entry, installed.path)
    if entry.encoder is None:
        return Detector(_info(entry, installed), *mini(tensors), half=False)
    if entry.encoder not in encoders:
        encoders[entry.encoder] = _clip(store.require(entry.encoder))
    source, encoder = encoders[entry.encoder]
    return Detector(_info(entry, installed, source), encoder, _head(tensors), half=True)


def _info(entry: CatalogEntry, *files: Installed) -> DetectorInfo:
    if entry.threshold is None:
        raise ModelError(f"the catalog states no threshold for {entry.name}")
    return DetectorInfo(
        name=entry.name,
        digest="+".join(file.sha256[:16] for file in files),
        threshold=entry.threshold,
        files={file.entry.name: file.sha256 for file in files},
        provenance={file.entry.name: file.verified_by for file in files},
    )


def _clip(installed: Installed) -> tuple[Installed, nn.Module]:
    from sidscan.models import layouts
    from sidscan.models.backbones.clip import ClipEncoder  # here: it loads open_clip

    return installed, ClipEncoder.from_state(layouts.load(installed.entry, installed.path))


def mini(tensors: dict[str, Tensor]) -> tuple[MiniEncoder, RineHead]:
    """The bundled detector's networks from its file's tensors (``encoder.*``, ``head.*``), ready to score."""
    from sidscan.models.backbones.mini import MiniEncoder

    head = _head(_part(tensors, "head."))
    encoder = MiniEncoder(head.width)
    encoder.load_state_dict(_part(tensors, "encoder."), strict=True)
    return encoder.eval().requires_grad_(False), head


def _head(tensors: dict[str, Tensor]) -> RineHead:
    from sidscan.models.heads import RineHead

    head = RineHead.shaped_like(tensors)
    head.load_state_dict(tensors, strict=True)
    return head.eval().requires_grad_(False)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
