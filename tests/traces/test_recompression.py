"""What an earlier JPEG leaves in coefficients and pixels is found, and nothing where there was none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sample_images import encoded, scene

from sidscan.config import ReadLimits, ScanConfig
from sidscan.images import crops
from sidscan.images.decode import decode, source_from_pillow
from sidscan.images.jpeg_quality import luma_table
from sidscan.isolation.reader import read_item
from sidscan.records import DecodedImage, Item, Trace
from sidscan.traces.quantisation import FREQUENCIES, find_earlier_steps, luma_window

CONFIG = ScanConfig(inputs=("a",))
WIDTH, HEIGHT = 640, 448


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """A scene with grain: coefficients of every size, as photographs have them."""
    grain = np.random.default_rng(1).normal(0, 5, (HEIGHT, WIDTH, 1))
    pixels = np.asarray(scene(3, WIDTH, HEIGHT), float) * 1.4 - 50 + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def again(image: Image.Image, quality: int, **options: int) -> Image.Image:
    """The image after it was a JPEG."""
    return Image.open(io.BytesIO(encoded(image, "JPEG", quality=quality, **options))).convert("RGB")


def low_steps(quality: int) -> list[int]:
    return [luma_table(quality)[8 * row + column] for row, column in FREQUENCIES]


def traces(folder: Path, data: bytes, suffix: str = ".jpg") -> dict[str, Trace]:
    path = folder / f"a{suffix}"
    path.write_bytes(data)
    result = read_item(Item(str(path)), CONFIG)
    assert isinstance(result, DecodedImage)
    return {trace.id: trace for trace in result.facts.traces or ()}


@pytest.mark.parametrize(
    ("first", "last"), [(60, 80), (75, 90), (85, 95), (70, 75)], ids=lambda quality: str(quality)
)
@pytest.mark.parametrize("subsampling", [0, 2])
def test_an_earlier_coarser_jpeg_is_found(
    tmp_path: Path, image: Image.Image, first: int, last: int, subsampling: int
) -> None:
    twice = encoded(again(image, first), "JPEG", quality=last, subsampling=subsampling)
    trace = traces(tmp_path, twice)["double_jpeg"]
    assert trace == Trace("double_jpeg", trace.detail, "JPEG coefficients")
    assert trace.detail.endswith(f"; the last one is of about quality {last}")
    stated = int(trace.detail.partition("of about quality ")[2].partition(";")[0])
    assert max(abs(one - other) for one, other in zip(low_steps(stated), low_steps(first), strict=True)) <= 1


@pytest.mark.parametrize("quality", [50, 60, 70, 75, 80, 85, 90, 95, 100])
def test_one_saving_is_not_two(tmp_path: Path, image: Image.Image, quality: int) -> None:
    assert "double_jpeg" not in traces(tmp_path, encoded(image, "JPEG", quality=quality))


@pytest.mark.parametrize(
    ("first", "last"), [(80, 80), (95, 50)], ids=["the same quality", "the last much coarser"]
)
def test_what_leaves_no_trace_is_not_guessed(
    tmp_path: Path, image: Image.Image, first: int, last: int
) -> None:
    assert "double_jpeg" not in traces(tmp_path, encoded(again(image, first), "JPEG", quality=last))


def test_a_cropped_jpeg_is_not_on_the_grid(tmp_path: Path, image: Image.Image) -> None:
    moved = again(image, 75).crop((3, 5, WIDTH, HEIGHT))
    assert "double_jpeg" not in traces(tmp_path, encoded(moved, "JPEG", quality=90))


def test_grey_and_progressive(tmp_path: Path, image: Image.Image) -> None:
    grey = again(image, 70).convert("L")
    assert "double_jpeg" in traces(tmp_path, encoded(grey, "JPEG", quality=90, progressive=True))


def test_tables_of_others_have_no_quality(tmp_path: Path, image: Image.Image) -> None:
    flat = {"qtables": [[2] * 64, [2] * 64]}
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", qtables=[[7] * 64, [7] * 64])
    first = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
    detail = traces(tmp_path, encoded(first, "JPEG", **flat))["double_jpeg"].detail
    assert "JPEG with steps of 7, as no quality of libjpeg has them; the last one is" in detail


def test_colours_that_are_no_luma_are_left_alone(tmp_path: Path, image: Image.Image) -> None:
    """Components R, G and B (APP14 says so), and CMYK."""
    first = again(image, 75)
    assert "double_jpeg" not in traces(tmp_path, encoded(first, "JPEG", quality=92, keep_rgb=True))
    assert "double_jpeg" not in traces(tmp_path, encoded(first.convert("CMYK"), "JPEG", quality=92))


def test_rows_that_were_decoded_are_enough(image: Image.Image) -> None:
    """Of a large JPEG, only the rows of crops are decoded; the grid holds in them."""
    large = Image.new("RGB", (4 * WIDTH, 8 * HEIGHT))
    for index in range(32):
        large.paste(image, (index % 4 * WIDTH, index // 4 * HEIGHT))
    data = encoded(again(large, 75), "JPEG", quality=90)
    limits = ReadLimits()
    source = decode(data, limits, lambda height: crops.needed_rows(height, crops=limits.crops))
    luma = luma_window(source)
    assert luma is not None
    if source.decoded_rows:  # where Pillow's libjpeg can be called
        assert luma.shape[0] <= 224
    found = find_earlier_steps(luma, low_steps(90))
    assert found is not None
    assert (found.is_sure, found.quality) == (True, 75)


@pytest.mark.parametrize(
    ("suffix", "quality", "left", "top"),
    [
        (".png", 50, 0, 0),
        (".png", 75, 3, 5),
        (".png", 90, 4, 4),
        (".bmp", 75, 0, 0),
        (".tif", 75, 0, 7),
        (".webp", 75, 1, 0),
    ],
)
def test_a_lossless_copy_of_a_jpeg_is_found(
    tmp_path: Path, image: Image.Image, suffix: str, quality: int, left: int, top: int
) -> None:
    copy = again(image, quality).crop((left, top, WIDTH, HEIGHT))
    formats = {
        ".png": ("PNG", {}),
        ".bmp": ("BMP", {}),
        ".tif": ("TIFF", {}),
        ".webp": ("WEBP", {"lossless": True}),
    }
    name, options = formats[suffix]
    trace = traces(tmp_path, encoded(copy, name, **options), suffix)["jpeg_before"]
    assert trace.detail.endswith(f", in blocks that begin at column {-left % 8}, row {-top % 8}")
    assert trace.container == "pixels"


def test_pixels_that_were_no_jpeg_have_none(tmp_path: Path, image: Image.Image) -> None:
    assert traces(tmp_path, encoded(image, "PNG"), ".png") == {}
    shrunk = again(image, 75).resize((WIDTH * 2 // 3, HEIGHT * 2 // 3), Image.Resampling.LANCZOS)
    assert traces(tmp_path, encoded(shrunk, "PNG"), ".png") == {}
    assert "jpeg_before" not in traces(tmp_path, encoded(again(image, 75), "WEBP", quality=80), ".webp")


def drawings() -> dict[str, Image.Image]:
    board = Image.fromarray((np.indices((448, 640)).sum(0) // 8 % 2 * 255).astype(np.uint8))
    icons = Image.fromarray(np.random.default_rng(0).integers(0, 256, (56, 80, 3), dtype=np.uint8))
    ramp = Image.fromarray(np.broadcast_to(np.linspace(0, 255, 640), (448, 640)).astype(np.uint8))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (448, 640, 3), dtype=np.uint8))
    return {
        "chessboard": board,
        "squares of 8 pixels": icons.resize((640, 448), Image.Resampling.NEAREST),
        "enlarged 8 times": icons.resize((640, 448), Image.Resampling.BICUBIC),
        "ramp": ramp,
        "noise": noise,
        "black": Image.new("RGB", (640, 448)),
        "small": Image.new("RGB", (7, 5), "red"),
        "palette": noise.quantize(16),
    }


@pytest.mark.parametrize("name", drawings())
def test_drawings_were_no_jpeg(tmp_path: Path, name: str) -> None:
    drawing = drawings()[name]
    assert "jpeg_before" not in traces(tmp_path, encoded(drawing, "PNG"), ".png")
    for quality in (60, 75, 90):
        data = encoded(drawing.convert("RGB"), "JPEG", quality=quality)
        assert "double_jpeg" not in traces(tmp_path, data)


@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 255), st.integers(0, 2**32 - 1))
def test_any_pixels_and_steps_have_an_answer(width: int, height: int, step: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    luma = luma_window(source_from_pillow(Image.fromarray(pixels)))
    assert luma is None or luma.shape[0] % 8 == luma.shape[1] % 8 == 0
    random = np.random.default_rng(seed).uniform(0, 255, (height + 16, width + 16)).astype(np.float32)
    found = find_earlier_steps(random, [step] * len(FREQUENCIES))
    assert found is None or not found.is_sure
