"""Whether an image file keeps every pixel value as it was saved: by its format, else by its compression.

What happened to the pixels before is another matter: a JPEG that was saved again as PNG is lossless here.
"""

from __future__ import annotations

import io

from PIL import Image

_BY_FORMAT = {"PNG": True, "BMP": True, "JPEG": False, "MPO": False}
_TIFF_COMPRESSION = 259  # TIFF 6.0, section 8
_TIFF_LOSSLESS = {
    *(1, 2, 3, 4, 5),  # none, CCITT, LZW
    *(8, 32773, 32946),  # Deflate, PackBits, Deflate by its former number
    *(34925, 50000),  # LZMA, Zstandard
}
_TIFF_LOSSY = {6, 7}  # JPEG, old and new
_WEBP_HEADER, _CHUNK_HEADER, _FRAME_HEADER = 12, 8, 16  # bytes; RFC 9649, section 2


def is_lossless(image_format: str, data: bytes) -> bool | None:
    """Whether the bytes of an image keep every pixel value; None where that is not known.

    Formats that can do both and do not say so in their container (HEIC, AVIF) are not known, nor is GIF,
    which first reduces photographs to 256 colours.

    Args:
        image_format: Pillow's name of it.
        data: of the file; empty if there is none.
    """
    if image_format == "TIFF" and data:
        return _tiff(data)
    if image_format == "WEBP":
        return _webp(data)
    return _BY_FORMAT.get(image_format)


def _tiff(data: bytes) -> bool | None:
    """By the compression that the first image states; none stated is none used (TIFF 6.0, section 8)."""
    try:
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            compression = image.getexif().get(_TIFF_COMPRESSION, 1)
    except Exception:  # what decoded it may know more kinds of TIFF than Pillow
        return None
    return True if compression in _TIFF_LOSSLESS else False if compression in _TIFF_LOSSY else None


def _webp(data: bytes) -> bool | None:
    """By the chunk of the first image, ``VP8L`` or ``VP8``; an animation's lies in its first frame."""
    offset = _WEBP_HEADER
    while kind := data[offset : offset + 4]:
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        if kind == b"ANMF":
            offset += _CHUNK_HEADER + _FRAME_HEADER
        else:
            size = int.from_bytes(data[offset + 4 : offset + _CHUNK_HEADER], "little")
            offset += _CHUNK_HEADER + size + size % 2
    return None
