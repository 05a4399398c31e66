"""IoU on Dolos that DeCLIP's authors published, in percent: test set and training set -> mean over images."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SOURCE = (
    "Published by DeCLIP's authors in plots.ipynb of github.com/bit-ml/DeCLIP @ 09d4293. The means equal "
    "the paper's for CLIP ViT-L/14 with RN50 and conv-20, so it is taken to be that model."
)
PUBLISHED_BY = (
    "These figures are of the protocol global, which squashes each image into one square; compare them with "
    "an evaluation with --protocol global."
)
AUTHORS_SETS = ("ldm", "repaint-p2-9k", "lama", "pluralistic")
_ROWS = {  # test set: trained on each of AUTHORS_SETS
    "ldm": (51.1, 27.4, 21.6, 4.9),
    "repaint-p2-9k": (44.7, 74.0, 29.5, 8.1),
    "lama": (43.5, 42.4, 86.5, 51.9),
    "pluralistic": (56.4, 54.2, 32.0, 83.7),
}
PUBLISHED_IOU: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        (test, train): value
        for test, values in _ROWS.items()
        for train, value in zip(AUTHORS_SETS, values, strict=True)
    }
)
