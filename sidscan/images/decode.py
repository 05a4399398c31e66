"""Bytes -> pixels, through Pillow, exactly as stored: nothing is resized, rotated or colour-managed.

Flags (remarks that stand in the picture's row):
    ``first_frame``        an animation or multi-picture file; only its first picture is looked at
    ``alpha_dropped``      transparency is ignored, as by the published code's convert("RGB")
    ``cmyk_converted``     CMYK, converted without its colour profile
    ``reduced_to_8_bit``   samples of more than 8 bits, of which the upper 8 are looked at
    ``rotated_by_container``  HEIC states its rotation outside of EXIF; libheif always applies it
    ``padded``             smaller than the view: surrounded by black, as torchvision's CenterCrop does
    ``truncated``          truncated or damaged, and decoded because --allow-truncated says so; what is
                           missing is grey or black
    ``maybe_truncated``    a JPEG that was given a proper ending again, to all appearance: it ends in the grey
                           which decoders put where data are missing, or lacks scans
    ``exif_unreadable``    EXIF is present but no tag of it can be read
    ``metadata_limit``     more metadata, or more steps to read EXIF, than allowed: EXIF was not read
    ``metadata_timeout``   EXIF was not read in time
    ``metadata_crashed``   the process that read EXIF ended
"""

from __future__ import annotations

import importlib.util
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from sidscan.config import ReadLimits
from sidscan.images import partial_jpeg
from sidscan.images.limits import TooManyPixels, can_allocate, check_size
from sidscan.images.partial_jpeg import DecodedRows
from sidscan.records import Status

# Only formats in which photographs travel; interpreters (EPS, PDF, WMF) are never started. JPEG includes MPO.
SUPPORTED_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_TIFF_BITS_PER_SAMPLE, _TIFF_PHOTOMETRIC = 258, 262  # TIFF 6.0, section 8
# Pixels whose coefficients are all zero (libjpeg, jdhuff.c: "uniform gray").
_UNCODED = {"L": (128,), "RGB": (128, 128, 128), "CMYK": (127, 127, 127, 127)}
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # but for padding, restarts and escaped bytes of scans
_SOF2, _EOI, _SOS = 0xC2, 0xD9, 0xDA
_DAMAGE_ERRORS = (OSError, EOFError, SyntaxError)  # what Pillow's readers raise where data end or are damaged
# Pillow warns of odd metadata and of large pictures; here such things are flags, rows or errors.
warnings.filterwarnings("ignore", module=r"PIL\.")


DEFAULT_LIMITS = ReadLimits()


class UnsupportedImage(Exception):
    """The bytes are no picture of a supported format, or hold pixels without a defined 8-bit reading."""


