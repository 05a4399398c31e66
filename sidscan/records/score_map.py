"""What a closer look at an image gives: the scores of all its windows.

A window's score is not the image's score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """One model's scores of all windows of an image, on a grid.

    Attributes:
        digest, threshold: as in `Score`.
        side: of a window, pixels.
        width, height: of the pixels that were decoded, as stored.
        lefts, tops: where the columns and rows of windows begin, pixels; negative where there is padding.
        scores: of each window, by rows of the grid, to four decimals.
        flat: of each window, whether it has less detail than the model can judge (`models.abstention`).
        orientation: as EXIF states it; maps are drawn turned by it, as thumbnails are.
        made_by: what computed the scores, in words.
    """

    model: str
    digest: str
    threshold: float
    side: int
    width: int
    height: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]
    flat: tuple[tuple[bool, ...], ...]
    orientation: int | None = None
    made_by: str = ""

    @property
    def windows(self) -> int:
        """How many there are."""
        return len(self.lefts) * len(self.tops)

    @property
    def stride(self) -> tuple[int, int]:
        """The largest distance between neighbours, across and down, pixels; 0 where there is one window."""
        across, down = (
            max((right - left for left, right in pairwise(starts)), default=0)
            for starts in (self.lefts, self.tops)
        )
        return across, down

    def judged(self) -> list[tuple[float, int, int]]:
        """Score, left and top of the windows that are not flat."""
        return [
            (score, left, top)
            for top, scores, flat_row in zip(self.tops, self.scores, self.flat, strict=True)
            for left, score, flat in zip(self.lefts, scores, flat_row, strict=True)
            if not flat
        ]

    @property
    def highest(self) -> tuple[float, int, int] | None:
        """Score, left and top of the highest window, the first of equals; None where all are flat."""
        return max(self.judged(), key=lambda window: window[0], default=None)

    @property
    def above(self) -> int:
        """How many windows reach the threshold, without flat ones."""
        return sum(score >= self.threshold for score, *_ in self.judged())

    def grid_in_words(self) -> str:
        """How many windows there are, and how they lie."""
        if self.windows == 1:
            return f"1 window of {self.side} x {self.side} pixels"
        across, down = self.stride
        directions = [f"{across} px across"] * bool(across) + [f"{down} px down"] * bool(down)
        return f"{self.windows} windows of {self.side} x {self.side} pixels, every {' and '.join(directions)}"

    def in_words(self) -> str:
        """The highest window, and how many windows reach the threshold."""
        if self.highest is None:
            return "all windows are too flat to judge"
        judged, (score, left, top) = len(self.judged()), self.highest
        share = 100 * self.above / judged
        flat = f"; {self.windows - judged} too flat to judge, not counted" if judged < self.windows else ""
        return (
            f"highest {score:.3f} at x {left}, y {top}; {self.above} of {judged} ({share:.1f} %) "
            f"reach the threshold {self.threshold:.3f}{flat}"
        )

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ScoreMap:
        """The inverse of `dataclasses.asdict`, after JSON."""
        known = {each.name: raw[each.name] for each in fields(cls) if each.name in raw}
        lists = {name: tuple(raw[name]) for name in ("lefts", "tops")}
        grids = {name: tuple(map(tuple, raw[name])) for name in ("scores", "flat")}
        return cls(**{**known, **lists, **grids})


@dataclass(frozen=True, slots=True)
class CloserLook:
    """All windows of an image, scored.

    Attributes:
        maps: one per model, in the order of the result's scores.
        png: the maps, drawn.
        has_image: whether the drawing shows the image, too.
    """

    maps: tuple[ScoreMap, ...]
    png: bytes
    has_image: bool = True
