"""TIFF: the full page is scored, its samples are those of the file, and no layout is read wrongly."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sample_images import encoded, photo
from sample_tiffs import Order, Page, samples, tiff

from sidscan.images.decode import decode
from sidscan.images.errors import UnsupportedImage
from sidscan.images.exif import read_exif

_ASSOCIATED, _ALPHA = 1, 2
ORDERS = pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
PACKED = pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])


def pixels(data: bytes) -> NDArray[np.uint8]:
    """All decoded pixels of a file, as RGB."""
    return np.asarray(decode(data).image.convert("RGB"))


@ORDERS
@PACKED
@pytest.mark.parametrize(
    ("bits", "photometric", "count", "extra"),
    [
        pytest.param(16, 2, 3, [], id="rgb 16"),
        pytest.param(16, 2, 4, [_ALPHA], id="rgb 16 with alpha"),
        pytest.param(16, 2, 4, [_ASSOCIATED], id="rgb 16 multiplied by alpha"),
        pytest.param(16, 2, 4, [], id="rgb 16 and a sample of unknown use"),
        pytest.param(16, 5, 4, [], id="cmyk 16"),
        pytest.param(8, 2, 3, [], id="rgb 8"),
        pytest.param(8, 2, 4, [_ALPHA], id="rgb 8 with alpha"),
        pytest.param(8, 2, 4, [_ASSOCIATED], id="rgb 8 multiplied by alpha"),
        pytest.param(8, 2, 4, [0], id="rgb 8 and an unspecified sample"),
        pytest.param(8, 5, 4, [], id="cmyk 8"),
        pytest.param(8, 1, 2, [_ALPHA], id="grey 8 with alpha"),
        pytest.param(8, 8, 3, [], id="CIELab 8"),
        pytest.param(8, 1, 1, [], id="grey 8"),
        pytest.param(16, 1, 1, [], id="grey 16"),
        pytest.param(4, 1, 1, [], id="grey 4"),
    ],
)
def test_separate_planes_give_the_pixels_of_interleaved_ones(
    bits: int, photometric: int, count: int, extra: list[int], deflate: bool, order: Order
) -> None:
    values, fields = samples(31, 22, count, bits), {338: extra} if extra else {}
    together, apart = (
        tiff(Page(values, fields, bits, photometric, planar, deflate, rows_per_strip=7), order=order)
        for planar in (False, True)
    )
    assert np.array_equal(pixels(apart), pixels(together))
    assert decode(apart).flags == decode(together).flags


@ORDERS
@PACKED
def test_separate_planes_of_16_bits_give_their_upper_8_bits(deflate: bool, order: Order) -> None:
    values = samples(40, 30, 3, 16)
    source = decode(tiff(Page(values, {}, 16, 2, True, deflate, rows_per_strip=9), order=order))
    assert (source.image.mode, source.flags) == ("RGB", ("reduced_to_8_bit",))
    assert np.array_equal(np.asarray(source.image), (values >> 8).astype(np.uint8))


def test_samples_beyond_the_colours_are_ignored() -> None:
    values = samples(20, 30, 5)
    source = decode(tiff(Page(values, {338: [_ALPHA, 0]}, planar=True)))
    assert source.flags == ("alpha_dropped",)
    assert np.array_equal(np.asarray(source.image), values[..., :3])


@ORDERS
def test_compressed_floats_are_read_in_their_byte_order(order: Order) -> None:
    values = samples(20, 30, 1).astype(np.float32)
    source = decode(tiff(Page(values, {339: [3]}, 32, 1, deflate=True), order=order))
    assert np.array_equal(np.asarray(source.image), values[..., 0])


@ORDERS
def test_a_palette_of_8_bits_is_not_taken_for_black(order: Order) -> None:
    values, colours = samples(20, 30, 1), samples(256, 3, 1)[..., 0]
    data = tiff(Page(values, {320: colours.T.flatten().tolist()}, photometric=3), order=order)
    assert np.array_equal(pixels(data), colours[values[..., 0]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("planar", [False, True])
def test_no_orientation_turns_the_stored_rows(orientation: int, deflate: bool, planar: bool) -> None:
    values = samples(30, 40, 3)
    data = tiff(Page(values, {274: [orientation]}, planar=planar, deflate=deflate))
    source = decode(data)
    assert (source.width, source.height, source.flags) == (40, 30, ())
    assert np.array_equal(np.asarray(source.image), values)
    assert read_exif(source, data)[0].orientation == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_no_orientation_turns_a_big_tiff(orientation: int) -> None:
    image = photo(40, 30)
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(image, "TIFF", big_tiff=True, exif=exif)
    source = decode(data)
    assert np.array_equal(np.asarray(source.image), np.asarray(image))
    assert read_exif(source, data)[0].orientation == orientation


REDUCED = {254: [1]}
MASK = {254: [4], 262: [4]}
OLD_REDUCED = {255: [2]}


@ORDERS
@pytest.mark.parametrize("small", [REDUCED, MASK, OLD_REDUCED], ids=["reduced", "mask", "reduced, old field"])
@pytest.mark.parametrize("full", [{}, {254: [0]}, {254: [2]}], ids=["not stated", "full", "page"])
def test_the_page_of_full_size_is_scored(
    small: dict[int, list[int]], full: dict[int, list[int]], order: Order
) -> None:
    values = samples(60, 80, 3)
    data = tiff(
        *(Page(samples(size, size, 3), small) for size in (8, 16)),
        Page(values, full),
        Page(samples(9, 9, 3)),
        order=order,
    )
    source = decode(data)
    assert source.flags == ("first_frame",)
    assert np.array_equal(np.asarray(source.image), values)


def test_a_page_of_full_size_within_a_reduced_one_is_scored() -> None:
    values = samples(60, 80, 3, 16)
    inner = (Page(samples(10, 10, 3), REDUCED), Page(values, {254: [0]}, 16, planar=True))
    source = decode(tiff(Page(samples(16, 16, 3), REDUCED, inner=inner)))
    assert source.flags == ("first_frame", "reduced_to_8_bit")
    assert np.array_equal(np.asarray(source.image), values >> 8)


@pytest.mark.parametrize(
    ("other", "flag"),
    [
        pytest.param(None, "reduced_page", id="alone"),
        pytest.param(
            Page(samples(60, 80, 1, 16), {254: [0]}, 16, photometric=32803),
            "preview",
            id="beside sensor data",
        ),
    ],
)
def test_a_reduced_page_without_the_full_one_is_flagged(other: Page | None, flag: str) -> None:
    values = samples(16, 16, 3)
    source = decode(tiff(Page(values, REDUCED, inner=(other,) if other else ())))
    assert source.flags == (flag,)
    assert np.array_equal(np.asarray(source.image), values)


def test_pages_that_follow_one_another_in_a_circle_end() -> None:
    data = bytearray(tiff(Page(samples(16, 16, 3), REDUCED)))
    data[-4:] = data[4:8]
    assert decode(bytes(data)).flags == ("reduced_page",)


FLOAT, SIGNED = {339: [3]}, {339: [2]}
GREY = samples(20, 30, 1)


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize(
    ("page", "message"),
    [
        pytest.param(Page(GREY.astype(np.int8), SIGNED, 8, 1), "signed samples of 8 bits", id="signed 8"),
        pytest.param(
            Page(GREY.astype(np.float32), FLOAT, 32, 0), "whose white is zero", id="float, white is zero"
        ),
        pytest.param(
            Page(samples(20, 30, 3), {530: [1, 1]}, 8, 6, planar=True), "colour planes", id="planar YCbCr"
        ),
        pytest.param(
            Page(GREY.astype(np.float32) / 255, FLOAT, 32, 1), "from 0.0 to 1.0 can't be reduced", id="0..1"
        ),
        pytest.param(
            Page(GREY.astype(np.float32) / 64, FLOAT, 32, 1), "can't be reduced to 8 bits", id="highlights"
        ),
        pytest.param(
            Page((GREY > 99).astype(np.float32), FLOAT, 32, 1), "from 0.0 to 1.0", id="0 and 1 alone"
        ),
        pytest.param(
            Page(samples(20, 30, 3).astype(np.float32), {339: [3] * 3}, 32),
            "3 samples of 32 bits, photometric interpretation 2",
            id="float RGB",
        ),
        pytest.param(
            Page(samples(20, 30, 2, 16), {338: [2]}, 16, 1),
            "2 samples of 16 bits, photometric interpretation 1",
            id="grey 16 with alpha",
        ),
    ],
)
def test_layouts_that_cannot_be_read_rightly_fail(page: Page, message: str, deflate: bool) -> None:
    page = Page(page.samples, page.fields, page.bits, page.photometric, page.planar, deflate)
    with pytest.raises(UnsupportedImage, match=message):
        decode(tiff(page))


@pytest.mark.parametrize("fields", [{530: [2, 2]}, {}, {530: [1, 1], 532: [15, 1] * 6}])
def test_uncompressed_ycbcr_is_read_only_as_pillow_expects_it(fields: dict[int, list[int]]) -> None:
    with pytest.raises(UnsupportedImage, match="uncompressed YCbCr"):
        decode(tiff(Page(samples(20, 30, 3), fields, 8, 6)))


def test_uncompressed_ycbcr_without_subsampling_is_read() -> None:
    image = photo(60, 40).convert("YCbCr")
    data = tiff(Page(np.asarray(image), {530: [1, 1]}, 8, 6))
    assert np.array_equal(pixels(data), np.asarray(image.convert("RGB")))


def test_black_floats_are_black_in_any_range() -> None:
    data = tiff(Page(np.zeros((20, 30, 1), np.float32), FLOAT, 32, 1))
    assert not np.asarray(decode(data).image).any()


def test_a_file_that_ends_within_a_plane_is_truncated() -> None:
    page = Page(samples(60, 80, 3, 16), {}, 16, planar=True, deflate=True)
    data = tiff(page)
    cut = data[:-9000] + data[-9000:][-200:]
    with pytest.raises(Exception, match=r"decoder error|truncated|not an image"):
        decode(cut)


def test_an_ordinary_file_is_given_to_pillow_as_it_is() -> None:
    from sidscan.images.tiff import choose_page

    data = encoded(photo(40, 30), "TIFF")
    assert choose_page(data).data is data
    assert np.array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data))))
