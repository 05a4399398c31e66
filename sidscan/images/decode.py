"""Decode an image with Pillow, exactly as stored: without resizing, rotation or colour management.

Flags (remarks in the image's row):
    ``first_frame``        an animation or a file of several images; only the first image is used (the first
                           page of full size in TIFF)
    ``reduced_page``       TIFF says that this page is a smaller copy of an image that can't be read
    ``alpha_dropped``      transparency is ignored, as the published code's convert("RGB") does
    ``cmyk_converted``     CMYK, converted without its colour profile
    ``preview``            a camera raw file, or a file that opens with a small copy: its largest preview was
                           read, not the photograph itself
    ``developed``          a camera raw file that LibRaw developed because of --develop-raw
    ``reduced_to_8_bit``   samples of more than 8 bits, of which the upper 8 are used
    ``rotated_by_container``  HEIC's container states a rotation or mirroring; libheif always applies it
    ``padded``             smaller than the crop: surrounded by black, as torchvision's CenterCrop does
    ``truncated``          truncated or damaged, and decoded because of --allow-truncated; the missing part
                           is grey or black
    ``maybe_truncated``    a JPEG that seems to be truncated although it ends properly: it ends in the grey
                           that decoders put where data are missing, or lacks scans
    ``metadata_skipped``   metadata are damaged or too large for the decoder: read without them; EXIF is kept
                           where it is whole
    ``exif_unreadable``    EXIF is present but no tag of it can be read
    ``exif_incomplete``    some EXIF tags, or the maker note, can't be read and are left out
    ``position_unreadable``  EXIF states a position that can't be read for sure; none is reported
    ``metadata_limit``     more metadata, or more steps to read EXIF, than allowed: EXIF was not read
    ``metadata_timeout``   EXIF, provenance and traces were not read in time
    ``metadata_crashed``   the process that read EXIF, provenance and traces ended
    ``exif_withheld``      some EXIF is left out because of --private (`reports.private` sets it)
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from sidscan.config import ReadLimits
from sidscan.containers import isobmff
from sidscan.containers.tiff_file import HEADERS
from sidscan.images import (
    formats,
    jpeg2000,
    jpeg_end,
    jpeg_xl,
    partial_jpeg,
    psd,
    raw,
    samples,
    tiff,
)
from sidscan.images.errors import FormatNotRead, Truncated, UnsupportedImage
from sidscan.images.formats import HEIF
from sidscan.images.left_out import PixelsOnly
from sidscan.images.limits import OverLimit, TooManyPixels, can_allocate, check_size
from sidscan.images.partial_jpeg import DecodedRows
from sidscan.images.pixels_only import leads_to_pixels, pixels_only
from sidscan.images.png_chunks import damaged_png_chunk
from sidscan.images.raw import RawFile

_ROWS_AT_ONCE = 256
_TIFF_BITS_PER_SAMPLE = 258  # TIFF 6.0, section 8
_DAMAGE_ERRORS = (OSError, EOFError, SyntaxError)  # Pillow's readers raise them where data end or are damaged
# Pillow warns of odd metadata and of large images; sidscan has flags, rows or errors for them.
warnings.filterwarnings("ignore", module=r"PIL\.")

DEFAULT_LIMITS = ReadLimits()


Rows = Callable[[int], Sequence[range]]
"""Gives the rows that will be used, from an image's height."""


