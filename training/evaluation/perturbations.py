"""The paper's perturbations (section 5.6). Each is applied to an image with probability 0.5.

The authors' published code differs from what one would expect:

- It resizes an image that it perturbed to 256x256 and then takes the centre crop of 224. An image that it did
  not perturb keeps its size and gets the plain centre crop.
- ``blur`` passes ``cv2.BORDER_DEFAULT`` to GaussianBlur as sigma, so sigma is 4 for every kernel size.
- ``crop`` passes (rows, columns) to cv2.resize, which takes (width, height). An image that is not square is
  squashed into its transposed shape. The later resizing to 256x256 hides most of this.
- ``noise`` calls the number that it draws a variance, but uses it as the standard deviation.
- ``compress`` passes the quality that it draws to cv2.imencode as the *name* of an option, which OpenCV
  ignores. So OpenCV compresses every image at its default quality of 95, and the published figures are for
  that. Here, ``compress`` and ``combined`` do what the paper says: quality 10 to 74. ``compress-published``
  and ``combined-published`` do what the code did.
- cv2 expects BGR channels but gets RGB, so JPEG computes luma and chroma with red and blue exchanged.
- ``combined`` draws once whether to apply all four, in the order blur, crop, compress, noise.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from PIL import Image

from sidscan.training.common.extras import import_extra
from sidscan.training.common.pixels import Pixels

Perturbation = Callable[[Pixels, Generator], Pixels]

_PROBABILITY = 0.5
_BLUR_KERNELS = (3, 5, 7, 9)  # px
_BLUR_SIGMA = 4.0  # px; cv2.BORDER_DEFAULT, see above
_CROPPED_SHARE = (0.05, 0.20)  # of each side
_JPEG_QUALITIES = (10, 75)  # the upper bound is excluded
_OPENCV_QUALITY = 95  # OpenCV's default
_NOISE_SIGMAS = (5.0, 20.0)  # grey levels
_RESIZED_SIDE = 256  # px


def gaussian_blur(pixels: Pixels, rng: Generator) -> Pixels:
    """Gaussian blur; the kernel side is drawn from 3, 5, 7, 9, sigma is 4."""
    cv2 = import_extra("cv2")
    side = int(rng.choice(_BLUR_KERNELS))
    blurred: Pixels = cv2.GaussianBlur(pixels, (side, side), sigmaX=_BLUR_SIGMA)
    return blurred


def crop_borders(pixels: Pixels, rng: Generator) -> Pixels:
    """Cut 5 to 20 % off each side length, half of it at either end; then bicubic resizing to (columns, rows).

    A side that is too short to lose a whole pixel stays as it is; the published code fails there.
    """
    cv2 = import_extra("cv2")
    rows, columns = pixels.shape[:2]
    share = rng.uniform(*_CROPPED_SHARE)
    down, right = int(rows * share * 0.5), int(columns * share * 0.5)
    inner = np.ascontiguousarray(pixels[down : rows - down, right : columns - right])
    resized: Pixels = cv2.resize(inner, dsize=(rows, columns), interpolation=cv2.INTER_CUBIC)
    return resized


def jpeg_compress(pixels: Pixels, rng: Generator) -> Pixels:
    """JPEG; the quality is drawn from 10 to 74."""
    return _recoded_with_swapped_channels(pixels, int(rng.integers(*_JPEG_QUALITIES)))


def jpeg_compress_published(pixels: Pixels, rng: Generator) -> Pixels:  # noqa: ARG001  (it draws nothing)
    """JPEG at quality 95, as the published code compresses."""
    return _recoded_with_swapped_channels(pixels, _OPENCV_QUALITY)


def gaussian_noise(pixels: Pixels, rng: Generator) -> Pixels:
    """Gaussian noise; the standard deviation is drawn from 5 to 20. Clips, and cuts fractions off."""
    sigma = rng.uniform(*_NOISE_SIGMAS)
    noisy = pixels + sigma * rng.standard_normal(pixels.shape)
    return noisy.clip(0.0, 255.0).astype(np.uint8)


def combined(pixels: Pixels, rng: Generator) -> Pixels:
    """Blur, crop, compress, noise."""
    return gaussian_noise(jpeg_compress(crop_borders(gaussian_blur(pixels, rng), rng), rng), rng)


def combined_published(pixels: Pixels, rng: Generator) -> Pixels:
    """Blur, crop, JPEG at quality 95, noise."""
    return gaussian_noise(jpeg_compress_published(crop_borders(gaussian_blur(pixels, rng), rng), rng), rng)


PERTURBATIONS: Mapping[str, Perturbation] = MappingProxyType(
    {
        "blur": gaussian_blur,
        "crop": crop_borders,
        "compress": jpeg_compress,
        "noise": gaussian_noise,
        "combined": combined,
        "compress-published": jpeg_compress_published,
        "combined-published": combined_published,
    }
)


def image_rng(seed: int, test_set: str, name: str) -> Generator:
    """An image's own random numbers. They do not depend on the order of images or the number of workers."""
    return np.random.default_rng([seed, zlib.crc32(f"{test_set}\0{name}".encode("utf-8", "surrogateescape"))])


def perturb(kind: str, pixels: Pixels, rng: Generator) -> Pixels | None:
    """The perturbed image, resized to (256, 256, 3); None where the draw leaves the image as it is."""
    if rng.random() >= _PROBABILITY:
        return None
    perturbed = Image.fromarray(PERTURBATIONS[kind](pixels, rng))
    return np.asarray(perturbed.resize((_RESIZED_SIDE, _RESIZED_SIDE), Image.Resampling.BILINEAR))


def _recoded_with_swapped_channels(pixels: Pixels, quality: int) -> Pixels:
    """OpenCV's JPEG of RGB pixels that OpenCV takes for BGR, as in the published code.

    `training.common.pixels.recoded_by_opencv` gives OpenCV the channels in the right order. Its pixels differ
    from those of the published code, so it can't replace this function.
    """
    cv2 = import_extra("cv2")
    written, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise ValueError("OpenCV can't write this image as JPEG")
    decoded: Pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return decoded
