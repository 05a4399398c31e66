"""A test image -> what detectors read of it, perturbed where the evaluation says so."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from sidscan.images import crops, decode
from sidscan.images.views import make_views
from sidscan.records import DecodedImage, Failure, ImageInfo, Item, Stage
from sidscan.records.views import ImageView
from sidscan.training.common.degradations import rng_of
from sidscan.training.common.pixels import Pixels
from sidscan.training.datasets.content import read_content
from sidscan.training.datasets.rows import LabelledImage

from . import perturbations
from .config import EvaluationConfig


def read_test_image(
    image: LabelledImage, test_set: str, config: EvaluationConfig, views: Sequence[ImageView] = ()
) -> DecodedImage | Failure:
    """Read an image as a scan does, but without EXIF, and perturb it if the evaluation does so.

    Where perturbations are drawn, an image has no sha256: images with equal bytes are perturbed differently,
    and a scorer must not take the score of one for the other.
    """
    item = Item(str(image.path))
    try:
        data = read_content(image.path)
        source = decode.decode(data)
        if config.perturbation:
            source = _perturbed(source, data, image, test_set, config)
        crop_set = crops.crop(source, config.crops)
        pictures = make_views(source, views)
    except Exception as error:  # decoders raise almost any class on malformed files
        return Failure(item, Stage.DECODE, type(error).__name__, str(error) or type(error).__name__)
    sha256 = None if config.is_drawn else hashlib.sha256(data).hexdigest()
    info = ImageInfo(bytes=len(data), sha256=sha256)
    return DecodedImage(item, info, crop_set, views=pictures)


def _perturbed(
    source: decode.SourceImage, data: bytes, image: LabelledImage, test_set: str, config: EvaluationConfig
) -> decode.SourceImage:
    pixels = np.asarray(source.image.convert("RGB"))
    perturbed: Pixels | None
    if config.degradation:
        perturbed = config.degradation.apply(pixels, rng_of(data, config.seed))
    else:
        rng = perturbations.image_rng(config.seed, test_set, image.name)
        perturbed = perturbations.perturb(config.perturbation, pixels, rng)
    return source if perturbed is None else replace(source, image=Image.fromarray(perturbed))