@dataclass(frozen=True)
class SourceImage:
    """An opened image; pixels become RGB only where a crop needs them (`window`).

    Attributes:
        image: Pillow's image; where there are ``decoded_rows``, it is not loaded yet.
        format: Pillow's name of it.
        decoded_rows: the rows that were decoded, if not all were.
        end: where the JPEG of the ``decoded_rows`` ends, behind EOI; None where libjpeg did not say it.
        original_size: width and height of the photograph that ``image`` is a preview of; 0 where unknown.
    """

    image: Image.Image
    format: str
    flags: tuple[str, ...]
    decoded_rows: tuple[DecodedRows, ...] = ()
    end: int | None = None
    original_size: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        """Pixels."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.image.height

    def window(self, left: int, top: int, width: int, height: int | None = None) -> NDArray[np.uint8]:
        """Pixels (height, width, 3), RGB; black outside of the image.

        Converting a window gives the same as cutting it from the converted image: conversions are per pixel.

        Args:
            height: None for a square.
        """
        height = width if height is None else height
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + width, self.width), min(top + height, self.height)
        pixels = self._rgb(x0, y0, x1, y1)
        if pixels.shape == (height, width, 3):
            return pixels
        canvas = np.zeros((height, width, 3), dtype=np.uint8)
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = pixels
        return canvas

    def pixels(self) -> NDArray[np.uint8]:
        """All pixels (height, width, 3), RGB, converted a few rows at a time to save memory."""
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        for top in range(0, self.height, _ROWS_AT_ONCE):
            bottom = min(top + _ROWS_AT_ONCE, self.height)
            pixels[top:bottom] = self._rgb(0, top, self.width, bottom)
        return pixels

    def region(self, left: int, top: int, right: int, bottom: int) -> Image.Image:
        """A rectangle within the image, in its own mode."""
        if rows := self._rows_holding(top, bottom):
            part = rows.pixels[top - rows.rows.start : bottom - rows.rows.start, left:right]
            pixels = np.ascontiguousarray(part if self.image.mode == "RGB" else part[..., 0])
            return Image.fromarray(pixels)  # which copies others several times
        return self.image.crop((left, top, right, bottom))  # decodes all of it if no decoded rows hold it

    def _rgb(self, left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
        """A rectangle within the image, (rows, columns, 3), RGB."""
        if self.image.mode == "RGB" and (rows := self._rows_holding(top, bottom)):
            return rows.pixels[top - rows.rows.start : bottom - rows.rows.start, left:right]
        return np.asarray(self.region(left, top, right, bottom).convert("RGB"))

    def _rows_holding(self, top: int, bottom: int) -> DecodedRows | None:
        return next((d for d in self.decoded_rows if d.rows.start <= top and bottom <= d.rows.stop), None)


def decode(
    data: bytes, limits: ReadLimits = DEFAULT_LIMITS, rows: Rows | None = None, name: str = ""
) -> SourceImage:
    """Decode an image; of a camera raw file its preview, or what LibRaw makes of it (--develop-raw).

    Args:
        rows: gives the rows that will be used, from the image's height; None for all. Others may be left
            undecoded, which changes nothing else: neither pixels nor flags nor errors.
        name: of the file. Its bytes decide; it is for messages, and for raw files that only names tell.

    Raises:
        FormatNotRead: its format is known, and not one that this installation decodes.
        UnsupportedImage: no supported format, or samples that can't be reduced to 8 bits.
        OverLimit: its header states more than the limits allow.
        Truncated: a part of it is missing, and ``limits`` does not allow that.
        Exception: whatever Pillow or its codecs raise on malformed files.
    """
    if (raw_file := raw.inspect(data, name)) is not None:
        return _decode_raw(raw_file, data, limits, rows)
    formats.check_format(data, name)
    if jpeg_xl.is_jpeg_xl(data):
        return SourceImage(*jpeg_xl.decode(data, limits))
    if psd.extra_channels(data):
        source = _decode_pixels(psd.colours_alone(data), limits)
        return replace(source, flags=(*source.flags, "alpha_dropped"))
    return _decode_pixels(data, limits, rows, name)


def _decode_raw(raw_file: RawFile, data: bytes, limits: ReadLimits, rows: Rows | None) -> SourceImage:
    """What can be scored of a camera raw file, flagged for what it is."""
    if limits.develop_raw and raw_file.format != "TIFF":
        return SourceImage(raw.develop(raw_file, data, limits), raw_file.format, ("developed",))
    by_jpeg = _decode_pixels(raw_file.preview, limits, rows) if raw_file.preview else None
    if raw_file.first_page_area > (by_jpeg.width * by_jpeg.height if by_jpeg else 0):
        source = _decode_pixels(data, limits, rows)
    elif by_jpeg is None:
        raise FormatNotRead(raw_file.without_preview, raw_file.format)
    else:
        source = by_jpeg
    flags = (*(flag for flag in source.flags if flag not in ("first_frame", "reduced_page")), "preview")
    size = raw_file.size or (0, 0)
    return replace(source, format=raw_file.format, flags=flags, end=None, original_size=size)


def _decode_pixels(data: bytes, limits: ReadLimits, rows: Rows | None = None, name: str = "") -> SourceImage:
    """The image; if the file can't be read with its metadata and later frames, without them."""
    strict = replace(limits, allow_truncated=False) if limits.allow_truncated else limits
    try:
        if not leads_to_pixels(data) and (reduced := pixels_only(data)):
            return _decode_reduced(reduced, strict, rows, name)
        return _decode_whole(data, strict, rows, name)
    except (OverLimit, MemoryError):
        raise
    except Exception as error:  # Pillow and its codecs raise almost any class on malformed files
        first_error, reduced = error, pixels_only(data)
    if reduced is not None:
        try:
            return _decode_reduced(reduced, strict, rows, name)
        except (OverLimit, MemoryError):
            raise
        except Exception as error:
            first_error = error if isinstance(error, Truncated) else first_error
    if isinstance(first_error, UnsupportedImage) and (chunk := damaged_png_chunk(data)):
        first_error = UnsupportedImage(
            f"the chunk {chunk}, which pixels need, is damaged: its checksum is wrong"
        )
    if not limits.allow_truncated:
        raise first_error
    return _decode_reduced(reduced or PixelsOnly(data), limits, rows, name)


