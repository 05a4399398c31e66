"""The crops that people look at: of the images with the strongest evidence, the crop with the highest score.

Which images these are is known only at the end of a scan, when the pixels are gone. So the crop of each image
that is among the strongest *so far* is kept; of 100,000 images in any order these are about 3,000, and those
that fell behind are deleted at the end.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sidscan.images.crops import CENTRE, VIEW_NAMES
from sidscan.images.thumbnails import crop_webp
from sidscan.records import CropSet, DecodedImage, Failure, ScanResult, Score


class StrongestCrops:
    """Chooses and encodes crops while a scan runs.

    Args:
        size: of how many images.
        known: strength (`Score.strength`) and sha256 of images that have results already.
    """

    def __init__(self, size: int, known: Iterable[tuple[float, str]] = ()) -> None:
        self._size = size
        self._heap: list[tuple[float, str]] = []  # the weakest first
        self._admitted: set[str] = set()
        for strength, sha256 in known:
            self._admit(strength, sha256)

    def of(
        self, batch: Sequence[DecodedImage | Failure], results: Sequence[ScanResult]
    ) -> dict[str, tuple[str, bytes]]:
        """Of the images of a batch that are among the strongest so far: by sha256, the view and its WebP.

        Where no model reads crops, nobody would see them.
        """
        return {
            sha256: highest_crop_webp(image.crop_set, result)
            for image, result, sha256 in _scored(batch, results)
            if result.strongest
            and result.strongest_of_crops
            and self._admit(result.strongest.strength, sha256)
        }

    def _admit(self, strength: float, sha256: str) -> bool:
        """Whether an image is among the strongest; equal bytes are one image."""
        if not self._size or sha256 in self._admitted:
            return False
        entry = (strength, sha256)
        self._admitted.add(sha256)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
            return True
        removed = heapq.heappushpop(self._heap, entry)
        self._admitted.remove(removed[1])
        return removed != entry


def highest_crop_webp(crops: CropSet, result: ScanResult) -> tuple[str, bytes]:
    """The view with the highest score of the strongest model that reads crops, and its WebP."""
    score = result.strongest_of_crops
    assert score is not None
    return view_of(score), crop_webp(highest_crop(crops, score))


def view_of(score: Score) -> str:
    """The view with the highest score; the centre where an earlier version did not say."""
    return score.highest_crop or VIEW_NAMES[CENTRE]


def highest_crop(crops: CropSet, score: Score) -> NDArray[np.uint8]:
    """The crop (224, 224, 3) that has the highest score, as it lies in the image: not mirrored."""
    view = VIEW_NAMES.index(view_of(score))
    index, mirrored = crops.order[view] if len(crops.order) > 1 else crops.order[0]
    pixels: NDArray[np.uint8] = crops.crops[index]
    return pixels[:, ::-1] if mirrored != (view > CENTRE) else pixels


def _scored(
    batch: Sequence[DecodedImage | Failure], results: Sequence[ScanResult]
) -> Iterator[tuple[DecodedImage, ScanResult, str]]:
    for image, result in zip(batch, results, strict=True):
        sha256 = image.facts.sha256
        if isinstance(image, DecodedImage) and result.scores and sha256 is not None:
            yield image, result, sha256
