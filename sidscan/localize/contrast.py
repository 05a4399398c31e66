"""How clearly one part of a map stands out: what tells partial edits from whole photographs.

Photographs have probabilities above the threshold, too, but mostly faint, ragged or all over the image. What
somebody replaced is more often one compact part well above all the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.localize.regions import labelled
from sidscan.localize.tiles import SmallMap

CELL = 8  # px of a tile, a side, of which the mean counts; localizer-b16's decoder judges such cells
LEVEL = 0.7  # mean probability above which a cell belongs to a part
LEAST, MOST = 0.006, 0.5  # shares of the map that a part may have
MEASURED = 3  # of the largest parts
REST = 0.9  # share of the rest of the map that a part must exceed
CLIPPED = 0.01  # probabilities nearer to 0 or 1 count as this far away
_Cells = NDArray[np.float64]


def contrast(small: SmallMap) -> float:
    """Of the part that stands out most, 0 where none does.

    A part is made of cells above LEVEL that touch by their edges; it covers LEAST to MOST of the map. Its
    contrast is the lower of two differences of log-odds: from its mean to the mean of what is around it, and
    to the value that nine tenths of the rest do not exceed. That is multiplied by how compact the part is (1
    for an ellipse) and by its share of all cells above LEVEL.
    """
    cells = np.asarray(Image.fromarray(small.values).reduce(CELL), np.float64)
    labels = labelled(cells > LEVEL)
    sizes = np.bincount(labels.ravel())[1:]
    clipped = np.clip(cells, CLIPPED, 1 - CLIPPED)
    odds = np.log(clipped / (1 - clipped))
    largest = np.argsort(-sizes, kind="stable")[:MEASURED]
    shares = sizes / cells.size
    parts = [_Part(labels == 1 + index) for index in largest if LEAST <= shares[index] <= MOST]
    found = [part.above(odds) * part.compactness() * part.size / sizes.sum() for part in parts]
    return float(max([0.0, *found]))


@dataclass(frozen=True)
class _Part:
    """Some cells of a map, (rows, columns)."""

    inside: NDArray[np.bool_]

    @property
    def size(self) -> int:
        return int(self.inside.sum())

    def above(self, odds: _Cells) -> float:
        """How far its mean lies above its surroundings, and above most of the rest, whichever is less."""
        mean = odds[self.inside].mean()
        around, rest = odds[self._around()], odds[~self.inside]
        return float(min(mean - around.mean(), mean - np.quantile(rest, REST)))

    def _around(self) -> NDArray[np.bool_]:
        """What else lies in its box, enlarged on each side by half the side of a square of its size."""
        rows, columns = np.nonzero(self.inside)
        margin = max(2, round(0.5 * math.sqrt(self.size)))
        box = np.zeros_like(self.inside)
        top, left = max(rows.min() - margin, 0), max(columns.min() - margin, 0)
        box[top : rows.max() + 1 + margin, left : columns.max() + 1 + margin] = True
        return box & ~self.inside

    def compactness(self) -> float:
        """The share of the ellipse with the same moments that it fills, at most 1."""
        places = np.stack(np.nonzero(self.inside))
        moments = np.cov(places, bias=True) + np.eye(2) / 12  # a cell is no point
        return min(1.0, self.size / (4 * math.pi * math.sqrt(float(np.linalg.det(moments)))))