def _decode_reduced(reduced: PixelsOnly, limits: ReadLimits, rows: Rows | None, name: str) -> SourceImage:
    """The image of a file without metadata, with flags and EXIF of the file as it was."""
    source = _decode_whole(reduced.data, limits, rows, name)
    source.image.info.update(reduced.info)
    flags = tuple(dict.fromkeys((*source.flags, *reduced.flags)))
    return replace(source, flags=flags, end=None)  # which would be that of the bytes without metadata


def _decode_whole(data: bytes, limits: ReadLimits, rows: Rows | None, name: str) -> SourceImage:
    if data[:4] in HEADERS:
        return _decode_tiff(data, limits)
    image = _open(data, limits, name)
    frames = 1 if image.format == psd.NAME else int(getattr(image, "n_frames", 1))  # PSD's are its layers
    image_format = image.format or "unknown"
    bits = _bits_per_sample(image, data)  # before load(), which forgets how samples were stored
    if limits.thumbnails and partial_jpeg.whole_is_quicker(image):
        rows = None  # a thumbnail needs all of them
    parts, complete = partial_jpeg.decode_rows(image, data, rows(image.height)) if rows else None, True
    if parts is None:
        image, complete = _load_pixels(image, data, limits)
    _drop_misleading_text(image)
    source = SourceImage(
        image, image_format, (), parts.rows if parts else (), end=parts.end if parts else None
    )
    flags = _flags(source, data, frames, bits) + (() if complete else ("truncated",))
    samples.check_samples(image)
    return replace(source, image=samples.to_8_bit_grey(image, bits), flags=flags)


def _decode_tiff(data: bytes, limits: ReadLimits) -> SourceImage:
    page = tiff.choose_page(data)
    if page.problem:
        raise UnsupportedImage(page.problem)
    if page.planes:
        planes = [_decode_page(plane.data(), page.layout, limits) for plane in page.planes]
        image = tiff.join_planes(page.raw_mode, [plane for plane, _ in planes])
        flags = _flags(SourceImage(image, "TIFF", ()), data, frames=1, bits=8)
        flags += tuple(flag for _, each in planes for flag in each)
    else:
        image, flags = _decode_page(page.data, page.layout, limits)
    return SourceImage(image, "TIFF", tuple(dict.fromkeys((*page.flags, *flags))))


def _decode_page(data: bytes, layout: str, limits: ReadLimits) -> tuple[Image.Image, tuple[str, ...]]:
    """The first page of a TIFF file, in a mode of 8 bits per sample, and flags."""
    try:
        image = _open(data, limits)
    except UnsupportedImage:
        if not layout:
            raise
        message = f"a TIFF layout that can't be read: {layout}; convert the image to 8 or 16 bits per sample"
        raise UnsupportedImage(message) from None
    tiff.use_native_order(image)
    frames = int(getattr(image, "n_frames", 1))
    stated = getattr(image, "tag_v2", {}).get(_TIFF_BITS_PER_SAMPLE, 8)
    bits = int(max(stated) if isinstance(stated, tuple) else stated)
    image, complete = _load_pixels(image, data, limits)
    flags = _flags(SourceImage(image, "TIFF", ()), data, frames, bits) + (() if complete else ("truncated",))
    samples.check_samples(image)
    return samples.to_8_bit_grey(image, bits), flags


def source_from_pillow(image: Image.Image, limits: ReadLimits = DEFAULT_LIMITS) -> SourceImage:
    """An image that somebody opened with Pillow, in a mode of 8 bits per sample.

    Raises:
        UnsupportedImage: it has no pixels.
        OverLimit: it is larger than the limits allow.
        Exception: whatever Pillow raises when it loads the pixels of a damaged file.
    """
    if not image.width or not image.height:
        raise UnsupportedImage("the image has no pixels")
    check_size(image.width, image.height, limits)
    frames = int(getattr(image, "n_frames", 1))
    image.load()
    source = SourceImage(image, image.format or "pixels", ())
    return replace(source, flags=_flags(source, b"", frames, bits=8))


@cache
def decoder_name() -> str:
    """The decoder's name and version, e.g. ``Pillow 13.0.0``; other decoders give other pixels."""
    heif = jxl = ""
    if formats.heif_available():
        import pillow_heif

        heif = f" pillow-heif {pillow_heif.__version__}"
    if jpeg_xl.is_available():
        jxl = f" imagecodecs {version('imagecodecs')}"
    return f"Pillow {PIL.__version__}{heif}{jxl}"


