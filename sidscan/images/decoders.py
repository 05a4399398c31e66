"""Which library decodes a format here; a result of an earlier run is kept while this stays the same."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

import PIL

from sidscan.images import formats, jpeg_xl, raw
from sidscan.records import ImageInfo

REVISIONS: Mapping[str, int] = {"TIFF": 3, "HEIF": 2, **dict.fromkeys(raw.FORMATS, 2)}
"""How often sidscan's own reading of a format changed so that the same bytes give other pixels or flags.

Raise a format's number with such a change: results of earlier versions are then made again.
"""


DEVELOPED = "developed"
"""In place of a format: raw files that were developed, whatever their format; also the flag of their rows."""


@cache
def decoders() -> Mapping[str, str]:
    """Name and version of the decoder by format; "" stands for all that Pillow itself decodes.

    A format of the table whose decoder is not installed has the decoder "".
    """
    return {
        "": f"Pillow {PIL.__version__}",
        formats.HEIF: _package("pillow-heif", formats.heif_available()),
        jpeg_xl.NAME: _package("imagecodecs", jpeg_xl.is_available()),
        DEVELOPED: _package("rawpy", raw.can_develop()),
    }


def decoder_of(info: ImageInfo) -> str | None:
    """What decodes an image, e.g. ``Pillow 13.0.0``; None if there is nothing here."""
    known = decoders()
    name = DEVELOPED if DEVELOPED in info.flags else info.format or ""
    return known.get(name, known[""]) or None


def _package(name: str, is_available: bool) -> str:
    return f"{name} {version(name)}" if is_available else ""
