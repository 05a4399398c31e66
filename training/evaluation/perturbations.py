"""The paper's perturbations (section 5.6), each applied to a picture with probability 0.5.

What the authors' published code does, where it differs from what one would expect:

- A picture that is perturbed is afterwards resized to 256x256 and centre-cropped to 224; one that is not goes
  through the plain centre crop of its own pixels.
- ``blur`` hands ``cv2.BORDER_DEFAULT`` to GaussianBlur as sigma, so sigma is 4 whatever the kernel.
- ``crop`` hands (rows, columns) to cv2.resize as (width, height): a picture that is not square is squashed
  into its transposed shape. The resizing to 256x256 that follows hides most of it.
- ``noise`` calls the drawn number a variance, but uses it as the standard deviation.
- ``compress`` hands the drawn quality to cv2.imencode as the *name* of an option, which OpenCV ignores; every
  picture is compressed at OpenCV's default quality of 95. The published figures are of that. Here,
  ``compress`` and ``combined`` do what the paper says, quality 10 to 74; ``compress-published`` and
  ``combined-published`` do what the code did.
- cv2 takes colours for BGR, and is given RGB: JPEG's luma and chroma are those of red and blue exchanged.
- ``combined`` is one draw for all four, in the order blur, crop, compress, noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from sidscan.training.common.extras import import_extra

Pixels = NDArray[np.uint8]  # (rows, columns, 3) RGB
Perturbation = Callable[[Pixels, Generator], Pixels]

PROBABILITY = 0.5
KERNELS = (3, 5, 7, 9)  # px
SIGMA = 4.0  # px; cv2.BORDER_DEFAULT, see above
CROPPED = (0.05, 0.20)  # share of each side that is cut away
QUALITIES = (10, 75)  # JPEG, the upper bound excluded
DEFAULT_QUALITY = 95  # OpenCV's
NOISE = (5.0, 20.0)  # grey levels, standard deviation
RESIZED = 256  # px


def blur(pixels: Pixels, rng: Generator) -> Pixels:
    """Gaussian blur, kernel side drawn from 3, 5, 7, 9, sigma 4."""
    cv2 = import_extra("cv2")
    side = int(rng.choice(KERNELS))
    blurred: Pixels = cv2.GaussianBlur(pixels, (side, side), sigmaX=SIGMA)
    return blurred


def crop(pixels: Pixels, rng: Generator) -> Pixels:
    """Cut 5 to 20 % off, half of it on either side; bicubic resizing to (columns, rows).

    A side too short to lose a whole pixel keeps them all; the published code fails there.
    """
    cv2 = import_extra("cv2")
    rows, columns = pixels.shape[:2]
    share = rng.uniform(*CROPPED)
    down, right = int(rows * share * 0.5), int(columns * share * 0.5)
    inner = np.ascontiguousarray(pixels[down : rows - down, right : columns - right])
    resized: Pixels = cv2.resize(inner, dsize=(rows, columns), interpolation=cv2.INTER_CUBIC)
    return resized


def compress(pixels: Pixels, rng: Generator) -> Pixels:
    """JPEG, quality drawn from 10 to 74."""
    return _jpeg(pixels, int(rng.integers(*QUALITIES)))


def compress_published(pixels: Pixels, rng: Generator) -> Pixels:  # noqa: ARG001  (draws nothing)
    """JPEG at quality 95, as the published code ends up doing."""
    return _jpeg(pixels, DEFAULT_QUALITY)


def noise(pixels: Pixels, rng: Generator) -> Pixels:
    """Gaussian noise, standard deviation drawn from 5 to 20; clipped, fractions cut off."""
    sigma = rng.uniform(*NOISE)
    noisy = pixels + sigma * rng.standard_normal(pixels.shape)
    return noisy.clip(0.0, 255.0).astype(np.uint8)


def combined(pixels: Pixels, rng: Generator) -> Pixels:
    """Blur, crop, compress, noise."""
    return noise(compress(crop(blur(pixels, rng), rng), rng), rng)


def combined_published(pixels: Pixels, rng: Generator) -> Pixels:
    """Blur, crop, JPEG at quality 95, noise."""
    return noise(compress_published(crop(blur(pixels, rng), rng), rng), rng)


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "blur": blur,
        "crop": crop,
        "compress": compress,
        "noise": noise,
        "combined": combined,
        "compress-published": compress_published,
        "combined-published": combined_published,
    }
)


def generator(seed: int, test_set: str, name: str) -> Generator:
    """The random numbers of one picture; they depend on nothing else, neither order nor number of workers."""
    return np.random.default_rng([seed, zlib.crc32(f"{test_set}\0{name}".encode("utf-8", "surrogateescape"))])


def apply(kind: str, pixels: Pixels, rng: Generator) -> Pixels | None:
    """The perturbed picture resized to (256, 256, 3), or None for one that is to stay as it is."""
    if rng.random() >= PROBABILITY:
        return None
    perturbed = Image.fromarray(PERTURBATIONS[kind](pixels, rng))
    return np.asarray(perturbed.resize((RESIZED, RESIZED), Image.Resampling.BILINEAR))


def _jpeg(pixels: Pixels, quality: int) -> Pixels:
    cv2 = import_extra("cv2")
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("OpenCV can't write this picture as JPEG")
    decoded: Pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return decoded
