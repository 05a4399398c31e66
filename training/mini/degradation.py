"""Random histories: what may happen to a picture between its making and a scan.

Compression and size are confounded with the label in any collected corpus (real photographs arrive as
JPEG, synthetic ones often as PNG). Both classes therefore pass through the same random operations, so that
the encoder cannot tell them apart by the container they came in.

Every function takes and returns (height, width, 3) uint8 RGB and draws only from the generator it is given.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from .corpus import Pixels

UNTOUCHED = 0.12  # share of windows that only get cropped: what a scan of originals sees
RESIZE = 0.5  # share resized
SCALES = (0.45, 1.2)  # factor of the sides, drawn log-uniformly
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
JPEG = 0.75  # share that ends as JPEG
EARLIER_JPEG = 0.25  # share that was JPEG once before, on another 8x8 grid
QUALITIES = (50, 98)  # libjpeg quality, inclusive
SUBSAMPLINGS = (0, 2)  # PIL: 4:4:4, 4:2:0
WEBP = 0.07  # share that ends as lossy WebP
SOFTENED = 0.12  # share blurred by a Gaussian of radius up to 1.2 px
SHARPENED = 0.08  # share unsharp-masked
RECOLOURED = 0.3  # share with changed brightness, contrast and saturation
COLOUR_RANGE = (0.75, 1.3)  # enhancement factor, 1 changes nothing
RESAVED = (60, 90)  # libjpeg quality of a picture uploaded once more and otherwise left alone, inclusive
NOISY = 0.05  # share with added Gaussian noise, sigma up to 4 grey levels


def live_through(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """One random history; the result may be smaller or larger than ``pixels``."""
    if rng.random() < UNTOUCHED:
        return pixels
    image = Image.fromarray(pixels)
    if rng.random() < EARLIER_JPEG:
        image = _shifted(_jpeg(image, rng), rng)
    if rng.random() < RESIZE:
        image = _resized(image, rng)
    image = _retouched(image, rng)
    draw = rng.random()
    if draw < JPEG:
        image = _jpeg(image, rng)
    elif draw < JPEG + WEBP:
        image = _recoded(image, "WEBP", quality=_quality(rng))
    return np.asarray(image)


def resaved(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Saved once as JPEG of a medium quality, chroma halved (4:2:0): what most sites do to an upload."""
    quality = int(rng.integers(RESAVED[0], RESAVED[1] + 1))
    return np.asarray(_recoded(Image.fromarray(pixels), "JPEG", quality=quality, subsampling=2))


def random_crop(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A random (side, side) crop, mirrored half of the time; smaller pictures are padded with zeros.

    Padding is the product's: centred, the odd pixel right and below (torchvision's CenterCrop).
    """
    height, width = pixels.shape[:2]
    top = int(rng.integers(0, max(height - side, 0) + 1))
    left = int(rng.integers(0, max(width - side, 0) + 1))
    crop = pixels[top : top + side, left : left + side]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return zero_padded(crop, side)


def zero_padded(pixels: Pixels, side: int) -> Pixels:
    """``pixels`` centred on zeros of at least ``side`` a side, as torchvision's CenterCrop pads."""
    height, width = pixels.shape[:2]
    tall, wide = max(side - height, 0), max(side - width, 0)
    return np.pad(pixels, ((tall // 2, tall - tall // 2), (wide // 2, wide - wide // 2), (0, 0)))


def _quality(rng: np.random.Generator) -> int:
    return int(rng.integers(QUALITIES[0], QUALITIES[1] + 1))


def _recoded(image: Image.Image, container: str, **options: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, container, **options)
    return Image.open(buffer).convert("RGB")


def _jpeg(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    subsampling = int(rng.choice(SUBSAMPLINGS))
    return _recoded(image, "JPEG", quality=_quality(rng), subsampling=subsampling)


def _shifted(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut 0..7 px off the top and the left, so that the next 8x8 grid is another one."""
    left, top = (int(offset) for offset in rng.integers(0, 8, size=2))
    return image.crop((left, top, image.width, image.height))


def _resized(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = float(np.exp(rng.uniform(np.log(SCALES[0]), np.log(SCALES[1]))))
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, FILTERS[int(rng.integers(len(FILTERS)))])


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
