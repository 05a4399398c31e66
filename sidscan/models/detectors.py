"""Names of the catalog, and files -> networks that are ready to score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sidscan.errors import DigestMismatch, ModelError
from sidscan.models.abstention import EVERY_PICTURE, Abstention
from sidscan.models.catalog import CATALOG, MINI, CatalogEntry, ProbeShape
from sidscan.models.store import Installed, Store, hash_file

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.clip import ClipEncoder
    from sidscan.models.backbones.mini import MiniEncoder
    from sidscan.models.families.rine import Head, RineHead

from sidscan.config import SIDE

PREFERRED = "rine-4class"  # the best of the published heads on the paper's 20 sets


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """A detector as a report names it.

    Attributes:
        digest: first 16 hex digits of the sha256 of each weights file, head before encoder, joined by ``+``.
        files: full sha256 per weights file, by catalog name.
        provenance: how each file was verified, by catalog name.
        abstention: which pictures its evidence has no word for.
    """

    name: str
    digest: str
    threshold: float  # score at which evidence stops being weak
    files: dict[str, str]
    provenance: dict[str, str]
    abstention: Abstention = EVERY_PICTURE


@dataclass(frozen=True)
class Detector:
    """An encoder, the head that reads it, and how a report names the two.

    Attributes:
        half: whether the encoder keeps its meaning in half precision. CLIP does, and was published in fp16;
            the bundled encoder measures fine differences of pixels and does not.
    """

    info: DetectorInfo
    encoder: ClipEncoder | MiniEncoder
    head: Head
    half: bool


def choose(requested: Sequence[str], store: Store | None = None) -> tuple[tuple[str, ...], str]:
    """The detectors to use, and in words why these: asked for, or the best that is installed.

    A folder stands for the checkpoints in it.
    """
    store = store or Store()
    if requested:
        named = [name for asked in requested for name in _in_folder(asked, store)]
        return tuple(dict.fromkeys(named)), "asked for"
    needed = [entry.name for entry in store.needed([PREFERRED])]
    missing = [name for name in needed if not store.installed(name)]
    if not missing:
        return (PREFERRED,), "default"
    if PREFERRED in missing:
        return (MINI,), f"fallback: {PREFERRED} is not installed"
    return (MINI,), f"fallback: {missing[0]}, which {PREFERRED} reads, is not installed"


def _in_folder(asked: str, store: Store) -> list[str]:
    """The checkpoints in a folder, sorted; anything else as it is."""
    if asked in store.catalog or not Path(asked).is_dir():
        return [asked]
    found = [str(path) for path in sorted(Path(asked).glob("*.safetensors"))]
    if not found:
        raise ModelError(f"the folder {asked} holds no checkpoint", "`sidscan train` and `study` write them.")
    return found


def load(names: Sequence[str], store: Store | None = None, encoder: Path | None = None) -> list[Detector]:
    """Detectors with their weights, verified byte for byte; an encoder that several need is loaded once.

    Args:
        names: of the catalog, or paths of checkpoint files.
        encoder: weights file of the encoder that checkpoints were trained on, where it is not the catalog's.

    Raises:
        UnknownModel: no such name and no such file.
        ModelNotInstalled: known, but not on this machine.
        DigestMismatch: the file is no longer what was installed, or not what a checkpoint was trained on.
        ModelError: a file is damaged, or two files have one name.
    """
    encoders = Encoders(store or Store(), encoder)
    loaded = [_detector(name, encoders) for name in names]
    labels = [detector.info.name for detector in loaded]
    for name in labels:
        if labels.count(name) > 1:
            raise ModelError(f"two models are called {name}", "Rename a file: reports tell models by name.")
    return loaded


def installed(names: Sequence[str], store: Store | None = None) -> list[DetectorInfo]:
    """What reports say of installed detectors; their bytes are hashed, not loaded.

    Raises:
        UnknownModel, ModelNotInstalled, DigestMismatch: as `load`.
    """
    store = store or Store()
    found = []
    for name in names:
        head = store.require(name)
        found.append(
            _info(head.entry, head, *([store.require(head.entry.encoder)] if head.entry.encoder else []))
        )
    return found


class Encoders:
    """Encoders, each loaded once however many heads read it.

    Args:
        file: an encoder's weights that are in no store.
    """

    def __init__(self, store: Store, file: Path | None = None) -> None:
        self.store = store
        self.file = file
        self._loaded: dict[str, ClipEncoder] = {}

    def installed(self, name: str) -> tuple[ClipEncoder, Installed]:
        """The catalog's encoder ``name``.

        Raises:
            ModelNotInstalled, DigestMismatch, ModelError: as `Store.require` and `layouts.load`.
        """
        from sidscan.models import state_dicts

        installed = self.store.require(name)
        if installed.sha256 not in self._loaded:
            self._loaded[installed.sha256] = _clip(state_dicts.load(installed.entry, installed.path))
        return self._loaded[installed.sha256], installed

    def given(self) -> tuple[ClipEncoder, str]:
        """The encoder in ``file``, and the file's sha256.

        Raises:
            ModelError: there is none, or it is not the image encoder of a CLIP for 224 px.
        """
        from sidscan.models import state_dicts

        if self.file is None:
            raise ModelError("no encoder was given", "Name its weights with --encoder FILE.")
        sha256 = hash_file(self.file, "sha256")["sha256"]
        if sha256 not in self._loaded:
            self._loaded[sha256] = _clip(state_dicts.clip_visual(state_dicts.read_tensors(self.file)))
        return self._loaded[sha256], sha256

    def trained_on(self, name: str, sha256: str) -> tuple[ClipEncoder, str]:
        """The encoder with these very bytes, and in words who vouches for it.

        Raises:
            ModelError: neither the store nor ``file`` holds it.
        """
        if self.file is not None:
            given = hash_file(self.file, "sha256")["sha256"]
            if given != sha256:
                raise DigestMismatch(
                    f"{self.file} is not the encoder {name} that this checkpoint was trained on: "
                    f"sha256 {given}, expected {sha256}",
                    "Name the weights that it was trained on, whole and unchanged.",
                )
            return self.given()[0], "file given by the user"
        if name in self.store.catalog and self.store.installed(name):
            encoder, installed = self.installed(name)
            if installed.sha256 == sha256:
                return encoder, installed.verified_by
        raise DigestMismatch(
            f"this checkpoint was trained on the encoder {name} with sha256 {sha256}, which is not here",
            "Name its weights with --encoder FILE."
            if name not in self.store.catalog
            else f"Install it (`sidscan models pull {name}`), or name its weights with --encoder FILE.",
        )


def _detector(name: str, encoders: Encoders) -> Detector:
    if name not in encoders.store.catalog and (Path(name).suffix or Path(name).exists()):
        return _from_file(Path(name), encoders)
    return _from_store(encoders.store.require(name), encoders)


def _from_store(installed: Installed, encoders: Encoders) -> Detector:
    from sidscan.models import state_dicts

    entry = installed.entry
    if entry.kind != "detector":
        detectors = ", ".join(name for name, known in CATALOG.items() if known.kind == "detector")
        raise ModelError(f"{entry.name} is an encoder, not a detector", f"Choose one of {detectors}.")
    tensors = state_dicts.load(entry, installed.path)
    if entry.encoder is None:
        return Detector(_info(entry, installed), *mini(tensors), half=False)
    encoder, source = encoders.installed(entry.encoder)
    kind = "linear" if isinstance(entry.shape, ProbeShape) else "rine"
    return Detector(_info(entry, installed, source), encoder, _head(kind, tensors), half=True)


def _from_file(path: Path, encoders: Encoders) -> Detector:
    """A detector that a checkpoint describes; reports call it by the file's name."""
    from sidscan.models import checkpoints

    checkpoint, sha256 = checkpoints.read(path)
    if checkpoint.head is None:
        info = DetectorInfo(
            path.name,
            sha256[:16],
            checkpoint.threshold,
            {path.name: sha256},
            _given(path.name),
            checkpoint.abstention,
        )
        return Detector(info, *_own_encoder(path, checkpoint.tensors), half=False)
    encoder, vouched = encoders.trained_on(checkpoint.encoder, checkpoint.encoder_sha256)
    head = checkpoint.build_head()
    _check_fit(path, encoder, head)
    info = DetectorInfo(
        name=path.name,
        digest=f"{sha256[:16]}+{checkpoint.encoder_sha256[:16]}",
        threshold=checkpoint.threshold,
        files={path.name: sha256, checkpoint.encoder: checkpoint.encoder_sha256},
        provenance=_given(path.name) | {checkpoint.encoder: vouched},
    )
    return Detector(info, encoder, head, half=True)


