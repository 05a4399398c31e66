"""Bytes -> pixels, through Pillow, exactly as stored: nothing is resized, rotated or colour-managed.

Flags (remarks that stand in the picture's row):
    ``first_frame``        an animation or multi-picture file; only its first picture is looked at
    ``alpha_dropped``      transparency is ignored, as by the published code's convert("RGB")
    ``cmyk_converted``     CMYK, converted without its colour profile
    ``reduced_to_8_bit``   samples of more than 8 bits, of which the upper 8 are looked at
    ``rotated_by_container``  HEIC states its rotation outside of EXIF; libheif always applies it
    ``padded``             smaller than the view: surrounded by black, as torchvision's CenterCrop does
    ``exif_unreadable``    EXIF is present but malformed
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# Only formats in which photographs travel; interpreters (EPS, PDF, WMF) are never started. JPEG includes MPO.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_MODES_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


class UnsupportedPicture(Exception):
    """The bytes are no picture of a supported format, or hold pixels without a defined 8-bit reading."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture; pixels become RGB only where a view looks (`window`)."""

    image: Image.Image
    format: str
    flags: tuple[str, ...]

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
        canvas = np.zeros((side, side, 3), dtype=np.uint8)
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = min(left + side, self.width), min(top + side, self.height)
        part = np.asarray(_to_rgb(self.image.crop((x0, y0, x1, y1))))
        canvas[y0 - top : y1 - top, x0 - left : x1 - left] = part
        return canvas


def decode(data: bytes) -> Picture:
    """Decode a whole picture; a truncated one raises.

    Raises:
        UnsupportedPicture: no supported format, or pixels without a defined 8-bit reading.
        Exception: whatever Pillow or its codecs raise on malformed files.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters is a flag or an error
        image = _open(data)
        frames = int(getattr(image, "n_frames", 1))
        picture_format = image.format or "unknown"
        image.load()
    _check_samples(image)
    return Picture(image, picture_format, tuple(_flags(image, frames)))


@cache
def decoder_name() -> str:
    """The decoder's name and version, e.g. ``Pillow 13.0.0``; other decoders give other pixels."""
    heif = ""
    if _heif_available():
        import pillow_heif

        heif = f" pillow-heif {pillow_heif.__version__}"
    return f"Pillow {PIL.__version__}{heif}"


@cache
def _heif_available() -> bool:
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _open(data: bytes) -> Image.Image:
    formats = (*FORMATS, "HEIF") if _heif_available() else FORMATS
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise UnsupportedPicture(_why_unidentified(data)) from None


def _why_unidentified(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and not _heif_available():
        return "HEIC needs the extra: pip install 'sidscan[heic]'"
    return f"not a picture of a supported format ({', '.join(FORMATS)}, HEIC with the extra)"


def _flags(image: Image.Image, frames: int) -> list[str]:
    checks = {
        "first_frame": frames > 1,
        "alpha_dropped": image.mode in _MODES_WITH_ALPHA or "transparency" in image.info,
        "cmyk_converted": image.mode == "CMYK",
        "reduced_to_8_bit": image.mode.startswith("I;16") or image.info.get("bit_depth", 8) > 8,
        "rotated_by_container": image.info.get("original_orientation") not in (None, 1),
    }
    return [flag for flag, raised in checks.items() if raised]


def _check_samples(image: Image.Image) -> None:
    """32-bit samples have no stated range; only those that already lie in 0..255 can be read faithfully."""
    if image.mode not in ("I", "F"):
        return
    values: NDArray[Any] = np.asarray(image)
    if not np.isfinite(values).all():
        raise UnsupportedPicture("pixels are not finite numbers (NaN or infinity)")
    if values.min() < 0 or values.max() > 255:
        raise UnsupportedPicture(
            f"32-bit samples from {values.min()} to {values.max()} have no defined 8-bit reading; "
            "convert the picture to 8 or 16 bits per sample"
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert("RGB") would clip at 255 instead of scaling
        upper = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(upper).convert("RGB")
    return image.convert("RGB")
