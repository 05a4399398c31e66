"""Examples -> crops. Images are decoded as in a scan; threads work in parallel, and crops come in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sidscan.errors import SidscanError, UsageError
from sidscan.images import decode
from sidscan.training.common.pixels import Pixels
from sidscan.training.datasets.content import read_content
from sidscan.training.datasets.rows import LabelledImage
from sidscan.util import threads

from .augmentation import PUBLISHED, centre_crop, training_crop
from .recipe import Recipe

Crop = NDArray[np.uint8]
_AHEAD = 32  # crops in flight per worker: a batch is ready when the encoder asks for it


class UnreadableExample(SidscanError):
    """An image of the training set can't be decoded."""

    exit_code = UsageError.exit_code


@dataclass
class CropDataset:
    """Crops of examples. Each follows from (seed, epoch, example) alone, whatever the number of threads.

    Attributes:
        augmented: whether crops are random and augmented; else they are the centre crops.
        skip_unreadable: leave out what can't be decoded and remember it; else the first one raises an error.
        left_out: indices of the examples that were left out so far.
        recipe: how crops are augmented.
    """

    examples: Sequence[LabelledImage]
    seed: int = 0
    augmented: bool = True
    workers: int | None = None
    skip_unreadable: bool = False
    left_out: set[int] = field(default_factory=set)
    recipe: Recipe = PUBLISHED

    def __len__(self) -> int:
        return len(self.examples)

    def draw(self, epoch: int, indices: Sequence[int]) -> Iterator[Crop | None]:
        """Crops (224, 224, 3) of the examples with these indices, in order; None for one left out.

        Raises:
            UnreadableExample: an image can't be decoded, and `skip_unreadable` is off.
        """

        def crop_of(index: int) -> Crop | SidscanError:
            return self._crop(epoch, index)

        for index, crop in zip(
            indices, threads.map_ordered(crop_of, indices, self.workers, _AHEAD), strict=True
        ):
            if isinstance(crop, SidscanError):
                if not self.skip_unreadable:
                    raise crop
                self.leave_out([index])
                yield None
            else:
                yield crop

    def leave_out(self, indices: Iterable[int]) -> None:
        """Remember examples that could not be read.

        Raises:
            UnreadableExample: there is at least one, and `skip_unreadable` is off.
        """
        for index in indices:
            if not self.skip_unreadable:
                raise _unreadable(self.examples[index].path, "it could not be read when the cache was made")
            self.left_out.add(index)

    def names_left_out(self) -> list[str]:
        """Names of the images that were left out."""
        return [self.examples[index].name for index in sorted(self.left_out)]

    def _crop(self, epoch: int, index: int) -> Crop | SidscanError:
        path = self.examples[index].path
        try:
            pixels: Pixels = np.asarray(decode.decode(read_content(path)).image.convert("RGB"))
        except Exception as error:  # codecs raise errors of any class
            return _unreadable(path, str(error))
        if not self.augmented:
            return centre_crop(pixels)
        return training_crop(pixels, np.random.default_rng([self.seed, epoch, index]), self.recipe)


def _unreadable(path: Path, why: str) -> UnreadableExample:
    return UnreadableExample(
        f"{path} can't be read: {why}",
        "Repair or remove the file. Or pass --skip-unreadable: the run then leaves such images out, and the "
        "checkpoint lists them. The same command goes on from here.",
    )
