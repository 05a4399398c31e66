"""A first look at every image and mask: what can't be used is found before hours of work, and named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sidscan.errors import SidscanError, UsageError
from sidscan.images import decode
from sidscan.util import threads

from .examples import MaskedImage
from .pixels import UnreadableFile, read_image, read_mask

_MOSTLY = 0.5  # of a mask, and of the masks of a set


@dataclass(frozen=True, slots=True)
class SurveyedImage:
    """An image that can be used.

    Attributes:
        sha256: of the image file, hex.
        area: the mask's mean, 0 to 1; None for a real image.
    """

    image: MaskedImage
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


def survey(
    images: Sequence[MaskedImage],
    options: SurveyOptions,
    progress: Callable[[int], object] = lambda _: None,
) -> Survey:
    """Look at all images and masks.

    Raises:
        UnreadableFile: one can't be used, and none may be left out.
        UsageError: the masks of a set seem to be inverted, or nothing is left.
    """
    kept: list[SurveyedImage] = []
    left_out: dict[str, str] = {}

    def look(image: MaskedImage) -> SurveyedImage | SidscanError:
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
    if not options.polarity_stated:
        check_polarity(kept)
    return Survey(tuple(kept), left_out)


def check_masks(images: Sequence[MaskedImage], workers: int | None = None) -> None:
    """Refuse a set whose masks seem to be inverted; it reads masks alone, and not those that are damaged.

    Raises:
        UsageError: so it is for one of the sets.
    """

    def look(image: MaskedImage) -> SurveyedImage | None:
        try:
            return SurveyedImage(image, "", float(np.mean(read_mask(image))) / 255)
        except SidscanError:  # its row says so
            return None

    masked = [image for image in images if not image.is_real]
    check_polarity([seen for seen in threads.map_ordered(look, masked, workers) if seen is not None])


def check_polarity(images: Sequence[SurveyedImage]) -> None:
    """Refuse masks that are probably read the wrong way round: most of most images would be synthetic.

    Raises:
        UsageError: so it is for one of the sets.
    """
    areas: dict[str, list[float]] = {}
    for seen in images:
        if seen.area is not None:
            areas.setdefault(seen.image.set, []).append(seen.area)
    for name, of_set in areas.items():
        large = sum(area > _MOSTLY for area in of_set)
        if large <= _MOSTLY * len(of_set):
            continue
        black = next(seen.image.black_is_synthetic for seen in images if seen.image.set == name)
        read, other = ("black", "white") if black else ("white", "black")
        raise UsageError(
            f"the masks of {name} are probably read the wrong way round: {read} counts as synthetic, and in "
            f"{large} of {len(of_set)} masks it covers more than half of the image",
            f"Look at some. Add --synthetic-is {other}; or --synthetic-is {read}, if regions are that large.",
        )


def _look(image: MaskedImage, resize_masks: bool) -> SurveyedImage | SidscanError:
    try:
        data = image.path.read_bytes()
        size = read_image(data, image.path).shape[:2]
        area = None if image.mask is None else _area(image, size, resize_masks)
    except OSError as error:
        return UnreadableFile(
            f"{image.path} can't be read: {error.strerror or error}", "Check its permissions."
        )
    except SidscanError as error:
        return error
    return SurveyedImage(image, hashlib.sha256(data).hexdigest(), area)


def _area(image: MaskedImage, size: tuple[int, ...], resize_masks: bool) -> float:
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
