"""Models as they were named -> networks that are ready to score, their weights verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sidscan.errors import DigestMismatch, ModelError
from sidscan.models.backbones.named import is_named, named_encoder
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.digests import hash_file
from sidscan.models.families import detector_family, encoder_family
from sidscan.models.installed import Installed
from sidscan.models.refs import BUNDLED_MODEL, ModelKind, ModelRef
from sidscan.models.store import Store

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.checkpoints import Checkpoint
    from sidscan.models.heads.base import Head

BY_THE_USER = "file given by the user"
_RESNET = "torchvision's ResNet"


@dataclass(frozen=True)
class Detector:
    """An encoder, the head that reads it, and how a report names the two.

    Attributes:
        fp16_safe: whether the encoder keeps its meaning in half precision. CLIP does, and was published in
            fp16; the bundled encoder measures fine differences of pixels and does not.
    """

    info: DetectorInfo
    encoder: Encoder
    head: Head
    fp16_safe: bool


class OpenedEncoder(NamedTuple):
    """An encoder with its weights, and what is known of the file.

    Attributes:
        name: of the catalog, or the file's.
        sha256: of the weights file, hex.
        provenance: in words, who vouches for it.
    """

    encoder: Encoder
    name: str
    sha256: str
    provenance: str


def load_detectors(
    models: Sequence[ModelRef | str], store: Store | None = None, encoder: Path | None = None
) -> list[Detector]:
    """Detectors with their weights, verified byte for byte; an encoder that several need is loaded once.

    Args:
        models: names of the catalog, or checkpoint files.
        encoder: weights file of the encoder that checkpoints were trained on, where it is not the catalog's.

    Raises:
        UnknownModel: no such name and no such file.
        ModelNotInstalled: known, but not on this machine.
        DigestMismatch: the file is no longer what was installed, or not what a checkpoint was trained on.
        ModelError: a file is damaged, or two files have one name.
    """
    encoders = Encoders(store or Store(), [encoder] if encoder else [])
    detectors = [load_detector(model, encoders) for model in models]
    names = [detector.info.name for detector in detectors]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"two models are called {name}", "Rename a file: reports tell models by name.")
    return detectors


def load_detector(model: ModelRef | str, encoders: Encoders) -> Detector:
    """One of them, on an encoder that others may share.

    Raises:
        UnknownModel, ModelNotInstalled, DigestMismatch, ModelError: as `load_detectors`.
    """
    return _load(_as_ref(model, encoders.store), encoders)


def installed_detectors(models: Sequence[ModelRef | str], store: Store | None = None) -> list[DetectorInfo]:
    """What reports say of installed detectors; their bytes are hashed, not loaded.

    Raises:
        UnknownModel, ModelNotInstalled, DigestMismatch: as `load_detectors`.
    """
    store = store or Store()
    infos = []
    for model in models:
        head = store.require(str(model))
        encoder = head.entry.encoder
        infos.append(entry_info(head.entry, head, *([store.require_or_stand_in(encoder)] if encoder else [])))
    return infos


class Encoders:
    """Encoders, each loaded once however many heads read it.

    Args:
        files: weights of encoders that are in no store.
    """

    def __init__(self, store: Store, files: Sequence[Path] = ()) -> None:
        self.store = store
        self._files = tuple(files)
        self._loaded: dict[tuple[str, str], Encoder] = {}  # by sha256, and by what the bytes are read as
        self._kinds: dict[str, str] = {}  # of files that nothing but their content describes, by sha256

    def open(self, name: str) -> OpenedEncoder:
        """The encoder in the file that was given, else the catalog's of that name.

        Raises:
            ModelNotInstalled, DigestMismatch, ModelError: as `Store.require` and `state_dicts.load_tensors`.
        """
        if self._files:
            (file,) = self._files
            sha256, called = _sha256(file), name if is_named(name) else file.name
            return OpenedEncoder(self._from_file(file, sha256, called), called, sha256, BY_THE_USER)
        installed = self.store.require(name)
        return OpenedEncoder(self.of(installed), name, installed.sha256, installed.verified_by)

    def trained_on(self, expected: Mapping[str, str]) -> list[OpenedEncoder]:
        """The encoders that a checkpoint was trained on: with these very bytes.

        Args:
            expected: sha256 by name; each is taken from the files that were given, else from the store.

        Raises:
            DigestMismatch: one of them is in neither, or a file is none of them.
        """
        given = {_sha256(file): file for file in self._files}
        for sha256, file in given.items():
            if sha256 not in expected.values():
                raise DigestMismatch(
                    f"{file} is not the encoder {' or '.join(expected)} that this checkpoint was trained on: "
                    f"sha256 {sha256}, expected {' or '.join(expected.values())}",
                    "Name the weights that it was trained on, whole and unchanged.",
                )
        return [
            OpenedEncoder(self._from_file(given[sha256], sha256, name), name, sha256, BY_THE_USER)
            if sha256 in given
            else self._installed_as(name, sha256)
            for name, sha256 in expected.items()
        ]

    def _installed_as(self, name: str, sha256: str) -> OpenedEncoder:
        """The catalog's encoder (or network of a detector) of that name, if it has these bytes."""
        if name in self.store.catalog and self.store.installed(name):
            installed = self.store.require(name)
            if installed.sha256 == sha256:
                return OpenedEncoder(self.of(installed), name, sha256, installed.verified_by)
        raise DigestMismatch(
            f"this checkpoint was trained on the encoder {name} with sha256 {sha256}, which is not here",
            "Name its weights with --encoder FILE."
            if name not in self.store.catalog
            else f"Install it (`sidscan models pull {name}`), or name its weights with --encoder FILE.",
        )

    def of(self, installed: Installed) -> Encoder:
        """The encoder in an installed file, or the network below a detector's last layer."""
        return self._of_entry(installed.entry, installed.path, installed.sha256)

    def _of_entry(self, entry: CatalogEntry, path: Path, sha256: str) -> Encoder:
        """The same, of a file that holds a model of the catalog.

        Raises:
            ModelError: it is a localizer, or a head that reads an encoder itself.
        """
        from sidscan.models.state_dicts import load_tensors

        if entry.kind == "localizer" or entry.encoder is not None:
            raise ModelError(
                f"{entry.name} is not a network that others read",
                "Name an encoder, or a detector that reads none; `sidscan models list` shows both.",
            )
        key = sha256, entry.family
        if key not in self._loaded:
            tensors = load_tensors(entry, path)
            self._loaded[key] = (
                encoder_family(entry.family).network(tensors)
                if entry.kind == "encoder"
                else detector_family(entry.family).networks(tensors, None)[0]
            )
        return self._loaded[key]

    def _from_file(self, file: Path, sha256: str, name: str) -> Encoder:
        """The encoder in a file.

        Weights don't tell everything, such as an activation function or the stride of a layer. The name does,
        where it is the catalog's or a library's; of other files the tensors tell the kind.
        """
        from sidscan.models.state_dicts import read_tensors

        if name in self.store.catalog:
            return self._of_entry(self.store.catalog[name], file, sha256)
        kind = name if is_named(name) else self._kinds.get(sha256, "")
        if (sha256, kind) not in self._loaded:
            tensors = read_tensors(file)
            if is_named(name):
                self._loaded[sha256, kind] = named_encoder(name, tensors)
            else:
                kind = self._kinds[sha256] = _kind_of(tensors)
                if (sha256, kind) not in self._loaded:
                    self._loaded[sha256, kind] = _described_by_itself(kind, tensors)
        return self._loaded[sha256, kind]