def _given(name: str) -> dict[str, str]:
    return {name: "file given by the user"}


def _own_encoder(path: Path, tensors: dict[str, Tensor]) -> tuple[MiniEncoder, RineHead]:
    try:
        return mini(tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} is no detector like this version's bundled one",
            "Weights of another version are read by the release of sidscan that they came with.",
        ) from error


def _check_fit(path: Path, encoder: ClipEncoder, head: Head) -> None:
    """A head reads as many blocks, and as wide ones, as its encoder has."""
    from sidscan.models.families.rine import LinearProbe

    if isinstance(head, LinearProbe):
        fits = head.in_features == encoder.embedding
    else:
        fits = (head.blocks, head.width) == (encoder.blocks, encoder.width)
    if not fits:
        raise ModelError(f"{path}: the head does not fit the encoder that the file names")


def _info(entry: CatalogEntry, *files: Installed) -> DetectorInfo:
    if entry.threshold is None:
        raise ModelError(f"the catalog states no threshold for {entry.name}")
    return DetectorInfo(
        name=entry.name,
        digest="+".join(file.sha256[:16] for file in files),
        threshold=entry.threshold,
        files={file.entry.name: file.sha256 for file in files},
        provenance={file.entry.name: file.verified_by for file in files},
        abstention=entry.abstention,
    )


def _clip(tensors: dict[str, Tensor]) -> ClipEncoder:
    from sidscan.models.backbones.clip import ClipEncoder  # here: it loads open_clip

    encoder = ClipEncoder.from_state(tensors)
    if encoder.side != SIDE:
        raise ModelError(f"this encoder sees pictures of {encoder.side} px, not {SIDE} px")
    return encoder


def mini(tensors: dict[str, Tensor]) -> tuple[MiniEncoder, RineHead]:
    """The bundled detector's networks from its file's tensors (``encoder.*``, ``head.*``), ready to score."""
    from sidscan.models.backbones.mini import MiniEncoder
    from sidscan.models.families.rine import RineHead

    head = RineHead.shaped_like(_part(tensors, "head."))
    head.load_state_dict(_part(tensors, "head."), strict=True)
    encoder = MiniEncoder(head.width)
    encoder.load_state_dict(_part(tensors, "encoder."), strict=True)
    return encoder.eval().requires_grad_(False), head.eval().requires_grad_(False)


def _head(kind: str, tensors: dict[str, Tensor]) -> Head:
    from sidscan.models.families.rine import HEADS

    head = HEADS[kind].shaped_like(tensors)
    head.load_state_dict(tensors, strict=True)
    return head.eval().requires_grad_(False)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
