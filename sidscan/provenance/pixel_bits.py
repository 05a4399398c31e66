"""Texts in the lowest bits of pixels, as "stealth pnginfo" hides them: in transparency, or in colours.

Down the first column of pixels, then the next: 15 letters that name the scheme, the number of bits that
follow (32 bits, big-endian), and a text in UTF-8, which gzip may have packed. Known from
github.com/ashen-sensored/sd_webui_stealth_pnginfo and github.com/NovelAI/novelai-image-metadata. Only files
that keep the lowest bits are read: PNG with eight bits a channel, and WebP's transparency and lossless
colours. The first letter decides in all but one file of 256, and takes the first rows alone.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.containers.png import png_chunks
from sidscan.containers.riff import riff_chunks
from sidscan.provenance.blocks import Block, BlockKind, Budget

SIGNATURES = {
    "alpha": ("stealth_pnginfo", "stealth_pngcomp"),
    "colour": ("stealth_rgbinfo", "stealth_rgbcomp"),
}
_HEADER = 15 + 4  # bytes: the scheme, and the length
_LONGEST = 1 << 15  # bytes of a text as it is hidden
_MOST_UNPACKED = 1 << 28  # bytes of pixels
_MOST_PIXELS = 1 << 24  # of a WebP, which is decoded as a whole
_MOST_CHUNKS = 1 << 16
_PIECE = 1 << 14  # bytes that are unpacked at a time
_CHANNELS = {2: 3, 6: 4}  # colour type of PNG -> channels


class _Pixels(Protocol):
    """An image of which a corner can be had without the rest."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def channels(self) -> int: ...

    def corner(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """Pixels from the upper left, shape (rows, columns, channels); ValueError if they can't be read."""


def read_png_bits(data: bytes, budget: Budget) -> Iterator[Block]:
    """The text hidden in a PNG, if there is one."""
    if pixels := _png(data):
        yield from _hidden(pixels, "PNG", budget)


def read_webp_bits(data: bytes, budget: Budget) -> Iterator[Block]:
    """The text hidden in a WebP, if there is one."""
    if pixels := _webp(data):
        yield from _hidden(pixels, "WebP", budget)


def _hidden(pixels: _Pixels, name: str, budget: Budget) -> Iterator[Block]:
    try:
        for channel, signatures in SIGNATURES.items():
            if channel == "alpha" and pixels.channels != 4:
                continue
            first = signatures[0].encode()
            if _bytes(pixels, channel, 1) != first[:1]:
                continue
            header = _bytes(pixels, channel, _HEADER)
            signature = header[:15].decode("latin-1")
            if signature in signatures:
                text = _text(pixels, channel, int.from_bytes(header[15:], "big") // 8, budget)
                text = _unpacked(text, budget) if signature.endswith("comp") else text
                yield Block(BlockKind.PIXELS, f"{channel} of {name} pixels", 0, text, signature)
                return
    except ValueError:  # the pixels are damaged
        return


def _text(pixels: _Pixels, channel: str, size: int, budget: Budget) -> bytes:
    """What follows the header; empty if it is too long, or longer than the image."""
    if size > _LONGEST:
        return b""
    budget.take(size)
    return _bytes(pixels, channel, _HEADER + size)[_HEADER:]


def _unpacked(packed: bytes, budget: Budget) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)  # gzip
    try:
        text = unpacking.decompress(packed, budget.left + 1)
    except zlib.error:
        return b""
    budget.take(len(text))
    return text


def _bytes(pixels: _Pixels, channel: str, count: int) -> bytes:
    """The first bytes that the lowest bits of a channel hold; none if the image has fewer."""
    per_pixel = 1 if channel == "alpha" else 3
    needed = -(-8 * count // per_pixel)
    rows, columns = min(pixels.height, needed), -(-needed // pixels.height)
    if columns > pixels.width:
        return b""
    corner = pixels.corner(rows, columns)
    channels = corner[..., 3:4] if channel == "alpha" else corner[..., :3]
    bits = channels.transpose(1, 0, 2).reshape(-1)[: 8 * count] & 1
    return np.packbits(bits).tobytes()


@dataclass(frozen=True)
class _Png:
    """A PNG whose rows follow one another."""

    data: bytes
    spans: tuple[tuple[int, int], ...]
    width: int
    height: int
    channels: int

    def corner(self, rows: int, columns: int) -> NDArray[np.uint8]:
        """Unfilter the beginnings of rows, which depend on nothing to their right (PNG, section 9)."""
        stride, used = 1 + self.width * self.channels, columns * self.channels
        if rows * stride > _MOST_UNPACKED:
            raise ValueError("too many pixels")
        above = bytes(used)
        corner = np.empty((rows, used), np.uint8)
        for number, row in enumerate(self._rows(rows, stride, 1 + used)):
            above = _unfiltered(row[0], row[1:], above, self.channels)
            corner[number] = np.frombuffer(above, np.uint8)
        return corner.reshape(rows, columns, self.channels)

    def _rows(self, rows: int, stride: int, used: int) -> Iterator[bytes]:
        """The beginning of each row with the number of its filter, unpacked piece by piece."""
        pieces, held = self._unpacked(), bytearray()
        for _ in range(rows):
            while len(held) < stride:
                held += _next(pieces)
            yield bytes(held[:used])
            del held[:stride]

    def _unpacked(self) -> Iterator[bytes]:
        unpacking = zlib.decompressobj()
        try:
            for start, end in self.spans:
                for at in range(start, end, _PIECE):
                    packed = self.data[at : min(at + _PIECE, end)]
                    while packed:
                        yield unpacking.decompress(packed, 1 << 20)
                        packed = unpacking.unconsumed_tail
        except zlib.error as error:
            raise ValueError("damaged pixels") from error


def _next(pieces: Iterator[bytes]) -> bytes:
    for piece in pieces:
        return piece
    raise ValueError("the file ends within its pixels")


def _unfiltered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    """Undo the filter of a row, or of its beginning.

    Args:
        above: the row above it, undone; as long as ``row``.
        step: bytes from one pixel to the next.
    """
    if kind == 0:
        return row
    if kind == 2:
        return (np.frombuffer(row, np.uint8) + np.frombuffer(above, np.uint8)).tobytes()
    if kind not in _PREDICTORS:
        raise ValueError("no such filter")
    predict = _PREDICTORS[kind]
    undone = bytearray(row)
    for at, value in enumerate(row):
        left, upper_left = (undone[at - step], above[at - step]) if at >= step else (0, 0)
        undone[at] = value + predict((left, above[at], upper_left)) & 255
    return bytes(undone)


def _paeth(around: tuple[int, int, int]) -> int:
    """The neighbour that comes nearest to left + up - upper left; the first of several."""
    left, up, upper_left = around
    return min(around, key=lambda value: abs(left + up - upper_left - value))


_PREDICTORS: dict[int, Callable[[tuple[int, int, int]], int]] = {
    1: lambda around: around[0],
    3: lambda around: (around[0] + around[1]) // 2,
    4: _paeth,
}


def _png(data: bytes) -> _Png | None:
    """A PNG that is not interlaced, with eight bits a channel, in colour."""
    chunks = list(islice(png_chunks(data), _MOST_CHUNKS))
    if not chunks or chunks[0].kind != b"IHDR" or chunks[0].end - chunks[0].body != 13:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, chunks[0].body)
    spans = tuple((chunk.body, chunk.end) for chunk in chunks if chunk.kind == b"IDAT")
    if depth != 8 or colour not in _CHANNELS or interlaced or not (width and height and spans):
        return None
    return _Png(data, spans, width, height, _CHANNELS[colour])


@dataclass(frozen=True)
class _WebP:
    """A WebP, whose decoder knows no corners."""

    pixels: NDArray[np.uint8]

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[2])

    def corner(self, rows: int, columns: int) -> NDArray[np.uint8]:
        return self.pixels[:rows, :columns]


def _webp(data: bytes) -> _WebP | None:
    """A WebP with transparency, which is decoded: others can't hold such a text, or rarely do."""
    if not _has_alpha(data):
        return None
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if image.mode != "RGBA" or image.width * image.height > _MOST_PIXELS:
                return None
            return _WebP(np.asarray(image))
    except (OSError, ValueError, SyntaxError, EOFError):
        return None


def _has_alpha(data: bytes) -> bool:
    """Whether a still image says that it has transparency (RFC 9649, sections 2.7 and 3.4)."""
    for chunk in islice(riff_chunks(data), _MOST_CHUNKS):
        if chunk.kind == b"VP8X":
            return bool(data[chunk.body] & 0x10) and not data[chunk.body] & 0x02
        if chunk.kind in (b"VP8L", b"VP8 "):
            return chunk.kind == b"VP8L" and chunk.end - chunk.body > 4 and bool(data[chunk.body + 4] & 0x10)
    return False