def _kind_of(tensors: Mapping[str, Tensor]) -> str:
    """The family of encoders that a file holds, as far as its tensors tell it; or `_RESNET`."""
    from sidscan.models.families.clip_resnet import is_resnet
    from sidscan.models.resnet_layout import is_backbone

    if is_backbone(tensors):
        return _RESNET
    return "clip_resnet" if is_resnet(tensors) else "clip"


def _described_by_itself(kind: str, tensors: Mapping[str, Tensor]) -> Encoder:
    if kind == _RESNET:
        from sidscan.models.backbones.imagenet_resnet import ImageNetResNet
        from sidscan.models.resnet_layout import backbone_of

        return ImageNetResNet.from_state(*backbone_of(tensors))
    family = encoder_family(kind)
    return family.network(family.normalise(tensors))


def _as_ref(model: ModelRef | str, store: Store) -> ModelRef:
    return model if isinstance(model, ModelRef) else ModelRef.parse(model, store.catalog)


def _load(model: ModelRef, encoders: Encoders) -> Detector:
    if model.kind is ModelKind.CHECKPOINT:
        return _from_checkpoint(model.path, encoders)
    return _from_store(encoders.store.require(model.name), encoders)


def _from_store(installed: Installed, encoders: Encoders) -> Detector:
    from sidscan.models.state_dicts import load_tensors

    entry = installed.entry
    if entry.kind != "detector":
        names = ", ".join(name for name, known in CATALOG.items() if known.kind == "detector")
        kind = "a localizer" if entry.kind == "localizer" else "an encoder"
        raise ModelError(f"{entry.name} is {kind}, not a detector", f"Choose one of {names}.")
    family = detector_family(entry.family)
    tensors = load_tensors(entry, installed.path)
    if entry.encoder is None:
        return _detector(entry_info(entry, installed), family.networks(tensors, None), family.fp16_safe)
    source = encoders.store.require_or_stand_in(entry.encoder)
    networks = family.networks(tensors, encoders.of(source))
    return _detector(entry_info(entry, installed, source), networks, family.fp16_safe)


