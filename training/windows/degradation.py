"""Random degradations: what may happen to an image between its making and a scan.

In any collected corpus, compression and size are confounded with the label: real photographs arrive as JPEG,
synthetic images often as PNG. Both labels therefore go through the same random operations, so that the
encoder cannot tell them apart by the container they came in.

Every function takes and returns (height, width, 3) uint8 RGB and draws only from the generator it is given.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from sidscan.training.common.pixels import Pixels, padded, recoded

UNTOUCHED = 0.12  # share of windows that only get cropped: what a scan of originals sees
RESIZE = 0.5  # share resized
SCALES = (0.45, 1.2)  # factors of the sides, drawn log-uniformly between these
RESIZE_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
JPEG = 0.75  # share that ends as JPEG
EARLIER_JPEG = 0.25  # share that was JPEG once before, on another 8x8 grid
JPEG_QUALITIES = (50, 98)  # libjpeg quality, inclusive; of WebP, too
SUBSAMPLINGS = (0, 2)  # Pillow: 4:4:4, 4:2:0
WEBP = 0.07  # share that ends as lossy WebP
SOFTENED = 0.12  # share blurred by a Gaussian of radius up to 1.2 px
SHARPENED = 0.08  # share unsharp-masked
RECOLOURED = 0.3  # share with changed brightness, contrast and saturation
COLOUR_RANGE = (0.75, 1.3)  # enhancement factor, 1 changes nothing
RECOMPRESSION_QUALITIES = (60, 90)  # libjpeg quality of an image that is only uploaded once more, inclusive
NOISY = 0.05  # share with added Gaussian noise, sigma up to 4 grey levels


def random_degradation(
    pixels: Pixels, rng: np.random.Generator, scales: tuple[float, float] = SCALES
) -> Pixels:
    """One random sequence of operations; the result may be smaller or larger than ``pixels``.

    Args:
        scales: least and greatest factor of the sides, where it is resized.
    """
    if rng.random() < UNTOUCHED:
        return pixels
    if rng.random() < EARLIER_JPEG:
        pixels = _random_jpeg(pixels, rng)
        # cut 0..7 px off the left and the top, so that the next 8x8 grid is another one
        left, top = (int(offset) for offset in rng.integers(0, 8, size=2))
        pixels = pixels[top:, left:]
    image = Image.fromarray(pixels)
    if rng.random() < RESIZE:
        image = _resized(image, rng, scales)
    pixels = np.asarray(_retouched(image, rng))
    draw = rng.random()
    if draw < JPEG:
        return _random_jpeg(pixels, rng)
    if draw < JPEG + WEBP:
        return recoded(pixels, "WEBP", quality=_random_quality(rng))
    return pixels


def random_recompression(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """One JPEG of a medium quality, chroma halved (4:2:0): what most sites do to an upload."""
    lowest, highest = RECOMPRESSION_QUALITIES
    return recoded(pixels, "JPEG", quality=int(rng.integers(lowest, highest + 1)), subsampling=2)


def random_crop(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A random (side, side) crop, mirrored half of the time; smaller images are padded as in a scan."""
    height, width = pixels.shape[:2]
    top = int(rng.integers(0, max(height - side, 0) + 1))
    left = int(rng.integers(0, max(width - side, 0) + 1))
    crop = pixels[top : top + side, left : left + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return padded(crop, side)


def _random_quality(rng: np.random.Generator) -> int:
    return int(rng.integers(JPEG_QUALITIES[0], JPEG_QUALITIES[1] + 1))


def _random_jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    subsampling = int(rng.choice(SUBSAMPLINGS))
    return recoded(pixels, "JPEG", quality=_random_quality(rng), subsampling=subsampling)


def _resized(image: Image.Image, rng: np.random.Generator, scales: tuple[float, float]) -> Image.Image:
    factor = float(np.exp(rng.uniform(*np.log(scales))))
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, RESIZE_FILTERS[int(rng.integers(len(RESIZE_FILTERS)))])


def _retouched(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    if rng.random() < RECOLOURED:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(float(rng.uniform(*COLOUR_RANGE)))
    if rng.random() < SOFTENED:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    if rng.random() < SHARPENED:
        image = image.filter(ImageFilter.UnsharpMask(radius=1.5, percent=int(rng.integers(30, 120))))
    if rng.random() < NOISY:
        noise = rng.normal(0.0, rng.uniform(0.5, 4.0), size=(image.height, image.width, 3))
        image = Image.fromarray(np.clip(np.asarray(image) + np.rint(noise), 0, 255).astype(np.uint8))
    return image
