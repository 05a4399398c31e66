"""What a detector reads of an image, where that is not crops of native pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_LONGEST = 16  # times the shorter side; of a longer image the centre is resized

ResizeFilter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
"""As Pillow names them; all but ``nearest`` smooth what they shrink."""


@dataclass(frozen=True, slots=True)
class ImageView:
    """One picture of the whole image: resized, cut at its centre, or as it is.

    Resizing erases part of what a generator leaves behind, so only detectors whose publication resizes get
    such a view, and each row says so.

    Attributes:
        resize: side in pixels; None keeps the image's own pixels.
        both_sides: whether both sides get that length; else the shorter one, and proportions stay.
        filter: of resizing.
        crop: side of the square that is cut at the centre, pixels; black where the image is smaller.
        max_side: longest side of a picture that is not resized, pixels; of a larger image the centre is read.
    """

    resize: int | None = None
    both_sides: bool = False
    filter: ResizeFilter = "bilinear"
    crop: int | None = None
    max_side: int = 2048

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the picture of an image of that size, pixels."""
        if self.crop is not None:
            return self.crop, self.crop
        if self.resize is None:
            return min(width, self.max_side), min(height, self.max_side)
        return self.resized(width, height)

    def most_pixels(self, max_side: int) -> int:
        """Pixels of the largest picture, of images whose sides have at most so many pixels."""
        if self.crop is not None or self.resize is None:
            columns, rows = self.size(max_side, max_side)
            return columns * rows
        return self.resize**2 * (1 if self.both_sides else _LONGEST)

    def part(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is resized: all of the image, or the centre of a very long one.

        The shorter side of a line of pixels, resized to 224, would make an image of gigabytes.
        """
        if self.resize is None or self.both_sides:
            return width, height
        longest = _LONGEST * min(width, height)
        return min(width, longest), min(height, longest)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing, before anything is cut: as torchvision's Resize rounds them."""
        if self.resize is None:
            return width, height
        if self.both_sides:
            return self.resize, self.resize
        width, height = self.part(width, height)
        shorter = min(width, height)
        return max(int(self.resize * width / shorter), 1), max(int(self.resize * height / shorter), 1)

    def describe(self, width: int, height: int) -> str:
        """What was read of an image of that size, in words: ``resized to 256 x 171 px (bicubic)``."""
        resized, taken = self.resized(width, height), self.part(width, height)
        how = f"resized to {resized[0]} x {resized[1]} px ({self.filter})" if self.resize else ""
        if taken != (width, height):
            how = f"centre {taken[0]} x {taken[1]} px, {how}"
        size = self.size(width, height)
        if size == resized:
            return how or "whole image"
        part = f"centre {size[0]} x {size[1]} px"
        return f"{how}, {part}" if how else f"{part} of the image"

    def share(self, width: int, height: int) -> float:
        """Share of the pixels of an image of that size that lie in the picture; above 0, at most 1."""
        whole, part = self.resized(width, height), self.size(width, height)
        inside = min(whole[0], part[0]) * min(whole[1], part[1])
        resized = self.part(width, height)
        return round(inside / (whole[0] * whole[1]) * resized[0] * resized[1] / (width * height), 6)

    def __str__(self) -> str:
        if self.resize is None:
            if self.crop is None:
                return f"the whole image, at most {self.max_side} px a side"
            return f"the centre, {self.crop} x {self.crop} px"
        sides = "both sides" if self.both_sides else "shorter side"
        resized = f"{sides} resized to {self.resize} px ({self.filter})"
        return f"{resized}, centre {self.crop} x {self.crop} px" if self.crop else resized
