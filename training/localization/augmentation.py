"""DeCLIP's augmentations of a training image, after it was resized (its data/datasets.py:33-38,52-65).

    blur           Gaussian, of one kernel and a random sigma
    color_jitter   brightness, contrast, saturation and hue, in a random order
    jpeg           of a random quality
    all            colour jitter, JPEG, blur

The recipe has their numbers. Every image is augmented; masks stay as they are, for none of these moves a
pixel. DeCLIP draws from torch's generator; here random numbers belong to (seed, epoch, image).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance

from sidscan.training.common.extras import import_extra
from sidscan.training.common.pixels import Pixels, recoded

from .recipe import LocalizerRecipe

Augmentation = Callable[[Pixels, Generator, LocalizerRecipe], Pixels]


def blur(pixels: Pixels, rng: Generator, recipe: LocalizerRecipe) -> Pixels:
    """Gaussian blur as torchvision's: the border is mirrored without its outermost pixel."""
    cv2 = import_extra("cv2")
    lowest, highest = recipe.blur_sigma_range
    sigma, kernel = rng.uniform(lowest, highest), (recipe.blur_kernel, recipe.blur_kernel)
    blurred: Pixels = cv2.GaussianBlur(pixels, kernel, sigmaX=sigma, borderType=cv2.BORDER_REFLECT_101)
    return blurred


def color_jitter(pixels: Pixels, rng: Generator, recipe: LocalizerRecipe) -> Pixels:
    """As torchvision's ColorJitter on Pillow's images."""
    image = Image.fromarray(pixels)
    for part in rng.permutation(4):
        strength = recipe.jitter_strengths[part]
        if part == 3:
            image = _with_hue_shifted(image, rng.uniform(-strength, strength))
        else:
            enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[part]
            image = enhance(image).enhance(rng.uniform(1 - strength, 1 + strength))
    return np.asarray(image)


def jpeg(pixels: Pixels, rng: Generator, recipe: LocalizerRecipe) -> Pixels:
    """JPEG by Pillow."""
    lowest, highest = recipe.jpeg_quality_range
    return recoded(pixels, quality=int(rng.integers(lowest, highest + 1)))


def all_of_them(pixels: Pixels, rng: Generator, recipe: LocalizerRecipe) -> Pixels:
    """Colour jitter, JPEG, blur."""
    return blur(jpeg(color_jitter(pixels, rng, recipe), rng, recipe), rng, recipe)


def _with_hue_shifted(image: Image.Image, shift: float) -> Image.Image:
    """Hue moved by a share of the circle, on 8-bit HSV."""
    hue, saturation, value = image.convert("HSV").split()
    moved = (np.asarray(hue).astype(np.int16) + round(shift * 255)) % 256
    hue = Image.fromarray(moved.astype(np.uint8))
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {"blur": blur, "color_jitter": color_jitter, "jpeg": jpeg, "all": all_of_them}
)
