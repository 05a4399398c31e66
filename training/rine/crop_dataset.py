"""Examples -> views, decoded as the product decodes, in parallel and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sidscan.errors import SidscanError, UsageError
from sidscan.images import decode
from sidscan.util import threads

from .augmentation import Pixels, centre_view, training_view
from .examples import Example

Crop = NDArray[np.uint8]
_AHEAD = 32  # views in flight per worker: a batch is ready when the encoder asks for it


class UnreadableExample(SidscanError):
    """A picture of the training or test set can't be decoded."""

    exit_code = UsageError.exit_code


@dataclass
class CropDataset:
    """Views of examples; every one is drawn from (seed, epoch, example), however many threads there are.

    Attributes:
        augmented: random training views; else the centre.
        skip_unreadable: leave out what can't be decoded, and remember it; else that ends the run.
        left_out: numbers of examples left out, as far as they have been looked at.
    """

    examples: Sequence[Example]
    seed: int = 0
    augmented: bool = True
    workers: int | None = None
    skip_unreadable: bool = False
    left_out: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.examples)

    def draw(self, epoch: int, numbers: Sequence[int]) -> Iterator[Crop | None]:
        """Views (224, 224, 3) of the examples with these numbers, in order; None for one left out.

        Raises:
            UnreadableExample: one can't be decoded, and none may be left out.
        """
        make: Callable[[int], Crop | SidscanError] = lambda number: self._view(epoch, number)  # noqa: E731
        for number, view in zip(
            numbers, threads.map_ordered(make, numbers, self.workers, _AHEAD), strict=True
        ):
            if isinstance(view, SidscanError):
                if not self.skip_unreadable:
                    raise view
                self.leave_out([number])
                yield None
            else:
                yield view

    def leave_out(self, numbers: Iterable[int]) -> None:
        """Remember examples that could not be read.

        Raises:
            UnreadableExample: there are some, and none may be left out.
        """
        for number in numbers:
            if not self.skip_unreadable:
                raise _unreadable(self.examples[number].path, "so it was when the cache was made")
            self.left_out.add(number)

    def names_left_out(self, data: Path) -> list[str]:
        """Names below ``data`` of what was left out."""
        paths = (self.examples[number].path for number in sorted(self.left_out))
        return [path.relative_to(data).as_posix() for path in paths]

    def _view(self, epoch: int, number: int) -> Crop | SidscanError:
        path = self.examples[number].path
        try:
            pixels = read_pixels(path.read_bytes())
        except Exception as error:  # codecs raise whatever they like
            return _unreadable(path, str(error))
        if not self.augmented:
            return centre_view(pixels)
        return training_view(pixels, np.random.default_rng([self.seed, epoch, number]))


def _unreadable(path: Path, why: str) -> UnreadableExample:
    return UnreadableExample(
        f"{path} can't be read: {why}",
        "Repair or remove it; or leave out what can't be read, and say so in the checkpoint, "
        "with --skip-unreadable. The same command goes on from here.",
    )


def read_pixels(data: bytes) -> Pixels:
    """A whole picture (height, width, 3), RGB, decoded as in a scan.

    Raises:
        Exception: whatever `images.decode.decode` raises.
    """
    return np.asarray(decode.decode(data).image.convert("RGB"))
