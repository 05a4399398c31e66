"""`sidscan.load`: detectors that are loaded once and score one image after another, in this process."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.config import Effort, ReadLimits, ScanConfig
from sidscan.errors import ImageError, UsageError
from sidscan.images import items
from sidscan.models.refs import ModelChoice, choose_models, needed_views
from sidscan.records import DecodedImage, Failure, ImageInfo, Item, ScanResult
from sidscan.runtimes import Runtime, open_runtime
from sidscan.scoring.cascade import effort_used
from sidscan.scoring.scorer import score
from sidscan.sources.lists import is_url
from sidscan.traces.read import with_provenance_and_traces
from sidscan.util.object_urls import is_object_url

ImageInput: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8]"
)
"""A path, the bytes of an image file, a Pillow image, or pixels (height, width, 3) uint8 RGB."""

_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


class Model:
    """One or several detectors, ready to score.

    Reading happens in this process: a file that hangs or kills a decoder hangs or kills the program. `scan`
    reads in processes of their own, under limits of time and memory.

    Attributes:
        choice: the models, and why these.
    """

    def __init__(
        self, runtime: Runtime, choice: ModelChoice, limits: ReadLimits, effort: Effort = "full"
    ) -> None:
        self._runtime, self.choice, self._limits, self._effort = runtime, choice, limits, effort

    @property
    def names(self) -> tuple[str, ...]:
        """Of the detectors, in the order of a result's scores."""
        return tuple(detector.name for detector in self._runtime.detectors)

    def score(self, image: ImageInput, name: str = "") -> ScanResult:
        """The row that a report would have for this image, one score per detector.

        A Pillow image or an array has no file, so its row lacks hash, size in bytes, EXIF and the flags that
        follow from the file's bytes.

        Args:
            name: what to call the image in the result; by default its path, else empty.

        Raises:
            UsageError: a URL, or pixels of another shape or type.
            ImageError: the image can't be read, decoded or scored; it holds the row's words for that.
        """
        decoded = self._decoded(image, name)
        scanned_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        (result,) = score([decoded], self._runtime, scanned_at, effort=self._effort)
        if result.status.failed:
            raise ImageError(result.message or "it can't be scored", str(result.error), result.status.value)
        return result

    def _decoded(self, image: ImageInput, name: str) -> DecodedImage | Failure:
        if isinstance(image, Image.Image | np.ndarray):
            return items.decode_pillow(Item(name), _pillow_image(image), self._limits)
        if isinstance(image, bytes | bytearray | memoryview):
            data = bytes(image)
            return self._from_bytes(Item(name), data, items.info_from_bytes(data))
        if not isinstance(image, str | os.PathLike):
            raise UsageError(
                f"a {type(image).__name__} is not an image",
                "Give a path, the bytes of a file, a Pillow image or an array of pixels.",
            )
        path = os.fspath(image)
        if is_url(path) or is_object_url(path):
            raise UsageError("one image is never fetched", "Give sidscan.scan the URL.")
        loaded = items.load_item(items.named_item(path), self._limits.max_bytes)
        if isinstance(loaded, Failure):
            return loaded
        return self._from_bytes(Item(name or path), *loaded)

    def _from_bytes(self, item: Item, data: bytes, facts: ImageInfo) -> DecodedImage | Failure:
        last_step = partial(with_provenance_and_traces, data=data, limits=self._limits)
        *_, decoded = items.decode_item(item, data, facts, self._limits, last_step)
        return decoded


def open_model(config: ScanConfig) -> Model:
    """The models that a configuration names, loaded.

    Raises:
        ModelError: a model is unknown, not installed, or not what it was.
        RuntimeUnavailable: the device or precision asked for can't be used here.
    """
    choice = choose_models(config.models)
    runtime = open_runtime(config, choice.models)
    config = replace(config, views=needed_views(choice.models))
    return Model(runtime, choice, config, effort_used(config, runtime.detectors))


def _pillow_image(image: Image.Image | NDArray[np.uint8]) -> Image.Image:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise UsageError(
                f"pixels of shape {image.shape} and type {image.dtype}",
                "Give an array (height, width, 3) of uint8, in the order red, green, blue.",
            )
        if not image.size:
            raise UsageError("the array holds no pixels", "Give an image of at least one pixel.")
        image = Image.fromarray(np.ascontiguousarray(image))
    if image.mode not in _EIGHT_BIT_MODES:
        raise UsageError(
            f"pixels of Pillow's mode {image.mode} have no defined 8-bit reading",
            "Give the file's path or bytes instead: sidscan knows how its samples are stored.",
        )
    return image
