"""DeCLIP's augmentations of a training image, after it was resized (its data/datasets.py:33-38,52-65).

    blur           Gaussian, kernel 5, sigma from 0.4 to 2.0
    color_jitter   brightness, contrast, saturation by up to 30 %, hue by up to 0.3, in a random order
    jpeg           quality 30 to 100
    all            colour jitter, JPEG, blur

Every image is augmented; masks stay as they are, for none of these moves a pixel. DeCLIP draws from torch's
generator; here random numbers belong to (seed, epoch, image).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageEnhance

from sidscan.training.common.extras import import_extra
from sidscan.training.common.pixels import Pixels, recoded

_KERNEL = 5  # px
_SIGMAS = (0.4, 2.0)  # px
_JITTER = 0.3
_QUALITIES = (30, 100)
Augmentation = Callable[[Pixels, Generator], Pixels]


def blur(pixels: Pixels, rng: Generator) -> Pixels:
    """Gaussian blur as torchvision's: the border is mirrored without its outermost pixel."""
    cv2 = import_extra("cv2")
    sigma = rng.uniform(*_SIGMAS)
    blurred: Pixels = cv2.GaussianBlur(
        pixels, (_KERNEL, _KERNEL), sigmaX=sigma, borderType=cv2.BORDER_REFLECT_101
    )
    return blurred


def color_jitter(pixels: Pixels, rng: Generator) -> Pixels:
    """As torchvision's ColorJitter(0.3, 0.3, 0.3, 0.3) on Pillow's images."""
    image = Image.fromarray(pixels)
    for part in rng.permutation(4):
        if part == 3:
            image = _with_hue_shifted(image, rng.uniform(-_JITTER, _JITTER))
        else:
            enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)[part]
            image = enhance(image).enhance(rng.uniform(1 - _JITTER, 1 + _JITTER))
    return np.asarray(image)


def jpeg(pixels: Pixels, rng: Generator) -> Pixels:
    """JPEG by Pillow."""
    return recoded(pixels, quality=int(rng.integers(_QUALITIES[0], _QUALITIES[1] + 1)))


def all_of_them(pixels: Pixels, rng: Generator) -> Pixels:
    """Colour jitter, JPEG, blur."""
    return blur(jpeg(color_jitter(pixels, rng), rng), rng)


def _with_hue_shifted(image: Image.Image, shift: float) -> Image.Image:
    """Hue moved by a share of the circle, on 8-bit HSV."""
    hue, saturation, value = image.convert("HSV").split()
    moved = (np.asarray(hue).astype(np.int16) + round(shift * 255)) % 256
    hue = Image.fromarray(moved.astype(np.uint8))
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")


AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {"blur": blur, "color_jitter": color_jitter, "jpeg": jpeg, "all": all_of_them}
)
