"""Photoshop files written by hand (Adobe Photoshop File Formats Specification), without layers."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

BITMAP, GREY, INDEXED, RGB, CMYK, MULTICHANNEL, DUOTONE, LAB = 0, 1, 2, 3, 4, 7, 8, 9
VERSION_INFO = 1057


def resource(kind: int, content: bytes) -> bytes:
    """An image resource block without a name."""
    padded = content + bytes(len(content) % 2)
    return b"8BIM" + struct.pack(">HH", kind, 0) + struct.pack(">I", len(content)) + padded


def version_info(has_composite: bool) -> bytes:
    """The block in which Photoshop says whether the composite image is real."""
    name = struct.pack(">I", 5) + "Maker".encode("utf-16-be")
    return resource(VERSION_INFO, struct.pack(">IB", 1, has_composite) + name + name + struct.pack(">I", 1))


def psd(
    planes: NDArray[np.uint8 | np.uint16],
    mode: int = RGB,
    colours: bytes = b"",
    resources: bytes = b"",
    packed: bool = False,
    version: int = 1,
    depth: int = 0,
) -> bytes:
    """A file of (channels, rows, columns).

    Args:
        colours: the section of colour mode data, e.g. a palette.
        packed: whether rows are compressed, as literal runs (PackBits).
        depth: bits, if not those of ``planes``.
    """
    channels, height, width = planes.shape
    bits = depth or 8 * planes.dtype.itemsize
    head = b"8BPS" + struct.pack(">H6xHIIHH", version, channels, height, width, bits, mode)
    if depth == 1:
        width = (width + 7) // 8
        rows = [np.packbits(row).tobytes() for plane in planes for row in plane]
    else:
        rows = [row.astype(row.dtype.newbyteorder(">")).tobytes() for plane in planes for row in plane]
    if packed:
        rows = [_packed(row) for row in rows]
        lengths = b"".join(struct.pack(">H", len(row)) for row in rows)
        image = b"\x00\x01" + lengths + b"".join(rows)
    else:
        image = b"\x00\x00" + b"".join(rows)
    sections = b"".join(struct.pack(">I", len(part)) + part for part in (colours, resources, b""))
    return head + sections + image


def _packed(row: bytes) -> bytes:
    parts = [row[start : start + 128] for start in range(0, len(row), 128)]
    return b"".join(bytes((len(part) - 1,)) + part for part in parts)
