"""JPEG XL (ISO/IEC 18181), read with imagecodecs, an extra. Pixels are as stored: nothing is rotated."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sidscan.config import ReadLimits
from sidscan.containers.isobmff import boxes
from sidscan.images.errors import Truncated, UnsupportedImage
from sidscan.images.limits import check_size

NAME = "JXL"
_CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_CODESTREAM = b"\xff\x0a"
_HEADER_BYTES = 64  # hold the fields that `_read_header` reads
_RATIOS = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height; ISO/IEC 18181-1, D.2
_ALPHA = 0  # type of an extra channel
_EXIF_OFFSET_BYTES = 4
_TOO_SHORT = "the JPEG XL image ends too early; none of it can be decoded"


@dataclass(frozen=True, slots=True)
class Header:
    """What the start of a codestream states.

    Attributes:
        width, height: as stored, pixels.
        bits: per sample.
        animated: whether it has several frames.
    """

    width: int
    height: int
    bits: int
    animated: bool


@cache
def is_available() -> bool:
    """Whether imagecodecs is installed."""
    return importlib.util.find_spec("imagecodecs") is not None


def is_jpeg_xl(data: bytes) -> bool:
    """Whether a file begins as a codestream or as a container."""
    return data.startswith((_CODESTREAM, _CONTAINER))


def read_header(data: bytes) -> Header:
    """Size and samples of an image, before anything is decoded.

    Raises:
        UnsupportedImage: it is damaged, or its samples or channels are of a kind that is not read.
        Truncated: it ends before them.
    """
    if data.startswith(_CODESTREAM):
        return _read_header(data[2 : 2 + _HEADER_BYTES])
    codestream = b""
    for box in boxes(data, len(_CONTAINER)):
        if box.kind in (b"jxlc", b"jxlp") and len(codestream) < _HEADER_BYTES:
            start = box.body + (4 if box.kind == b"jxlp" else 0)  # behind the number of a part
            codestream += data[start : min(box.end, start + _HEADER_BYTES)]
    if not codestream and any(kind in data for kind in (b"jxlc", b"jxlp")):  # a box that goes on
        raise Truncated(_TOO_SHORT)
    if not codestream.startswith(_CODESTREAM):
        raise UnsupportedImage("a JPEG XL file without an image")
    return _read_header(codestream[2 : 2 + _HEADER_BYTES])


def decode(data: bytes, limits: ReadLimits) -> tuple[Image.Image, str, tuple[str, ...]]:
    """The image in 8 bits, the upper ones of deeper samples, the name of its format, and flags.

    Its ``info`` has ``exif`` if the file has.

    Raises:
        UnsupportedImage: its samples or channels are of a kind that is not read.
        OverLimit: its header states more than the limits allow.
        Truncated: it ends too early.
        Exception: whatever imagecodecs raises on damaged files.
    """
    header = read_header(data)
    check_size(header.width, header.height, limits)
    image = Image.fromarray(_pixels(data, header))
    if exif := _exif(data):
        image.info["exif"] = exif
    checks = {
        "first_frame": header.animated,
        "alpha_dropped": image.has_transparency_data,
        "reduced_to_8_bit": header.bits > 8,
    }
    return image, NAME, tuple(flag for flag, raised in checks.items() if raised)


def _exif(data: bytes) -> bytes:
    """The EXIF block; if it is compressed (Brotli), bytes that nobody takes for EXIF: a flag says so."""
    for box in boxes(data, len(_CONTAINER)) if data.startswith(_CONTAINER) else ():
        block = data[box.body : box.end] if box.kind in (b"Exif", b"brob") else b""
        if box.kind == b"Exif" or block.startswith(b"Exif"):
            return block[_EXIF_OFFSET_BYTES:]
    return b""


def _pixels(data: bytes, header: Header) -> NDArray[np.uint8]:
    """(rows, columns) or (rows, columns, channels) of the first frame."""
    import imagecodecs

    try:
        pixels = imagecodecs.jpegxl_decode(data, index=0, keeporientation=True, numthreads=1)
    except imagecodecs.JpegxlError as error:
        if "NEED_MORE_INPUT" in str(error):
            raise Truncated(_TOO_SHORT) from error
        raise
    if pixels.shape[:2] != (header.height, header.width) or pixels.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImage("a JPEG XL image whose pixels are not what its header states")
    if pixels.dtype == np.uint16:
        pixels = (pixels >> (header.bits - 8)).astype(np.uint8)
    return np.ascontiguousarray(pixels, dtype=np.uint8)


class _Bits:
    """Reads bits, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise UnsupportedImage("a JPEG XL image that ends in its header")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def choose(self, *options: tuple[int, int]) -> int:
        """U32() of the standard: two bits choose an offset and how many bits are added to it."""
        offset, count = options[self.take(2)]
        return offset + self.take(count)


def _read_header(codestream: bytes) -> Header:
    """SizeHeader and the start of ImageMetadata: ISO/IEC 18181-1, annex D."""
    bits = _Bits(codestream)
    width, height = _read_size(bits)
    if bits.take(1):  # all_default
        return Header(width, height, 8, animated=False)
    animated = False
    if bits.take(1):  # extra_fields
        bits.take(3)  # orientation
        if bits.take(1):
            _read_size(bits)  # intrinsic size
        if bits.take(1):
            raise UnsupportedImage("a JPEG XL image with a preview")
        if animated := bool(bits.take(1)):
            _skip_animation(bits)
    if bits.take(1):
        raise UnsupportedImage(
            "a JPEG XL image with floating-point samples; convert it to 8 or 16 bits per sample"
        )
    depth = bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
    if not 8 <= depth <= 16:
        raise UnsupportedImage(f"a JPEG XL image of {depth} bits per sample; convert it to 8 or 16")
    bits.take(1)  # modular_16bit_buffers
    extra = bits.choose((0, 0), (1, 0), (2, 4), (1, 12))
    if extra > 1 or (extra and not _is_alpha(bits)):
        raise UnsupportedImage("a JPEG XL image with channels other than grey, RGB and alpha")
    return Header(width, height, depth, animated)


def _read_size(bits: _Bits) -> tuple[int, int]:
    """Width and height, pixels."""
    small = bits.take(1)
    lengths = ((1, 9), (1, 13), (1, 18), (1, 30))
    height = 8 * (bits.take(5) + 1) if small else bits.choose(*lengths)
    if ratio := bits.take(3):
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return (8 * (bits.take(5) + 1) if small else bits.choose(*lengths)), height


def _skip_animation(bits: _Bits) -> None:
    bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))  # ticks a second: numerator, denominator
    bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
    bits.choose((0, 0), (0, 3), (0, 16), (0, 32))  # loops
    bits.take(1)  # time codes


def _is_alpha(bits: _Bits) -> bool:
    """Whether an extra channel is transparency."""
    return bool(bits.take(1)) or bits.choose((0, 0), (1, 0), (2, 4), (18, 6)) == _ALPHA
