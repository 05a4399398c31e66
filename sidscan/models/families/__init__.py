"""One file per kind of detector, and the registry in which each enters its family.

A family says how weights of its kind are laid out, which network they belong to, and which models of the kind
are known. Adding a detector takes one file: a subclass of `HeadFamily` (a head on a CLIP encoder),
`DetectorFamily` (a network of its own) or `LocalizerFamily` (maps, not scores), decorated with `register`.
Files in this folder are found by themselves; other packages name theirs under the entry-point group
``sidscan.detectors`` (examples/third_party_detector). timm's model registry is the pattern.

Importing a family loads no torch, so that ``sidscan models list`` and the message about a wrong model name
take no seconds. Networks are therefore imported inside methods, from `sidscan.models.heads` and
`sidscan.models.backbones`.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry, PatchSpec, TileSpec
from sidscan.models.shapes import Shape
from sidscan.util.bibtex import Citation
from sidscan.util.entry_points import load_entry_points

if TYPE_CHECKING:
    from torch import Tensor

    from sidscan.models.backbones.base import Encoder
    from sidscan.models.heads.base import Head
    from sidscan.models.heads.decoder import Decoder, LocalizerNetwork
    from sidscan.models.localizer_checkpoints import LocalizerCheckpoint

ENTRY_POINTS = "sidscan.detectors"
_FIRST = (
    "mini",
    "rine_ensemble",
    "rine",
    "ufd",
    "cnndet",
    "dmid",
    "npr",
    "c2p_clip",
    "clip_based_sid",
    "patch_forensics",
    "lgrad",
    "feature_pyramid",
    "token_decoder",
    "declip",
)  # in lists of models; the others follow by name
_REGISTERED: dict[str, Family] = {}
_log = logging.getLogger("sidscan.models")

TensorSize = tuple[int, ...]
"""The shape of a tensor; `Shape` is that of a model."""


class Family(ABC):
    """Weights of one kind.

    Attributes:
        name: of the family; a checkpoint states its head by it.
        entries: the models of this kind that the catalog knows.
        papers: what a text that uses one of them cites, the most important first.
    """

    name: ClassVar[str]
    papers: ClassVar[tuple[Citation, ...]] = ()
    entries: tuple[CatalogEntry, ...] = ()

    def shape(self, tensors: Mapping[str, Tensor]) -> Shape | None:  # noqa: ARG002
        """The shape that these tensors have, as `normalise` returns them; None where the catalog states none.

        Raises:
            ModelError: they are not of this kind.
        """
        return None

    def normalise(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``tensors`` under the names that the network uses, nothing missing, nothing besides.

        Raises:
            ModelError: names, shapes, types or values are not those of this kind.
        """
        return dict(tensors)


class EncoderFamily(Family):
    """A kind of encoder."""

    @abstractmethod
    def network(self, tensors: Mapping[str, Tensor]) -> Encoder:
        """The encoder with its weights, frozen, in float32.

        Args:
            tensors: as `normalise` returns them.

        Raises:
            ModelError: it reads crops of another size than a scan's.
        """


class DetectorFamily(Family):
    """A kind of detector.

    Attributes:
        fp16_safe: whether scores stay what they are when the encoder computes in half precision.
        patches: how the patches lie that it judges one by one; None for other kinds.
    """

    fp16_safe: ClassVar[bool] = False
    patches: ClassVar[PatchSpec | None] = None

    @abstractmethod
    def networks(self, tensors: Mapping[str, Tensor], encoder: Encoder | None) -> tuple[Encoder, Head]:
        """Encoder and head, frozen and ready to score.

        Args:
            tensors: as `normalise` returns them.
            encoder: the one that the catalog entry or the checkpoint names; None where it names none.

        Raises:
            ModelError: the tensors do not fit the network, or the head does not fit the encoder.
        """

    def patch_network(self, tensors: Mapping[str, Tensor]) -> LocalizerNetwork:  # noqa: ARG002
        """The logits of its ``patches``, frozen and ready to compute: pictures -> (b, rows, columns).

        Args:
            tensors: as `normalise` returns them.

        Raises:
            ModelError: it judges no patches.
        """
        raise ModelError(f"{self.name} judges no patches one by one")


class HeadFamily(DetectorFamily):
    """A kind of head on an encoder that other heads share: one pass of the encoder serves all of them."""

    fp16_safe = True  # CLIP was published in fp16; heads compute in fp32

    @abstractmethod
    def head_class(self) -> type[Head]:
        """The network, whose parameters have the names of the published weights."""

    @abstractmethod
    def fits(self, head: Head, encoder: Encoder) -> bool:
        """Whether the head reads as many blocks, and as wide ones, as the encoder has."""

    def networks(self, tensors: Mapping[str, Tensor], encoder: Encoder | None) -> tuple[Encoder, Head]:
        """The encoder as it is, and the head with its weights."""
        from sidscan.models.heads.base import with_weights

        if encoder is None:
            raise ModelError(f"a {self.name} head needs an encoder, and none is named")
        try:
            head = with_weights(self.head_class(), tensors)
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"these tensors are not those of a {self.name} head: {error}") from error
        if not self.fits(head, encoder):
            raise ModelError(f"this {self.name} head does not fit the encoder that is named with it")
        return encoder, head


