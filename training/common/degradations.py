"""What happens to an image on its way, at a stated strength: JPEG, resizing, blur, noise, sharing.

``shared-2048-85-2`` is an image that was uploaded twice to a service which shrinks images to 2048 pixels on
the longer side, and saves them as JPEG at quality 85. Services don't publish these settings, and change them:
the chains are our reading of what a typical one does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from PIL import Image

from sidscan.errors import UsageError

from .extras import import_extra
from .pixels import Pixels, recoded

UNCHANGED = "none"
_MOST_UPLOADS = 10


@dataclass(frozen=True, slots=True)
class Degradation:
    """One change of a stated strength.

    Attributes:
        kind: ``none``, or a key of `KINDS`.
        values: quality of JPEG; factor of a resizing; sigma of a blur, in pixels; sigma of noise, in grey
            levels; of sharing: longest side, quality, number of uploads.
    """

    kind: str = UNCHANGED
    values: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """As the command line and the files of results have it, e.g. ``jpeg-75``."""
        return "-".join((self.kind, *(f"{value:g}" for value in self.values)))

    @property
    def strength(self) -> str:
        """The values alone, e.g. ``75``."""
        return self.name.removeprefix(self.kind).removeprefix("-")

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers."""
        return self.kind == "noise"

    def apply(self, pixels: Pixels, rng: Generator | None = None) -> Pixels:
        """The image with this change; only resizing and sharing change its size.

        Args:
            rng: for noise alone.
        """
        if self.kind == UNCHANGED:
            return pixels
        if self.kind == "noise":
            return _noisy(pixels, self.values[0], rng or np.random.default_rng(0))
        changed: Pixels = KINDS[self.kind].change(pixels, *self.values)
        return changed


@dataclass(frozen=True, slots=True)
class DegradationKind:
    """A kind of degradation.

    Attributes:
        usage: how it is written.
        title: of the values, for axes.
        fits: whether values are in range.
        change: what it does to pixels, given the values.
        curve: the strengths of a curve, weakest first.
        unchanged: the value that changes nothing; None where there is none.
    """

    usage: str
    title: str
    fits: Callable[..., bool]
    change: Callable[..., Pixels]
    curve: tuple[tuple[float, ...], ...]
    unchanged: float | None = None


def _jpeg(pixels: Pixels, quality: float) -> Pixels:
    return recoded(pixels, quality=int(quality))


def _resized(pixels: Pixels, factor: float) -> Pixels:
    """Bilinear, averaging where it shrinks."""
    rows, columns = (max(round(side * factor), 1) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR))


def _blurred(pixels: Pixels, sigma: float) -> Pixels:
    blurred: Pixels = import_extra("cv2").GaussianBlur(pixels, (0, 0), sigmaX=sigma)
    return blurred


def _noisy(pixels: Pixels, sigma: float, rng: Generator) -> Pixels:
    noise = rng.standard_normal(pixels.shape, np.float32)
    noisy: Pixels = np.rint(pixels + np.float32(sigma) * noise).clip(0, 255).astype(np.uint8)
    return noisy


def _shared(pixels: Pixels, side: float, quality: float, uploads: float) -> Pixels:
    for _ in range(int(uploads)):
        longest = max(pixels.shape[:2])
        pixels = _jpeg(_resized(pixels, side / longest) if longest > side else pixels, quality)
    return pixels


def _fits_sharing(side: float, quality: float, uploads: float) -> bool:
    return side in range(16, 20_001) and quality in range(1, 101) and uploads in range(1, _MOST_UPLOADS + 1)


KINDS: Mapping[str, DegradationKind] = MappingProxyType(
    {
        "jpeg": DegradationKind(
            "jpeg-QUALITY (1 to 100)",
            "JPEG quality",
            lambda quality: quality in range(1, 101),
            _jpeg,
            tuple((float(quality),) for quality in range(100, 20, -10)),
        ),
        "resize": DegradationKind(
            "resize-FACTOR (0.01 to 4)",
            "resized by",
            lambda factor: 0.01 <= factor <= 4,
            _resized,
            ((2.0,), (1.5,), (0.75,), (0.5,), (0.25,)),
            unchanged=1.0,
        ),
        "blur": DegradationKind(
            "blur-SIGMA (0.01 to 20)",
            "blur, sigma in pixels",
            lambda sigma: 0.01 <= sigma <= 20,
            _blurred,
            ((0.5,), (1.0,), (2.0,), (3.0,), (4.0,)),
            unchanged=0.0,
        ),
        "noise": DegradationKind(
            "noise-SIGMA (0.01 to 100)",
            "noise, sigma in grey levels",
            lambda sigma: 0.01 <= sigma <= 100,
            _noisy,
            ((2.0,), (5.0,), (10.0,), (15.0,), (20.0,)),
            unchanged=0.0,
        ),
        "shared": DegradationKind(
            "shared-SIDE-QUALITY-UPLOADS",
            "shared: longest side, JPEG quality, uploads",
            _fits_sharing,
            _shared,
            ((2048.0, 85.0, 1.0), (2048.0, 85.0, 2.0), (1080.0, 75.0, 1.0), (1080.0, 75.0, 2.0)),
        ),
    }
)


def rng_of(data: bytes, seed: int = 0) -> Generator:
    """Random numbers that belong to the bytes of a file, not to the order of work."""
    words = np.frombuffer(hashlib.sha256(data).digest(), ">u4")
    return np.random.default_rng([seed, *words.tolist()])


def curve(kind: str) -> list[Degradation]:
    """The strengths at which a kind is measured, weakest first."""
    return [Degradation(kind, values) for values in KINDS[kind].curve]


def find_degradation(name: str) -> Degradation | None:
    """``jpeg-75`` -> a degradation; None where there is no such kind, or a value is out of range.

    Values are as precise as names state them, so that equal names are equal degradations.
    """
    kind, *numbers = name.split("-")
    if kind not in KINDS:
        return None
    try:
        values = tuple(float(f"{float(number):g}") for number in numbers)
        return Degradation(kind, values) if KINDS[kind].fits(*values) else None
    except (ValueError, TypeError):  # TypeError: too few values, or too many
        return None


def parse_degradation(name: str) -> Degradation:
    """``jpeg-75`` -> a degradation.

    Raises:
        UsageError: there is no such kind, or a value is out of range.
    """
    found = find_degradation(name)
    if found is None:
        usages = [kind.usage for kind in KINDS.values()]
        raise UsageError(
            f"{name!r} is not a perturbation",
            f"Write {', '.join(usages[:-1])} or {usages[-1]}, e.g. jpeg-75.",
        )
    return found
