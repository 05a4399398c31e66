"""The parts of a file that its pixels need, for files that Pillow can't read with their metadata.

Damage in metadata or later frames makes Pillow refuse the whole file. Only then, the readers of containers
copy what pixels need, byte for byte, and leave out the rest. What is damaged in the pixels themselves stays
so: nothing is made up, and no checksum is mended.
"""

from __future__ import annotations

import struct

from sidscan.images import isobmff_pixels, tiff
from sidscan.images.gif_blocks import gif_pixels_only, gif_reaches_image
from sidscan.images.jpeg_segments import jpeg_pixels_only, jpeg_reaches_scan
from sidscan.images.left_out import FRAMES, METADATA, PixelsOnly
from sidscan.images.png_chunks import png_pixels_only
from sidscan.images.webp_chunks import webp_pixels_only
from sidscan.util.magic import identify


def pixels_only(data: bytes) -> PixelsOnly | None:
    """The file with its pixels alone; None where nothing can be left out, or no pixels are found."""
    known = identify(data)
    reader = _READERS.get(known.name) if known else None
    try:
        found = reader(data) if reader else None
    except (struct.error, ValueError, IndexError):
        return None
    return found if found and found.flags else None


def leads_to_pixels(data: bytes) -> bool:
    """Whether the metadata before the pixels of a JPEG or GIF can be followed.

    Where they can't, Pillow may take something within them for the image, such as a thumbnail.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_reaches_scan(data)
    return not data.startswith(b"GIF8") or gif_reaches_image(data)


def _tiff(data: bytes) -> PixelsOnly | None:
    kept, has_metadata, has_pages = tiff.first_page_only(data)
    flags = (FRAMES,) * has_pages + (METADATA,) * has_metadata
    return PixelsOnly(kept, flags)


def _isobmff(data: bytes) -> PixelsOnly | None:
    """The file with its metadata and its sequence of frames renamed, so that decoders pass them over."""
    kept, has_metadata, has_frames = isobmff_pixels.primary_image_only(data)
    return PixelsOnly(kept, (FRAMES,) * has_frames + (METADATA,) * has_metadata)


_READERS = {
    "PNG": png_pixels_only,
    "JPEG": jpeg_pixels_only,
    "GIF": gif_pixels_only,
    "WEBP": webp_pixels_only,
    "TIFF": _tiff,
    "AVIF": _isobmff,
    "HEIF": _isobmff,
}
