"""When a detector's evidence is called inconclusive, whatever the score.

Some images hold too little for a detector to judge, and its error on them was measured. Their score stays in
the report, since the model gave it, but a band of evidence would promise what nobody measured. The rule is
part of a detector's weights and card. A detector without a rule abstains only on images without any detail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from sidscan.records import ImageInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Abstention:
    """What an image must have, so that a detector's evidence gets a band.

    Attributes:
        side: pixels, the least width and height.
        detail: the least share of the crops' pixels that differ from a neighbour (`detail`).
        quality: the least JPEG quality (`ImageInfo.jpeg_quality`), 1 to 100; 0 where it does not matter.
        spread: the greatest standard deviation of the crops' logits; 0 where it does not matter.
    """

    side: int = 1
    detail: float = 1e-9  # more than none
    quality: int = 0
    spread: float = 0.0

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Abstention:
        """The inverse of `dataclasses.asdict`, after JSON.

        Raises:
            ValueError: a field is missing or unknown, or a value has another type.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        if set(raw) != set(kinds) or any(type(raw[name]) is not kind for name, kind in kinds.items()):
            raise ValueError("abstention")
        return cls(**raw)

    def reasons(
        self, facts: ImageInfo, crops: NDArray[np.uint8], logits: NDArray[np.float64]
    ) -> tuple[str, ...]:
        """Why the evidence of an image is inconclusive; empty if it is not.

        Args:
            crops: (k, 224, 224, 3), its windows.
            logits: (crops,).
        """
        width, height = facts.scored_size
        size = width or crops.shape[2], height or crops.shape[1]
        measured = self.because(min(size), detail(crops, *size), facts.jpeg_quality, float(logits.std()))
        return measured + (("preview",) if "preview" in facts.flags else ())

    def because(self, side: int, detail: float, quality: int | None, spread: float) -> tuple[str, ...]:
        """The same, from the measured values that the attributes limit."""
        checks = {
            "small": side < self.side,
            "flat": detail < self.detail,
            "compressed": quality is not None and quality < self.quality,
            "views_disagree": self.spread > 0 and spread > self.spread,
        }
        return tuple(reason for reason, holds in checks.items() if holds)


EVERY_IMAGE = Abstention()


def detail(crops: NDArray[np.uint8], width: int, height: int) -> float:
    """Share of pixels that differ from the one to their right or the one below, in any channel: 0 to 1.

    Only every eighth row is read. The padding around a small image does not count.

    Args:
        crops: (k, 224, 224, 3).
        width, height: of the image, pixels.
    """
    rows, columns = (
        _inside(length, side) for length, side in zip((height, width), crops.shape[1:3], strict=True)
    )
    content = crops[:, rows, columns]
    here = content[:, :-1:8]
    below, right = content[:, 1::8], here[:, :, 1:]
    if not here[:, :, :-1].size:
        return 0.0
    differing = (here != below)[:, :, :-1]
    differing |= here[:, :, :-1] != right
    return float((differing[..., 0] | differing[..., 1] | differing[..., 2]).mean())


def _inside(length: int, side: int) -> slice:
    """Where an image of that length lies in a crop, less a pixel that rounding puts on either side."""
    start = (side - length) // 2
    return slice(start + 1, start + length - 1) if length < side else slice(None)
