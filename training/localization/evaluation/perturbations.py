"""What is done to images before a localizer sees them: nothing, JPEG, resizing, blur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sidscan.errors import UsageError
from sidscan.training.common.extras import import_extra
from sidscan.training.common.pixels import Pixels, recoded

KINDS = ("jpeg", "resize", "blur")
UNCHANGED = "none"


@dataclass(frozen=True, slots=True)
class Perturbation:
    """One change.

    Attributes:
        kind: ``none``, or one of `KINDS`.
        value: quality of JPEG, factor of a resizing, sigma of a blur in pixels.
    """

    kind: str = UNCHANGED
    value: float = 0.0

    @property
    def name(self) -> str:
        """As the command line and the files of results have it, e.g. ``jpeg-75``."""
        return UNCHANGED if self.kind == UNCHANGED else f"{self.kind}-{self.value:g}"

    def apply(self, pixels: Pixels) -> Pixels:
        """The image with this change; only resizing changes its size."""
        if self.kind == "jpeg":
            return recoded(pixels, quality=int(self.value))
        if self.kind == "resize":
            sides = [max(round(side * self.value), 1) for side in (pixels.shape[1], pixels.shape[0])]
            image = Image.fromarray(pixels).resize((sides[0], sides[1]), Image.Resampling.BILINEAR)
            return np.asarray(image)
        if self.kind == "blur":
            blurred: Pixels = import_extra("cv2").GaussianBlur(pixels, (0, 0), sigmaX=self.value)
            return blurred
        return pixels


def parse_perturbation(text: str) -> Perturbation:
    """``jpeg-75`` -> a perturbation.

    Raises:
        UsageError: there is no such kind, or the value is out of range.
    """
    kind, _, number = text.partition("-")
    try:
        value = float(number)
    except ValueError:
        value = 0.0
    in_range = {"jpeg": value in range(1, 101), "resize": 0 < value <= 4, "blur": 0 < value <= 20}
    if not in_range.get(kind):
        raise UsageError(
            f"{text!r} is not a perturbation",
            "Write jpeg-QUALITY (1 to 100), resize-FACTOR (up to 4) or blur-SIGMA (up to 20), e.g. jpeg-75.",
        )
    return Perturbation(kind, value)