class LocalizerFamily(Family):
    """A kind of localizer: a decoder that turns patch features of encoders into a map.

    Attributes:
        fp16_safe: whether maps stay what they are when encoders compute in half precision.
        tile: how much of an image it reads at a time, and how tiles overlap.
    """

    fp16_safe: ClassVar[bool] = True
    tile: ClassVar[TileSpec]

    @abstractmethod
    def untrained(self, config: Mapping[str, Any]) -> Decoder:
        """The decoder that ``config`` describes, as its checkpoint states it.

        Raises:
            ModelError: it describes none.
        """

    def from_published(self, path: Path, entry: CatalogEntry) -> LocalizerCheckpoint:
        """The checkpoint that sidscan makes of a published file, which it reads without torch.

        Raises:
            ModelError: the file is not the model that ``entry`` describes.
        """
        raise ModelError(f"{path.name} can't be {entry.name}, which is not made of a published file")

    def from_checkpoint(self, path: Path, entry: CatalogEntry) -> LocalizerCheckpoint:
        """A checkpoint that `from_published` made, on another machine perhaps.

        Raises:
            ModelError: it does not hold the decoder that ``entry`` describes.
        """
        raise ModelError(f"{path.name} is not a checkpoint of {entry.name}")

    def fits(self, decoder: Decoder, encoders: Sequence[Encoder]) -> bool:
        """Whether these encoders have the features that the decoder reads, together as wide as it takes."""
        if len(encoders) != len(decoder.reads):
            return False
        pairs = zip(encoders, decoder.reads, strict=True)
        widths = [encoder.width_of(feature) for encoder, features in pairs for feature in features]
        return None not in widths and sum(filter(None, widths)) == decoder.channels

    def networks(
        self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], encoders: Sequence[Encoder]
    ) -> LocalizerNetwork:
        """Encoders and decoder as one network, frozen and ready to compute.

        Raises:
            ModelError: ``config``, tensors and encoders don't fit together.
        """
        from sidscan.models.heads.decoder import LocalizerNetwork, with_weights

        try:
            decoder = with_weights(self.untrained(config), tensors)
        except RuntimeError as error:
            raise ModelError(f"these tensors are not those of a {self.name} decoder: {error}") from error
        if not self.fits(decoder, encoders):
            raise ModelError(f"this {self.name} decoder does not fit the encoders that are named with it")
        return LocalizerNetwork(tuple(encoders), decoder)


def register(family: type[Family]) -> type[Family]:
    """Register a family, and its models in the catalog; a class decorator.

    Raises:
        ValueError: a family, or a model, of that name is registered already.
    """
    new = family()
    names = {entry.name for known in _REGISTERED.values() for entry in known.entries}
    doubles = [entry.name for entry in new.entries if entry.name in names]
    if new.name in _REGISTERED or doubles:
        raise ValueError(f"{', '.join(doubles) or new.name} is registered already")
    new.entries = tuple(replace(entry, family=new.name) for entry in new.entries)
    _REGISTERED[new.name] = new
    return family


@cache
def all_families() -> Mapping[str, Family]:
    """Every family by name: those of this folder, then those of other installed packages.

    A package that can't be loaded is named in the log and left out; its models are then unknown.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    load_entry_points(ENTRY_POINTS, _REGISTERED, "detectors", _log)
    return dict(sorted(_REGISTERED.items(), key=lambda named: _order(named[1])))


def _order(family: Family) -> tuple[int, str]:
    """The place of a family in lists, whichever module happened to be imported first."""
    module = type(family).__module__.removeprefix(f"{__name__}.")
    return (_FIRST.index(module) if module in _FIRST else len(_FIRST), module)


def find_family(name: str) -> Family:
    """The family called ``name``.

    Raises:
        ModelError: none is.
    """
    try:
        return all_families()[name]
    except KeyError:
        raise ModelError(
            f"no kind of detector is called {name!r}",
            f"Known are {', '.join(all_families())}; another package may have to be installed.",
        ) from None


def detector_family(name: str) -> DetectorFamily:
    """The same, of a kind that scores.

    Raises:
        ModelError: none is called so, or it is a kind of encoder.
    """
    family = find_family(name)
    if not isinstance(family, DetectorFamily):
        kind = "localizer" if isinstance(family, LocalizerFamily) else "encoder"
        raise ModelError(f"{name} is a kind of {kind}, not of detector")
    return family


def encoder_family(name: str) -> EncoderFamily:
    """The same, of a kind that heads and decoders read.

    Raises:
        ModelError: none is called so, or it is another kind.
    """
    family = find_family(name)
    if not isinstance(family, EncoderFamily):
        raise ModelError(f"{name} is not a kind of encoder")
    return family


def localizer_family(name: str) -> LocalizerFamily:
    """The same, of a kind that makes maps.

    Raises:
        ModelError: none is called so, or it is another kind.
    """
    family = find_family(name)
    if not isinstance(family, LocalizerFamily):
        raise ModelError(f"{name} is not a kind of localizer")
    return family
