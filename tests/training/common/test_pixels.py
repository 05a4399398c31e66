"""Round trips through a codec, compared with the codecs themselves."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sidscan.training.common.pixels import recoded, recoded_by_opencv


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [30, 100])
def test_jpeg_round_trips_equal_those_of_each_encoder(noise: NDArray[np.uint8], quality: int) -> None:
    data = io.BytesIO()
    Image.fromarray(noise).save(data, "JPEG", quality=quality)
    assert (recoded(noise, quality=quality) == np.asarray(Image.open(data))).all()
    stored = cv2.imencode(
        ".jpg", cv2.cvtColor(noise, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )[1]
    decoded = np.asarray(Image.open(io.BytesIO(stored.tobytes())))
    assert (recoded_by_opencv(noise, quality) == decoded).all()
