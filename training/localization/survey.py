"""A first look at every image and mask: what can't be used is found before hours of work, and named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sidscan.errors import SidscanError, UsageError
from sidscan.images import decode
from sidscan.training.datasets.content import read_content
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util import threads

from .masks import read_mask
from .pixels import UnreadableFile, read_image

_MOSTLY = 0.5  # of a mask, and of the masks of a set


@dataclass(frozen=True, slots=True)
class SurveyedImage:
    """An image that can be used.

    Attributes:
        sha256: of the image file, hex.
        area: the mask's mean, 0 to 1; None for a real image.
    """

    image: LabelledImage
    sha256: str
    area: float | None


@dataclass(frozen=True)
class SurveyOptions:
    """What is forgiven.

    Attributes:
        skip_unreadable: leave out what can't be used, instead of stopping at the first.
        resize_masks: accept a mask of another size than its image.
        polarity_stated: the user says what white means in masks, so large regions raise no suspicion.
    """

    skip_unreadable: bool = False
    resize_masks: bool = False
    polarity_stated: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Survey:
    """The images that can be used, in their order, and why others can't: name -> reason."""

    images: tuple[SurveyedImage, ...]
    left_out: dict[str, str]

    @property
    def empty(self) -> int:
        """How many masks mark nothing."""
        return sum(seen.area == 0 for seen in self.images)


def survey(
    images: Sequence[LabelledImage],
    options: SurveyOptions,
    progress: Callable[[int], object] = lambda _: None,
) -> Survey:
    """Look at all images and masks.

    Raises:
        UnreadableFile: one can't be used, and none may be left out.
        UsageError: the masks of a set seem to be inverted or all mark nothing, or nothing is left.
    """
    kept: list[SurveyedImage] = []
    left_out: dict[str, str] = {}

    def look(image: LabelledImage) -> SurveyedImage | SidscanError:
        return _look(image, options.resize_masks)

    with closing(threads.map_ordered(look, images, options.workers)) as survey:
        for image, seen in zip(images, survey, strict=True):
            if isinstance(seen, SurveyedImage):
                kept.append(seen)
            elif options.skip_unreadable:
                left_out[image.name] = seen.message
            else:
                raise seen
            progress(1)
    if not any(seen.area is not None for seen in kept):
        raise UsageError("no image with a mask can be read", "Repair or remove the files.")
    check_areas(kept, options.polarity_stated)
    return Survey(tuple(kept), left_out)


def check_masks(images: Sequence[LabelledImage], polarity_stated: bool, workers: int | None = None) -> int:
    """Look at the masks alone, and pass over those that are damaged; returns how many mark nothing.

    Raises:
        UsageError: those of a set seem to be inverted, or all mark nothing.
    """

    def look(image: LabelledImage) -> SurveyedImage | None:
        try:
            return SurveyedImage(image, "", float(np.mean(read_mask(image))) / 255)
        except SidscanError:  # its row says so
            return None

    masked = [image for image in images if not image.is_real]
    seen = [each for each in threads.map_ordered(look, masked, workers) if each is not None]
    check_areas(seen, polarity_stated)
    return sum(each.area == 0 for each in seen)


def check_areas(images: Sequence[SurveyedImage], polarity_stated: bool) -> None:
    """Refuse sets whose masks mark nothing, or are probably read the wrong way round.

    Raises:
        UsageError: so it is for one of the sets.
    """
    areas: dict[tuple[str, bool], list[float]] = {}
    for seen in images:
        if seen.area is not None:
            areas.setdefault((seen.image.set, seen.image.black_is_synthetic), []).append(seen.area)
    for (name, black), of_set in areas.items():
        read, other = ("black", "white") if black else ("white", "black")
        if not any(of_set):
            raise UsageError(
                f"the masks of {name} mark nothing: {read} counts as synthetic, and all of them are {other}",
                f"Look at some. If {other} is synthetic, add --synthetic-is {other}.",
            )
        if not polarity_stated:
            _check_polarity(name, of_set, read, other)


def _check_polarity(name: str, areas: Sequence[float], read: str, other: str) -> None:
    """Most of most images would be synthetic: that is hardly meant."""
    large = sum(area > _MOSTLY for area in areas)
    if large > _MOSTLY * len(areas):
        raise UsageError(
            f"the masks of {name} are probably read the wrong way round: {read} counts as synthetic, and in "
            f"{large} of {len(areas)} masks it covers more than half of the image",
            f"Look at some. Add --synthetic-is {other}; or --synthetic-is {read}, if regions are that large.",
        )


def _look(image: LabelledImage, resize_masks: bool) -> SurveyedImage | SidscanError:
    try:
        data = read_content(image.path)
        size = read_image(data, image.path).shape[:2]
        area = None if image.mask is None else _area(image, size, resize_masks)
    except OSError as error:
        return UnreadableFile(
            f"{image.path} can't be read: {error.strerror or error}", "Check its permissions."
        )
    except SidscanError as error:
        return error
    return SurveyedImage(image, hashlib.sha256(data).hexdigest(), area)


def _area(image: LabelledImage, size: tuple[int, ...], resize_masks: bool) -> float:
    mask = read_mask(image)
    if mask.shape != size and not resize_masks:
        (height, width), (mask_height, mask_width) = size, mask.shape
        raise UnreadableFile(
            f"{image.mask} is {mask_width}x{mask_height}, its image {width}x{height}",
            "Masks have the size of their images. Add --resize-masks, if they show the same view.",
        )
    return float(np.mean(mask)) / 255


def decoder() -> str:
    """The decoder that read the pixels, for facts."""
    return decode.decoder_name()