@dataclass(frozen=True)
class SourceImage:
    """A decoded picture; pixels become RGB only where a view looks (`window`).

    Attributes:
        image: Pillow's; where there are bands, it is not loaded yet.
        bands: the rows that were decoded, where these are not all.
    """

    image: Image.Image
    format: str
    flags: tuple[str, ...]
    bands: tuple[DecodedRows, ...] = ()

    @property
    def width(self) -> int:
        """Pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.image.height

    def window(self, left: int, top: int, side: int) -> NDArray[np.uint8]:
        """Pixels (side, side, 3), RGB; what lies outside of the picture is black.

        Converting a window equals converting the picture and cutting it: every conversion is per pixel.
        """
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + side, self.width), min(top + side, self.height)
        part = self._pixels(x0, y0, x1, y1)
        if part.shape == (side, side, 3):
            return part
        canvas = np.zeros((side, side, 3), dtype=np.uint8)
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = part
        return canvas

    def _pixels(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """A rectangle within the picture, (rows, columns, 3), RGB."""
        if self.image.mode == "RGB" and (band := self._band(top, bottom)):
            return band.pixels[top - band.rows.start : bottom - band.rows.start, left:right]
        return np.asarray(self.part(left, top, right, bottom).convert("RGB"))

    def _band(self, top: int, bottom: int) -> DecodedRows | None:
        """The one that holds these rows."""
        return next((b for b in self.bands if b.rows.start <= top and bottom <= b.rows.stop), None)

    def part(self, left: int, top: int, right: int, bottom: int) -> Image.Image:
        """A rectangle within the picture, in its own mode."""
        if band := self._band(top, bottom):
            pixels = band.pixels[top - band.rows.start : bottom - band.rows.start, left:right]
            return Image.fromarray(pixels if self.image.mode == "RGB" else pixels[..., 0])
        return self.image.crop((left, top, right, bottom))  # all of it is decoded where bands don't hold it


class Truncated(Exception):
    """A part of the picture is missing."""

    status = Status.TRUNCATED


def decode(
    data: bytes, reading: ReadLimits = DEFAULT_LIMITS, rows: Callable[[int], Sequence[range]] | None = None
) -> SourceImage:
    """Decode a picture.

    Args:
        rows: those that will be looked at, by the picture's height; None for all. Others may be left
            undecoded, which changes nothing else: neither pixels nor flags nor errors.

    Raises:
        UnsupportedPicture: no supported format, or pixels without a defined 8-bit reading.
        OverLimit: its header states more than is to be decoded.
        Truncated: a part of it is missing, and ``reading`` does not allow that.
        Exception: whatever Pillow or its codecs raise on malformed files.
    """
    image = _open(data, reading)
    frames = int(getattr(image, "n_frames", 1))
    picture_format = image.format or "unknown"
    bits = _bits_per_sample(image, data)  # before load(), which forgets how samples were stored
    parts, whole = partial_jpeg.decode_rows(image, data, rows(image.height)) if rows else None, True
    if parts is None:
        image, whole = _load_pixels(image, data, reading)
    _drop_misleading_text(image)
    picture = SourceImage(image, picture_format, (), parts or ())
    flags = _flags(picture, data, frames, bits) + (() if whole else ("truncated",))
    _check_samples(image)
    return replace(picture, image=_to_8_bit_grey(image, bits), flags=flags)


@cache
def decoder_name() -> str:
    """The decoder's name and version, e.g. ``Pillow 13.0.0``; other decoders give other pixels."""
    heif = ""
    if _heif_available():
        import pillow_heif

        heif = f" pillow-heif {pillow_heif.__version__}"
    return f"Pillow {PIL.__version__}{heif}"


def warm_up() -> None:
    """Load the readers of all formats, which would else be loaded with the first picture."""
    Image.init()
    _heif_available()
    partial_jpeg.is_available()


@cache
def _heif_available() -> bool:
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _open(data: bytes, reading: ReadLimits) -> Image.Image:
    """The picture's header, within the limits."""
    formats = (*SUPPORTED_FORMATS, "HEIF") if _heif_available() else SUPPORTED_FORMATS
    pillows = Image.MAX_IMAGE_PIXELS  # it warns there, and refuses twice as much
    if pillows is not None and reading.max_pixels > 2 * pillows:
        Image.MAX_IMAGE_PIXELS = (reading.max_pixels + 1) // 2
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise UnsupportedImage(_unidentified_message(data)) from None
    except OSError as error:
        raise _classify(error, data) from error
    except Image.DecompressionBombError as error:  # some formats have the size checked before it can be asked
        raise TooManyPixels(f"{error}; raise the limit with --max-pixels") from None
    check_size(image.width, image.height, reading)
    return image


def _load_pixels(image: Image.Image, data: bytes, reading: ReadLimits) -> tuple[Image.Image, bool]:
    """The picture with its pixels, and whether they are all there."""
    try:
        image.load()
    except _DAMAGE_ERRORS as error:
        named = _classify(error, data, "; score what there is with --allow-truncated")
        if not isinstance(named, Truncated) and not _has_memory_for(image):
            raise MemoryError from error  # codecs say of short memory what they say of damage
        if not reading.allow_truncated:
            raise named from error
    else:
        return image, True
    image = _open(data, reading)
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # of a whole process, which reads one picture at a time
    try:
        image.load()
    except _DAMAGE_ERRORS as error:
        raise _classify(error, data, "; none of it can be decoded") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return image, False


def _has_memory_for(image: Image.Image) -> bool:
    """Whether there is memory for the coefficients (two bytes a sample) and the pixels of a picture."""
    return can_allocate(3 * image.width * image.height * len(image.getbands()))


def _classify(error: Exception, data: bytes, remark: str = "") -> Exception:
    """The error of a picture that ends too early by its name; others as they are."""
    riff = data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)  # libwebp doesn't say
    if riff or isinstance(error, EOFError) or "truncated" in str(error).lower():
        return Truncated(f"{str(error) or 'it ends too early'}{remark}")
    return error


