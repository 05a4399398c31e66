"""Every model sidscan knows: where it comes from, what pins its bytes, what it sees, how well it does.

One table, `CATALOG`. Importing this module loads neither torch nor httpx.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from sidscan.errors import ModelError, UnknownModel
from sidscan.models.abstention import EVERY_PICTURE, Abstention

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
    def words(self) -> str:
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
    """Shape of a RINE head (paper, section 3): ``layers`` Linear layers each in Q1 and Q2."""

    blocks: int  # n
    width: int  # d
    projected: int  # d'
    layers: int  # q

    def __str__(self) -> str:
        return f"n={self.blocks} d={self.width} d'={self.projected} q={self.layers}"


@dataclass(frozen=True, slots=True)
class ProbeShape:
    """Shape of a linear probe on an encoder's picture embedding."""

    width: int

    def __str__(self) -> str:
        return f"linear probe on an embedding of {self.width}"


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Shape of a CLIP vision transformer; ``tokens`` counts the patches and the class token."""

    layers: int
    width: int
    patch: int  # pixels
    tokens: int
    embedding: int  # width after the projection

    def __str__(self) -> str:
        return (
            f"{self.layers} blocks, width {self.width}, patch {self.patch}, {self.tokens} tokens, "
            f"embedding {self.embedding}"
        )


Shape: TypeAlias = HeadShape | ProbeShape | EncoderShape


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What a model sees of a picture: square crops of the original pixels, never resized, normalised."""

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


@dataclass(frozen=True, slots=True)
class Bundled:
    """Weights that come with sidscan. Their digest, threshold and metrics are in the card beside them.

    Attributes:
        file, card: names in ``folder``; the card is JSON, with ``sha256``, ``threshold``, ``metrics``
            and ``abstention``.
        folder: None is the package's own ``sidscan/weights``.
    """

    file: str
    card: str
    folder: Path | None = None

    @property
    def path(self) -> Path:
        """The weights file."""
        return self._beside(self.file)

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
            ModelError: it is no such rule.
        """
        try:
            return Abstention.from_dict(self.facts()["abstention"])
        except (ValueError, AttributeError, TypeError) as error:
            raise ModelError(
                f"the card of the bundled model states no rule of abstention: {self._beside(self.card)}",
                REINSTALL,
            ) from error

    @property
    def metrics(self) -> Metrics:
        """Accuracy at the threshold and average precision on held-out pictures, as the card states them."""
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
            missing = {"sha256", "threshold", "metrics", "abstention"} - facts.keys()
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
        encoder: name of the encoder entry a detector needs; None for encoders and self-contained detectors.
        origin: where the bytes come from and what is stated of them.
        provenance: repository, commit, paper.
        shape: of the weights; None where the weights describe themselves (bundled).
        xi: weight of the contrastive loss the head was trained with, ``epochs`` likewise; facts, not options.
        size: bytes, approximate, for announcements.
    """

    name: str
    kind: Literal["detector", "encoder"]
    summary: str
    licence: str
    provenance: str
    origin: Published | Bundled
    size: int
    encoder: str | None = None
    view: Preprocess | None = None
    shape: Shape | None = None
    xi: float | None = None
    epochs: int | None = None

    @property
    def url(self) -> str | None:
        """Where the published file is; None for a bundled model."""
        return self.origin.url if isinstance(self.origin, Published) else None

    @property
    def pin(self) -> Pin:
        """What the file must hash to."""
        return self.origin.pin

    @property
    def threshold(self) -> float | None:
        """Scores from here on are called evidence of synthesis; None for an encoder."""
        return self.origin.threshold

    @property
    def metrics(self) -> Metrics | None:
        """Published or measured; None for an encoder."""
        return self.origin.metrics

    @property
    def abstention(self) -> Abstention:
        """Which pictures a detector's evidence has no word for; of published weights nobody measured that."""
        return self.origin.abstention if isinstance(self.origin, Bundled) else EVERY_PICTURE

    @property
    def max_bytes(self) -> int:
        """No more than this is ever written for this model, whatever a server sends."""
        return self.size + self.size // 4 + 2**16


MINI = "mini"

# OpenAI CLIP's own normalisation (paper, section 4.1)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CLIP_VIEW = Preprocess(
    crop=224,
    mean=CLIP_MEAN,
    std=CLIP_STD,
    about="centre crop (as published) or ten crops of 224x224 original pixels; no resizing; CLIP mean/std",
)

_MINI_VIEW = Preprocess(
    crop=224,
    mean=(0.0, 0.0, 0.0),
    std=(1 / 255, 1 / 255, 1 / 255),
    about="ten crops of 224x224 original pixels; no resizing; grey levels 0..255 as they are",
)

_RINE = "https://raw.githubusercontent.com/mever-team/rine/9b7fd5857cc205d0412be6aeee0d7611b95bd620/ckpt/"
_RINE_PROVENANCE = "github.com/mever-team/rine @ 9b7fd58; Koutlis & Papadopoulos, ECCV 2024, arXiv 2402.19091"
_CLIP_SHA256 = "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
_CLIP_B32_SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
_CLIP_PROVENANCE = "github.com/openai/CLIP; Radford et al., ICML 2021, arXiv 2103.00020"
_UFD = (
    "https://raw.githubusercontent.com/WisconsinAIVision/UniversalFakeDetect/"
    "76a0e3e60a8a06458707a625d269ba815a2e5919/pretrained_weights/"
)
_TWENTY = (
    "paper's mean over its 20 test sets, centre crop, accuracy at 0.5; the configuration was chosen by its "
    "results on these very sets"
)
_SYNTHBUSTER = (
    "mean over the 9 Synthbuster sets against RAISE, ten crops, accuracy at 0.5, from the authors' file "
    "of this configuration (xi 0.4, q 4, d' 1024, 5 epochs), the best of their 24 on these very sets"
)


