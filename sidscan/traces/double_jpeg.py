"""A JPEG whose pixels were a JPEG before, on the same grid of blocks."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from sidscan.images.jpeg_quality import estimate_jpeg_quality
from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace
from sidscan.traces.quantisation import (
    FREQUENCIES,
    SIDE,
    EarlierSteps,
    find_earlier_steps,
    luma_window,
)

DOUBLE_JPEG = TraceKind(
    id="double_jpeg",
    observed="coefficients are rounded as by an earlier JPEG with other steps, on the same grid of blocks",
    place="luma coefficients of a JPEG, of up to 2,048 blocks in its middle",
    who="every program that opens a JPEG and saves it as JPEG again: editors, exports, websites, messengers",
    limits=(
        "It does not say what changed between, if anything. It is seen where the last saving was finer than "
        "the earlier one, and seldom where it was coarser; not where the steps were the same, nor after "
        "resizing, or cropping off the grid."
    ),
)
_ADOBE_RGB = 0  # APP14's transform (ITU-T T.872, 6.5.3): components are R, G and B
_RED = ord("R")  # libjpeg takes components with these ids for RGB, too


@trace(DOUBLE_JPEG)
def find(image: TracedImage) -> Iterator[Trace]:
    """JPEG of luma, or of luma and colours."""
    source = image.image.source
    table = _luma_table(source.image)
    luma = luma_window(source) if table else None
    if table is None or luma is None:
        return
    steps = [table[SIDE * row + column] for row, column in FREQUENCIES]
    found = find_earlier_steps(luma, steps)
    if found and found.is_sure:
        last = estimate_jpeg_quality(source.image)
        detail = (
            f"coefficients as of an earlier JPEG {describe(found)}; the last one is of about quality {last}"
        )
        yield DOUBLE_JPEG.found(detail, "JPEG coefficients", 0)


def describe(steps: EarlierSteps) -> str:
    """The earlier saving in words."""
    if steps.quality:
        return f"of about quality {steps.quality}"
    seen = sorted({step for step in steps.steps if step > 1})
    span = f"{seen[0]}" if len(seen) == 1 else f"{seen[0]} to {seen[-1]}" if seen else "unknown size"
    return f"with steps of {span}, as no quality of libjpeg has them"


def _luma_table(image: Image.Image) -> list[int] | None:
    """Quantisation of the first component, row by row; None if that is not luma."""
    tables = getattr(image, "quantization", None) or {}
    layers = getattr(image, "layer", None) or []
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB") or not layers:
        return None
    is_rgb = image.info.get("adobe_transform") == _ADOBE_RGB or layers[0][0] == _RED
    if image.mode == "RGB" and is_rgb:
        return None
    table = tables.get(layers[0][3])
    return list(table) if table and len(table) == SIDE * SIDE else None