def _unidentified_message(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and not _heif_available():
        return "HEIC needs one package more: pip install pillow-heif"
    known = ", ".join((*SUPPORTED_FORMATS, "HEIC") if _heif_available() else SUPPORTED_FORMATS)
    return f"not a picture of a supported format, or damaged at its start ({known})"


def _drop_misleading_text(image: Image.Image) -> None:
    """PNG text chunks land among Pillow's own facts, under any name the file's author liked."""
    if not isinstance(image.info.get("transparency"), int | bytes | tuple):
        image.info.pop("transparency", None)


def _bits_per_sample(image: Image.Image, data: bytes) -> int:
    """Bits per sample as stored; 8 where nothing says more."""
    if image.format == "TIFF":
        stated = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, 8)
        return int(max(stated) if isinstance(stated, tuple) else stated)
    if image.format == "HEIF":
        return int(image.info.get("bit_depth", 8))
    if image.format == "AVIF":
        # AV1 Image File Format, section 2.2.1: of av1C's third byte, bit 6 is high_bitdepth, bit 5 twelve_bit
        place = data.find(b"av1C")
        depth = data[place + 6] if 0 <= place < len(data) - 6 else 0
        return 8 if not depth & 0x40 else 12 if depth & 0x20 else 10
    modes = (tile[3] for tile in getattr(image, "tile", ()))
    return 16 if any(";16" in str(mode) for mode in modes) else 8


def _flags(picture: SourceImage, data: bytes, frames: int, bits: int) -> tuple[str, ...]:
    image = picture.image
    checks = {
        "first_frame": frames > 1,
        "alpha_dropped": image.has_transparency_data,
        "cmyk_converted": image.mode == "CMYK",
        "reduced_to_8_bit": bits > 8 and image.mode not in ("I", "F"),
        "rotated_by_container": image.format == "HEIF"
        and image.info.get("original_orientation", 1) not in (None, 1),
        "maybe_truncated": image.format in ("JPEG", "MPO") and (_ends_grey(picture) or _lacks_scans(data)),
    }
    return tuple(flag for flag, raised in checks.items() if raised)


def _ends_grey(picture: SourceImage) -> bool:
    """Whether the last block (8 x 8 pixels, or what there is of it) is as libjpeg leaves it without data."""
    mode, width, height = picture.image.mode, picture.width, picture.height
    if mode not in _UNCODED:
        return False
    last = np.asarray(picture.part((width - 1) // 8 * 8, (height - 1) // 8 * 8, width, height))
    return bool((last == _UNCODED[mode]).all())


def _lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG ends before all coefficients of all components were sent in full.

    ITU-T T.81, G.1.1: scans state the first and last coefficient (Ss, Se) and the lowest bit (Al) they send.
    """
    place, components, missing = 2, 0, set[tuple[int, int]]()
    while marker := _MARKER.search(data, place):
        place = marker.end()
        kind, length = data[place - 1], int.from_bytes(data[place : place + 2], "big")
        body = data[place + 2 : place + length]
        if kind == _SOF2 and not components and len(body) > 5:
            components = body[5]
            missing = {(body[i], part) for i in range(6, len(body), 3) for part in (0, 1)}
        elif kind == _SOS and not components:
            return False  # not progressive: there is one scan of all, or one per component
        elif kind == _SOS and body and len(body) == 4 + 2 * body[0]:
            first, last, low = body[-3], body[-2], body[-1] & 15
            if low == 0:
                sent = {0} if first == 0 else {1} if last == 63 else set()
                missing -= {(body[i], part) for i in range(1, 1 + 2 * body[0], 2) for part in sent}
        elif kind == _EOI:
            break
        place += length
    return bool(missing)


def _check_samples(image: Image.Image) -> None:
    """32-bit samples have no stated range; only those that already lie in 0..255 can be read faithfully."""
    if image.mode not in ("I", "F"):
        return
    values: NDArray[Any] = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnsupportedImage("pixels are not finite numbers (NaN or infinity)")
    if values.min() < 0 or values.max() > 255:
        raise UnsupportedImage(
            f"32-bit samples from {values.min()} to {values.max()} have no defined 8-bit reading; "
            "convert the picture to 8 or 16 bits per sample"
        )


def _to_8_bit_grey(image: Image.Image, bits: int) -> Image.Image:
    """16-bit grey as its upper 8 bits; Pillow's own conversion would clip at 255, and forget WhiteIsZero."""
    if not image.mode.startswith("I;16"):
        return image
    values = (np.asarray(image).astype(np.uint16) >> (bits - 8)).astype(np.uint8)
    white_is_zero = getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == 0
    grey = Image.fromarray(~values if white_is_zero else values)
    grey.info = image.info  # EXIF and other metadata
    return grey
