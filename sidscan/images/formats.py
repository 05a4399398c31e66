"""Which files of the table of formats this installation decodes, and what a row says of the others."""

from __future__ import annotations

import importlib.util
from functools import cache

from sidscan.images import jpeg2000, jpeg_xl, psd
from sidscan.images.errors import FormatNotRead, UnsupportedImage
from sidscan.util.magic import (
    IMAGE_FORMATS,
    TAIL_BYTES,
    FileFormat,
    FileKind,
    identify,
    identify_file,
    identify_name,
)

HEIF = "HEIF"  # Pillow reads it with pillow-heif only
_PACKAGES = {HEIF: "pillow-heif", jpeg_xl.NAME: "imagecodecs"}  # what reads a format that Pillow does not
_CHECKS = {jpeg2000.NAME: jpeg2000.why_unreadable, psd.NAME: psd.why_unreadable}
_CONVERT = "convert it to PNG or TIFF"


def check_format(data: bytes, name: str = "") -> None:
    """Refuse what is known not to give the pixels of an image.

    Args:
        name: of the file; some formats share their first bytes.

    Raises:
        FormatNotRead: this installation does not decode it, or would give other pixels than it has.
    """
    known = identify(data, data[-TAIL_BYTES:])
    if known is None:
        return
    if known.kind is not FileKind.IMAGE:
        raise not_read(identify_file(name, data, data[-TAIL_BYTES:]) or known)
    if not is_available(known):
        package = _PACKAGES[known.name]
        raise FormatNotRead(
            f"{known.noun} needs one package more: pip install {package}; then run the scan again", known.name
        )
    if known.name in _CHECKS and (reason := _CHECKS[known.name](data)):
        raise FormatNotRead(f"{known.noun} with {reason}", known.name)


def not_read(known: FileFormat, by_name: bool = False) -> FormatNotRead:
    """The error for a file of a format that is not decoded.

    Args:
        by_name: whether only the file's name says so.
    """
    remedy = "" if known.kind.may_hold_images else f"; {_CONVERT}"
    only = f"by its name {known.noun}, by its first bytes unknown: {known.kind.value}"
    return FormatNotRead((only if by_name else known.not_opened) + remedy, known.name)


def unidentified(data: bytes, name: str) -> UnsupportedImage:
    """The error for bytes that no decoder knows."""
    if not data:
        return UnsupportedImage("the file is empty")
    by_name = identify_name(name)
    if by_name is not None and by_name.kind is not FileKind.IMAGE:
        return not_read(by_name, by_name=True)
    names = ", ".join("HEIC" if known == HEIF else known for known in supported_formats())
    return UnsupportedImage(f"not an image of a supported format, or damaged at its start ({names})")


def is_available(known: FileFormat) -> bool:
    """Whether the package that decodes a format is installed."""
    if known.name == HEIF:
        return heif_available()
    return known.name != jpeg_xl.NAME or jpeg_xl.is_available()


def supported_formats() -> tuple[str, ...]:
    """Names of the formats that this installation decodes, in the order of the table.

    They are those in which photographs travel. Formats with an interpreter (EPS, PDF, WMF) are never opened.
    """
    return tuple(known.name for known in IMAGE_FORMATS if is_available(known))


def pillow_formats() -> tuple[str, ...]:
    """Those of them that Pillow decodes."""
    return tuple(name for name in supported_formats() if name != jpeg_xl.NAME)


@cache
def heif_available() -> bool:
    """Whether pillow-heif is installed; then Pillow reads HEIC from now on."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True