def _rine(
    suffix: str, summary: str, blob: str, q: int, projected: int, xi: float, metrics: Metrics, epochs: int = 1
) -> CatalogEntry:
    """A head from the authors' repository; all of them sit on CLIP ViT-L/14."""
    shape = HeadShape(blocks=24, width=1024, projected=projected, layers=q)
    return CatalogEntry(
        name=f"rine-{suffix}",
        kind="detector",
        summary=summary,
        licence="Apache-2.0",
        provenance=_RINE_PROVENANCE,
        origin=Published(
            url=f"{_RINE}model_{suffix}_trainable.pth",
            pin=Pin("git-blob", blob),
            threshold=0.5,  # the paper's; the scores are not calibrated
            metrics=metrics,
        ),
        size=4 * head_parameters(shape),
        encoder="clip-vit-l14",
        view=_CLIP_VIEW,
        shape=shape,
        xi=xi,
        epochs=epochs,
    )


def head_parameters(shape: HeadShape) -> int:
    """How many numbers a RINE head of this shape holds."""
    d, p, q = shape.width, shape.projected, shape.layers
    alpha, square = shape.blocks * p, p * p + p
    return alpha + (d * p + p) + (q - 1) * square + q * square + 2 * square + (p + 1)


_ENTRIES = (
    CatalogEntry(
        name=MINI,
        kind="detector",
        summary="bundled; small, works at once on any CPU; read its card, mini.md",
        licence="Apache-2.0",
        provenance="trained by this project (training/); see sidscan/weights/mini.json",
        origin=Bundled(file="mini.safetensors", card="mini.json"),
        size=9_000_000,
        view=_MINI_VIEW,
    ),
    _rine(
        "1class",
        "RINE trained on ProGAN horse",
        "802e8dce29925de10a8f4bfd96c4b627d0c0cdfe",
        q=4,
        projected=1024,
        xi=0.1,
        metrics=Metrics(0.903, 0.986, _TWENTY),
    ),
    _rine(
        "2class",
        "RINE trained on ProGAN chair, horse",
        "b8418b5884fd1fc1dba79bea91f41ab2341673d8",
        q=4,
        projected=128,
        xi=0.2,
        metrics=Metrics(0.877, 0.987, _TWENTY),
    ),
    _rine(
        "4class",
        "RINE trained on ProGAN car, cat, chair, horse",
        "bf5cd4053b5eaf64a0bd52cdb6bd0dbd9a8bc457",
        q=2,
        projected=1024,
        xi=0.2,
        metrics=Metrics(0.915, 0.988, _TWENTY),
    ),
    _rine(
        "ldm",
        "RINE trained on latent diffusion pictures",
        "6b225b2aeae4f52e99a7fb675d8bcb736aea4a2e",
        q=4,
        projected=1024,
        xi=0.4,
        metrics=Metrics(0.8745, 0.9046, _SYNTHBUSTER),
        epochs=5,
    ),
    CatalogEntry(
        name="ufd",
        kind="detector",
        summary="UniversalFakeDetect's linear probe, the baseline of RINE's paper",
        licence="MIT",
        provenance="github.com/WisconsinAIVision/UniversalFakeDetect @ 76a0e3e; Ojha et al., CVPR 2023, "
        "arXiv 2302.10174",
        origin=Published(
            url=f"{_UFD}fc_weights.pth",
            pin=Pin("git-blob", "2a8efc8e238bf5a491e4fd5999655ed5eb3bbb72"),
            threshold=0.5,
            metrics=Metrics(
                0.809, 0.943, "RINE paper's mean over its 20 test sets, centre crop, accuracy at 0.5"
            ),
        ),
        size=4_083,
        encoder="clip-vit-l14",
        view=_CLIP_VIEW,
        shape=ProbeShape(width=768),
    ),
    CatalogEntry(
        name="clip-vit-l14",
        kind="encoder",
        summary="OpenAI's CLIP ViT-L/14, which every published head reads",
        licence="MIT",
        provenance=_CLIP_PROVENANCE,
        origin=Published(
            url=f"https://openaipublic.azureedge.net/clip/models/{_CLIP_SHA256}/ViT-L-14.pt",
            pin=Pin("sha256", _CLIP_SHA256),
        ),
        size=930_000_000,
        view=_CLIP_VIEW,
        shape=EncoderShape(layers=24, width=1024, patch=14, tokens=257, embedding=768),
    ),
    CatalogEntry(
        name="clip-vit-b32",
        kind="encoder",
        summary="OpenAI's CLIP ViT-B/32, for heads of your own (sidscan train)",
        licence="MIT",
        provenance=_CLIP_PROVENANCE,
        origin=Published(
            url=f"https://openaipublic.azureedge.net/clip/models/{_CLIP_B32_SHA256}/ViT-B-32.pt",
            pin=Pin("sha256", _CLIP_B32_SHA256),
        ),
        size=354_000_000,
        view=_CLIP_VIEW,
        shape=EncoderShape(layers=12, width=768, patch=32, tokens=50, embedding=512),
    ),
)

CATALOG: Mapping[str, CatalogEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def find(name: str, catalog: Mapping[str, CatalogEntry] = CATALOG) -> CatalogEntry:
    """The entry called ``name``.

    Raises:
        UnknownModel: there is none; the remedy lists the names.
    """
    try:
        return catalog[name]
    except KeyError:
        raise UnknownModel(
            f"no model is called {name!r}", f"`sidscan models list` shows them: {', '.join(catalog)}."
        ) from None
