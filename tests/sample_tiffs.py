"""TIFF files of any layout, written by hand (TIFF 6.0), because no library writes what is read wrongly."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["<", ">"]
_CODES = {3: "H", 4: "I"}  # SHORT, LONG
_DEFLATE = 8


@dataclass
class Page:
    """A page: samples (rows, columns, samples), and how they are stored.

    Attributes:
        fields: further numbers by tag, which replace those that the layout gives.
        bits: of a sample; 12 are packed.
        rows_per_strip: of each strip.
        inner: pages that field 330 (SubIFDs) names.
    """

    samples: NDArray[Any]
    fields: Mapping[int, Sequence[int]] = field(default_factory=dict)
    bits: int = 8
    photometric: int = 2
    planar: bool = False
    deflate: bool = False
    rows_per_strip: int = 1000
    inner: tuple[Page, ...] = ()


def tiff(*pages: Page, order: Order = "<") -> bytes:
    """A file of these pages, one behind the other."""
    data = bytearray((b"II*\x00" if order == "<" else b"MM\x00*") + bytes(4))
    pointer = 4
    for page in pages:
        inner = [_write(data, each, order)[0] for each in page.inner]
        start, after = _write(data, page, order, inner)
        struct.pack_into(order + "I", data, pointer, start)
        pointer = after
    return bytes(data)


def _write(data: bytearray, page: Page, order: Order, inner: Sequence[int] = ()) -> tuple[int, int]:
    """Append a page; where its directory begins, and where the pointer to the next one stands."""
    height, width, samples = page.samples.shape
    offsets, sizes = [], []
    planes = np.moveaxis(page.samples, -1, 0)[..., None] if page.planar else page.samples[None]
    for plane in planes:
        for top in range(0, height, page.rows_per_strip):
            strip = _packed(plane[top : top + page.rows_per_strip], page.bits, order)
            strip = zlib.compress(strip) if page.deflate else strip
            offsets.append(len(data))
            sizes.append(len(strip))
            data += strip + bytes(len(strip) % 2)
    fields: dict[int, Sequence[int]] = {
        256: [width],
        257: [height],
        258: [page.bits] * samples,
        259: [_DEFLATE if page.deflate else 1],
        262: [page.photometric],
        273: offsets,
        277: [samples],
        278: [min(page.rows_per_strip, height)],
        279: sizes,
        284: [2 if page.planar else 1],
    }
    if inner:
        fields[330] = inner
    return _directory(data, {**fields, **page.fields}, order)


def _packed(samples: NDArray[Any], bits: int, order: Order) -> bytes:
    if bits == 4:
        pairs = samples.astype(np.uint8).reshape(samples.shape[0], -1, 2)
        return (pairs[..., 0] << 4 | pairs[..., 1]).astype(np.uint8).tobytes()
    return samples.astype(samples.dtype.newbyteorder(order)).tobytes()


def _directory(data: bytearray, fields: dict[int, Sequence[int]], order: Order) -> tuple[int, int]:
    entries = b""
    for tag, values in sorted(fields.items()):
        kind = 4 if max(values) > 0xFFFF or tag in (273, 279, 330) else 3
        packed = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
        if len(packed) > 4:
            place = struct.pack(order + "I", len(data))
            data += packed
            packed = place
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\x00")
    start = len(data)
    data += struct.pack(order + "H", len(fields)) + entries + bytes(4)
    return start, len(data) - 4


def samples(height: int, width: int, count: int, bits: int = 8, seed: int = 0) -> NDArray[Any]:
    """Random samples of which no two neighbours or channels are alike."""
    values = np.random.default_rng(seed).integers(0, 1 << bits, (height, width, count))
    return values.astype(np.uint16 if bits > 8 else np.uint8)
