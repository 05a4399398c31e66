"""Pictures of whole images are those that torchvision makes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from sidscan.config import ReadLimits
from sidscan.images import items, views
from sidscan.images.decode import source_from_pillow
from sidscan.records import DecodedImage, Failure, Item, Status
from sidscan.records.views import ImageView

SIZES = [(300, 200), (201, 333), (224, 224), (97, 1003), (31, 30), (1, 5), (3, 48)]
BOTH = ImageView(resize=256, both_sides=True)
SHORTER = ImageView(resize=224, filter="bicubic", crop=224)
CENTRE = ImageView(crop=224)
WHOLE = ImageView(max_side=128)


def pixels_of(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)


def make_view(pixels: NDArray[np.uint8], view: ImageView) -> NDArray[np.uint8]:
    return views.make_view(source_from_pillow(Image.fromarray(pixels)), view)


def read(image: Image.Image, suffix: str, *wanted: ImageView, **options: object) -> DecodedImage | Failure:
    """A file as a scan reads it."""
    buffer = io.BytesIO()
    image.save(buffer, suffix, **options)
    data, limits = buffer.getvalue(), ReadLimits(views=wanted, crops="center")
    *_, result = items.decode_item(Item("a"), data, items.info_from_bytes(data), limits)
    return result


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    ("view", "transform"),
    [
        pytest.param(BOTH, Resize((256, 256)), id="both sides"),
        pytest.param(
            SHORTER, Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)]), id="shorter, centre"
        ),
        pytest.param(ImageView(resize=100), Resize(100), id="shorter"),
        pytest.param(CENTRE, CenterCrop(224), id="centre"),
        pytest.param(ImageView(), lambda image: image, id="whole"),
    ],
)
def test_pictures_are_those_of_torchvision(
    view: ImageView, transform: object, width: int, height: int
) -> None:
    pixels = pixels_of(width, height)
    expected = np.asarray(transform(Image.fromarray(pixels)))  # type: ignore[operator]
    assert np.array_equal(make_view(pixels, view), expected)
    assert view.size(width, height) == expected.shape[1::-1]


def test_of_a_large_image_the_centre_is_read() -> None:
    pixels = pixels_of(300, 200)
    assert np.array_equal(make_view(pixels, WHOLE), pixels[36:164, 86:214])
    assert WHOLE.share(300, 200) == pytest.approx(128 * 128 / (300 * 200), abs=1e-6)


def test_of_a_very_long_image_the_centre_is_resized() -> None:
    pixels = pixels_of(2, 1000)
    made = make_view(pixels, SHORTER)
    assert np.array_equal(made, make_view(pixels[484:516], SHORTER))
    assert SHORTER.resized(2, 1000) == (224, 3584)
    assert SHORTER.describe(2, 1000) == (
        "centre 2 x 32 px, resized to 224 x 3584 px (bicubic), centre 224 x 224 px"
    )
    assert SHORTER.share(2, 1000) == pytest.approx(224 / 3584 * 32 / 1000, abs=1e-6)
    assert make_view(pixels, BOTH).shape == (256, 256, 3)


def test_short_memory_costs_the_row_of_that_image_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        np.empty(1 << 50, np.uint8)  # raises an error of NumPy's own

    monkeypatch.setattr(views, "make_view", short)
    failure = read(Image.new("RGB", (9, 9)), "PNG", BOTH)
    assert isinstance(failure, Failure)
    assert (failure.status, failure.error) == (Status.MEMORY_LIMIT, "MemoryError")
    assert failure.message == "it takes more memory than there is; raise the limit with --memory-limit"


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGBA", "WEBP"), ("CMYK", "JPEG"), ("1", "TIFF")],
)
def test_pictures_are_made_of_the_image_in_rgb(mode: str, suffix: str) -> None:
    image = Image.fromarray(pixels_of(331, 250)).convert(mode)
    made = read(image, suffix, BOTH, SHORTER, CENTRE, WHOLE, **({"lossless": True} if mode == "RGBA" else {}))
    assert isinstance(made, DecodedImage)
    assert made.pixels is None
    if suffix == "JPEG":  # whose pixels are others
        image = Image.open(io.BytesIO(_encoded(image, suffix)))
    rgb = np.asarray(image.convert("RGB"))
    assert list(made.views) == [BOTH, SHORTER, CENTRE, WHOLE]
    for view, picture in made.views.items():
        assert np.array_equal(picture, make_view(rgb, view)), view


def _encoded(image: Image.Image, suffix: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("wanted", [(WHOLE, CENTRE), (WHOLE, BOTH)], ids=["some rows", "all rows"])
def test_pictures_of_large_jpegs_are_the_same_from_fewer_rows(wanted: tuple[ImageView, ...]) -> None:
    noise = Image.fromarray(pixels_of(250, 300)).resize((1500, 1800))
    made = read(noise, "JPEG", *wanted)
    assert isinstance(made, DecodedImage)
    whole = np.asarray(Image.open(io.BytesIO(_encoded(noise, "JPEG"))))
    for view, picture in made.views.items():
        assert np.array_equal(picture, make_view(whole, view)), view
    assert np.array_equal(made.crop_set.crops[0], make_view(whole, CENTRE))


@pytest.mark.parametrize(
    ("view", "words"),
    [
        pytest.param(BOTH, "resized to 256 x 256 px (bilinear)", id="both sides"),
        pytest.param(SHORTER, "resized to 336 x 224 px (bicubic), centre 224 x 224 px", id="shorter, centre"),
        pytest.param(CENTRE, "centre 224 x 224 px of the image", id="centre"),
        pytest.param(WHOLE, "centre 128 x 128 px of the image", id="large"),
        pytest.param(ImageView(), "whole image", id="whole"),
    ],
)
def test_a_row_says_what_was_read(view: ImageView, words: str) -> None:
    assert view.describe(300, 200) == words


@pytest.mark.parametrize(
    ("view", "words"),
    [
        pytest.param(BOTH, "both sides resized to 256 px (bilinear)", id="both sides"),
        pytest.param(SHORTER, "shorter side resized to 224 px (bicubic), centre 224 x 224 px", id="shorter"),
        pytest.param(CENTRE, "the centre, 224 x 224 px", id="centre"),
        pytest.param(WHOLE, "the whole image, at most 128 px a side", id="whole"),
    ],
)
def test_a_report_says_what_is_read(view: ImageView, words: str) -> None:
    assert str(view) == words


@pytest.mark.parametrize(
    ("view", "share"),
    [
        pytest.param(BOTH, 1.0, id="all of it"),
        pytest.param(SHORTER, 224 / 336, id="cut"),
        pytest.param(ImageView(crop=224), 224 * 200 / (300 * 200), id="padded"),
    ],
)
def test_the_share_of_an_image_in_its_picture(view: ImageView, share: float) -> None:
    assert view.share(300, 200) == pytest.approx(share, abs=1e-6)