def load_decoders() -> None:
    """Import what reads each format; Python writes what it compiled of that, where an installer did not."""
    Image.init()
    formats.heif_available()


def warm_up() -> None:
    """Load the decoders of all formats, so that the first image does not have to."""
    load_decoders()
    partial_jpeg.is_available()


def _open(data: bytes, limits: ReadLimits, name: str = "") -> Image.Image:
    """The image with its header read, within the limits."""
    pillow_limit = Image.MAX_IMAGE_PIXELS  # Pillow warns there, and refuses twice as many
    if pillow_limit is not None and limits.max_pixels > 2 * pillow_limit:
        Image.MAX_IMAGE_PIXELS = (limits.max_pixels + 1) // 2
    try:
        image = Image.open(io.BytesIO(data), formats=formats.pillow_formats())
    except UnidentifiedImageError:
        raise formats.unidentified(data, name) from None
    except OSError as error:
        raise _classify(error, data) from error
    except Image.DecompressionBombError as error:  # Pillow checks some formats before their size can be asked
        raise TooManyPixels(f"{error}; raise the limit with --max-pixels") from None
    check_size(image.width, image.height, limits)
    return image


def _load_pixels(image: Image.Image, data: bytes, limits: ReadLimits) -> tuple[Image.Image, bool]:
    """The image with its pixels, and whether they are complete."""
    try:
        image.load()
    except _DAMAGE_ERRORS as error:
        classified = _classify(error, data, "; score what there is with --allow-truncated")
        if not isinstance(classified, Truncated) and not _has_memory_for(image):
            raise MemoryError from error  # codecs report short memory as damage
        if not limits.allow_truncated:
            raise classified from error
    else:
        return image, True
    image = _open(data, limits)
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # for the whole process, which reads one image at a time
    try:
        image.load()
    except _DAMAGE_ERRORS as error:
        raise _classify(error, data, "; none of it can be decoded") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    return image, False


def _has_memory_for(image: Image.Image) -> bool:
    """Whether there is memory for an image's coefficients (two bytes a sample) and pixels."""
    return can_allocate(3 * image.width * image.height * len(image.getbands()))


def _classify(error: Exception, data: bytes, remark: str = "") -> Exception:
    """`Truncated` for the error of an image that ends too early; any other error unchanged."""
    # libwebp does not say that its data end too early
    short_riff = data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if short_riff or isinstance(error, EOFError) or "truncated" in str(error).lower():
        return Truncated(f"{str(error) or 'it ends too early'}{remark}")
    return error


def _drop_misleading_text(image: Image.Image) -> None:
    """PNG text chunks land among Pillow's own info, under any name the file's author chose."""
    if not isinstance(image.info.get("transparency"), int | bytes | tuple):
        image.info.pop("transparency", None)


def _bits_per_sample(image: Image.Image, data: bytes) -> int:
    """Bits per sample as stored; 8 where nothing says more."""
    if image.format == HEIF:
        return int(image.info.get("bit_depth", 8))
    if image.format == jpeg2000.NAME:
        return 16 if jpeg2000.bits_per_sample(data) > 8 else 8  # Pillow scales grey of 9 to 15 bits up to 16
    if image.format == "AVIF":
        # AV1 Image File Format, section 2.2.1: of av1C's third byte, bit 6 is high_bitdepth, bit 5 twelve_bit
        offset = data.find(b"av1C")
        depth = data[offset + 6] if 0 <= offset < len(data) - 6 else 0
        return 8 if not depth & 0x40 else 12 if depth & 0x20 else 10
    modes = (tile[3] for tile in getattr(image, "tile", ()))
    return 16 if any(";16" in str(mode) for mode in modes) else 8


def _flags(source: SourceImage, data: bytes, frames: int, bits: int) -> tuple[str, ...]:
    image = source.image
    checks = {
        "first_frame": frames > 1,
        "alpha_dropped": image.has_transparency_data,
        "cmyk_converted": image.mode == "CMYK",
        "reduced_to_8_bit": bits > 8 and image.mode not in ("I", "F"),
        "rotated_by_container": image.format == HEIF and isobmff.is_turned(data),
        "maybe_truncated": image.format in ("JPEG", "MPO")
        and (jpeg_end.is_grey(_last_block(source)) or jpeg_end.lacks_scans(data)),
    }
    return tuple(flag for flag, raised in checks.items() if raised)


def _last_block(source: SourceImage) -> Image.Image:
    """The block of up to 8 x 8 pixels that a JPEG states last."""
    width, height = source.width, source.height
    return source.region((width - 1) // 8 * 8, (height - 1) // 8 * 8, width, height)