def _from_checkpoint(path: Path, encoders: Encoders) -> Detector:
    """A detector that a checkpoint describes; reports call it by the file's name."""
    from sidscan.models.checkpoints import read_checkpoint

    checkpoint, sha256 = read_checkpoint(path)
    family = detector_family(checkpoint.head or BUNDLED_MODEL)
    digest, files, provenance = sha256[:16], {path.name: sha256}, {path.name: BY_THE_USER}
    encoder = None
    if checkpoint.head is not None:
        (opened,) = encoders.trained_on({checkpoint.encoder: checkpoint.encoder_sha256})
        encoder = opened.encoder
        digest += f"+{opened.sha256[:16]}"
        files[checkpoint.encoder] = opened.sha256
        provenance[checkpoint.encoder] = opened.provenance
    info = DetectorInfo(
        path.name,
        digest,
        checkpoint.threshold,
        files,
        provenance,
        checkpoint.abstention,
        checkpoint.cascade,
        checkpoint.cautions,
    )
    fp16_safe = family.fp16_safe and (encoder is None or encoder.fp16_safe)
    with _naming(path):
        _check_description(checkpoint, encoder)
        return _detector(info, family.networks(checkpoint.tensors, encoder), fp16_safe)


def _check_description(checkpoint: Checkpoint, encoder: Encoder | None) -> None:
    """Refuse an encoder that reads pixels otherwise than in training: another version of a library may.

    Raises:
        ModelError: it does.
    """
    stated = checkpoint.facts.get("backbone")
    if encoder is None or not isinstance(stated, dict) or stated == encoder.description:
        return
    different = [name for name in stated if stated[name] != encoder.description.get(name)]
    what = " and ".join(different) or "properties"
    raise ModelError(
        f"the encoder {checkpoint.encoder} has other {what} here than in training",
        "Install the version of its library that the checkpoint was trained with, or train again.",
    )


def _detector(info: DetectorInfo, networks: tuple[Encoder, Head], fp16_safe: bool) -> Detector:
    """The detector, if its head has the probes that its cautions need.

    Raises:
        ModelError: it lacks one.
    """
    if missing := [kind for kind in info.probed if kind not in networks[1].caution_kinds]:
        raise ModelError(f"its card cautions against {', '.join(missing)}, and its head has no probe for it")
    return Detector(info, *networks, fp16_safe)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of what a file holds, with the file's name in front."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", error.remedy) from error


def entry_info(entry: CatalogEntry, *files: Installed) -> DetectorInfo:
    """What reports say of a detector of the catalog.

    Args:
        files: its own, then its encoder's where it reads one.
    """
    if entry.threshold is None:
        raise ModelError(f"the catalog states no threshold for {entry.name}")
    return DetectorInfo(
        name=entry.name,
        digest="+".join(file.sha256[:16] for file in files),
        threshold=entry.threshold,
        files={file.entry.name: file.sha256 for file in files},
        provenance={file.entry.name: file.verified_by for file in files},
        abstention=entry.abstention,
        cascade=entry.cascade,
        cautions=entry.cautions,
        view=entry.view,
    )


def _sha256(file: Path) -> str:
    return hash_file(file, "sha256")["sha256"]
