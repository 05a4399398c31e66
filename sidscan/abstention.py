"""Where a detector was measured not to know: its evidence is then called inconclusive, whatever the score.

The score stays in the report, since it is what the model gave; a word for it would promise what nobody
measured. Which pictures these are is part of a detector's weights and card. A detector without such a rule
has a word for every score but those of pictures without any detail, in which there is nothing to measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sidscan.records import Facts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INCONCLUSIVE = "inconclusive"  # the word for evidence


@dataclass(frozen=True, slots=True)
class Abstention:
    """What a picture must be for a detector's evidence to have a word.

    Attributes:
        side: pixels, the least width and height.
        detail: the least share of the views' pixels that differ from their neighbour (`detail`).
        quality: the least JPEG quality (`Facts.jpeg_quality`), 1 to 100; 0 where it does not matter.
        spread: the greatest standard deviation of the views' logits; 0 where it does not matter.
    """

    side: int = 1
    detail: float = 1e-9  # more than none
    quality: int = 0
    spread: float = 0.0

    @classmethod
    def from_tree(cls, raw: Mapping[str, Any]) -> Abstention:
        """The inverse of `dataclasses.asdict`, after JSON.

        Raises:
            ValueError: something is missing, unknown or no number of its kind.
        """
        kinds = {one.name: type(one.default) for one in fields(cls)}
        if set(raw) != set(kinds) or any(type(raw[name]) is not kind for name, kind in kinds.items()):
            raise ValueError("abstention")
        return cls(**raw)

    def reasons(self, facts: Facts, crops: NDArray[np.uint8], logits: NDArray[np.float64]) -> tuple[str, ...]:
        """Why the evidence of a picture is inconclusive; empty where it is not.

        Args:
            crops: (k, 224, 224, 3), its windows.
            logits: (views,).
        """
        size = facts.width or crops.shape[2], facts.height or crops.shape[1]
        return self.because(min(size), detail(crops, *size), facts.jpeg_quality, float(logits.std()))

    def because(self, side: int, detail: float, quality: int | None, spread: float) -> tuple[str, ...]:
        """The same from what is known of a picture, each as the attribute of that name has it."""
        checks = {
            "small": side < self.side,
            "flat": detail < self.detail,
            "compressed": quality is not None and quality < self.quality,
            "views_disagree": self.spread > 0 and spread > self.spread,
        }
        return tuple(reason for reason, holds in checks.items() if holds)


EVERY_PICTURE = Abstention()


def detail(crops: NDArray[np.uint8], width: int, height: int) -> float:
    """Share of pixels whose green differs from their right-hand neighbour's, 0 to 1.

    Every fourth row is looked at. The padding around a small picture is no part of it.

    Args:
        crops: (k, h, w, 3).
        width, height: of the picture, pixels.
    """
    h, w = int(crops.shape[1]), int(crops.shape[2])
    green = crops[:, ::4, :, 1]
    differing = float((green[:, :, 1:] != green[:, :, :-1]).mean())
    content = float(min(height, h) * min(width, w)) / (h * w)
    return min(differing / content, 1.0)
