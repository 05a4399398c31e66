"""How coarsely a JPEG was quantised when it was last saved."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

# ITU-T T.81, table K.1, row by row: the luma table, which libjpeg scales by its quality setting.
_LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_LUMA_STEPS = [step for row in _LUMA_TABLE for step in row]


def estimate_jpeg_quality(image: Image.Image) -> int | None:
    """The quality setting of libjpeg, 1 to 100, whose luma steps are as coarse on average.

    Other encoders (Photoshop, cameras) have other tables and scales. None for an image that is not a JPEG.
    """
    tables: dict[int, Sequence[int]] = getattr(image, "quantization", None) or {}
    steps = tables.get(0)
    if image.format not in ("JPEG", "MPO") or steps is None or len(steps) != len(_LUMA_STEPS):
        return None
    coarseness = sum(steps)
    return min(_COARSENESS, key=lambda quality: abs(_COARSENESS[quality] - coarseness))


def luma_table(quality: int) -> list[int]:
    """libjpeg's luma table for a quality (jcparam.c: jpeg_quality_scaling, jpeg_add_quant_table)."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [min(max((step * percent + 50) // 100, 1), 255) for step in _LUMA_STEPS]


_COARSENESS = {quality: sum(luma_table(quality)) for quality in range(1, 101)}
