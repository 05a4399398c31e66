"""Why the bytes of an input give no image; `images.limits` has the errors of its size."""

from __future__ import annotations

from sidscan.records import Status


class UnsupportedImage(Exception):
    """The bytes are not an image of a supported format, or their samples can't be reduced to 8 bits."""


class FormatNotRead(UnsupportedImage):
    """A file of a known format, or of a kind within it, that this installation does not decode.

    Attributes:
        format: its name, for the row.
    """

    def __init__(self, message: str, image_format: str) -> None:
        super().__init__(message)
        self.format = image_format


class Truncated(Exception):
    """A part of the image is missing."""

    status = Status.TRUNCATED
