"""JPEG quality is estimated from quantisation tables."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from sample_images import encoded, photo

from sidscan.images.jpeg_quality import estimate_jpeg_quality

SMALL = photo(16, 16)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("quality", [1, 5, 30, 49, 50, 51, 75, 92, 95, 100])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_libjpeg_quality_is_recovered(quality: int, progressive: bool) -> None:
    data = encoded(SMALL, "JPEG", quality=quality, progressive=progressive)
    assert estimate_jpeg_quality(opened(data)) == quality


def test_foreign_tables_get_the_nearest_quality() -> None:
    finest = encoded(SMALL, "JPEG", qtables=[[1] * 64, [1] * 64])
    coarse = encoded(SMALL, "JPEG", qtables=[[60] * 64, [60] * 64])
    assert estimate_jpeg_quality(opened(finest)) == 100
    assert 40 <= (estimate_jpeg_quality(opened(coarse)) or 0) <= 60


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF"])
def test_other_formats_have_no_quality(image_format: str) -> None:
    assert estimate_jpeg_quality(opened(encoded(SMALL, image_format))) is None
