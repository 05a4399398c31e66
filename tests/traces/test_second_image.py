"""A thumbnail that shows another image is told; bars, turns, the middle and coarse copies are not."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat
from sample_images import encoded, scene, with_segment, with_thumbnail

from sidscan.config import ScanConfig
from sidscan.isolation.reader import read_item
from sidscan.provenance.metadata import Metadata
from sidscan.records import DecodedImage, Item, Trace
from sidscan.traces.previews import previews

CONFIG = ScanConfig(inputs=("a",))
MAIN, OTHER = scene(1, 480, 320), scene(2, 480, 320)
EXIF_NAME = "thumbnail of EXIF in JPEG APP1"


def test_previews_come_from_metadata_that_were_read() -> None:
    data = with_thumbnail(MAIN, OTHER.resize((160, 107)))
    (found,) = previews(b"", Metadata.of_file(data, len(data)))
    assert (found.name, found.data) == (EXIF_NAME, data[found.offset : found.offset + len(found.data)])


def traces(tmp_path: Path, data: bytes) -> tuple[Trace, ...]:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    return read_item(Item(str(path)), CONFIG).facts.traces or ()


def test_a_foreign_thumbnail_is_told(tmp_path: Path) -> None:
    data = with_thumbnail(MAIN, OTHER.resize((160, 107)))
    (trace,) = traces(tmp_path, data)
    assert trace.id == "second_image"
    assert trace.container == EXIF_NAME
    assert data[trace.offset :].startswith(b"\xff\xd8\xff")
    bits, rest = trace.detail.partition("else: ")[2].split(" ", 1)
    assert 94 < int(bits) < 160
    assert rest == "of 256 bits differ, and more than 94 count"
    assert trace.detail.startswith(f"the {EXIF_NAME}, 160 x 107 pixels, shows something else: ")


def second_image(tmp_path: Path, data: bytes, thumbnails: bool = True) -> bytes:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    read = read_item(Item(str(path)), replace(CONFIG, thumbnails=thumbnails))
    assert isinstance(read, DecodedImage)
    return read.second_image


def test_what_it_shows_goes_with_the_thumbnails_and_with_no_other_trace(tmp_path: Path) -> None:
    foreign = OTHER.resize((160, 107))
    data = with_thumbnail(MAIN, foreign)
    shown = Image.open(io.BytesIO(second_image(tmp_path, data)))
    assert (shown.format, shown.size) == ("WEBP", (160, 107))
    difference = ImageStat.Stat(ImageChops.difference(shown.convert("RGB"), foreign)).mean
    assert max(difference) < 15, "as it is stored"
    assert second_image(tmp_path, data, thumbnails=False) == b"", "no report shows it"
    assert second_image(tmp_path, with_thumbnail(MAIN, SMALL)) == b"", "it shows the same"


def test_a_second_image_that_cannot_be_made_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("sidscan.traces.second_image.thumbnail", fail)
    data = with_thumbnail(MAIN, OTHER.resize((160, 107)))
    assert second_image(tmp_path, data) == b""
    assert [trace.id for trace in traces(tmp_path, data)] == ["second_image"]


def test_an_old_thumbnail_of_a_cropped_image_is_told(tmp_path: Path) -> None:
    cropped = MAIN.crop((240, 160, 480, 320))
    assert [trace.id for trace in traces(tmp_path, with_thumbnail(cropped, MAIN.resize((160, 107))))] == [
        "second_image"
    ]


def changed(image: Image.Image, other: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """An image with a part of another one."""
    edited = image.copy()
    edited.paste(other.crop(box), box)
    return edited


SMALL = MAIN.resize((160, 107), Image.Resampling.LANCZOS)
QUIET = {
    "the same": (MAIN, SMALL, 1),
    "bars": (MAIN, ImageOps.pad(SMALL, (160, 120)), 1),
    "squeezed": (MAIN, MAIN.resize((160, 120)), 1),
    "its middle": (MAIN, MAIN.crop((26, 0, 454, 320)).resize((160, 120)), 1),
    "both as the camera held it": (MAIN, SMALL, 6),
    "only the image turned": (MAIN.rotate(90, expand=True), SMALL, 1),
    "bars, and turned": (MAIN.rotate(-90, expand=True), ImageOps.pad(SMALL, (160, 120)), 1),
    "thumbnail turned, image by EXIF": (MAIN, SMALL.rotate(-90, expand=True), 6),
    "another brightness": (
        MAIN,
        SMALL.point([min(255, int(0.7 * value + 60)) for value in range(256)] * 3),
        1,
    ),
    "grey": (MAIN, SMALL.convert("L"), 1),
    "another content of a ninth": (changed(MAIN, OTHER, (160, 107, 320, 214)), SMALL, 1),
    "a frame": (ImageOps.expand(MAIN, 16, "white"), SMALL, 1),
    "a narrow bar": (changed(MAIN, Image.new("RGB", MAIN.size), (0, 300, 480, 320)), SMALL, 1),
    "without detail": (MAIN, Image.new("RGB", (160, 107), "white"), 1),
    "tiny": (MAIN, OTHER.resize((30, 20)), 1),
}


@pytest.mark.parametrize(("main", "thumbnail", "orientation"), QUIET.values(), ids=QUIET)
def test_a_thumbnail_of_the_same_image_is_quiet(
    tmp_path: Path, main: Image.Image, thumbnail: Image.Image, orientation: int
) -> None:
    assert traces(tmp_path, with_thumbnail(main, thumbnail, orientation)) == ()


def test_an_image_without_detail_is_quiet(tmp_path: Path) -> None:
    assert traces(tmp_path, with_thumbnail(Image.new("RGB", (480, 320), "grey"), SMALL)) == ()


@pytest.mark.parametrize("broken", [b"", b"\xff\xd8\xff\xe0", encoded(SMALL, "JPEG")[:300], bytes(99)])
def test_a_broken_thumbnail_is_no_trace(tmp_path: Path, broken: bytes) -> None:
    assert traces(tmp_path, with_thumbnail(MAIN, broken)) == ()


def test_a_huge_thumbnail_is_not_decoded(tmp_path: Path) -> None:
    huge = Image.fromarray(np.zeros((4, 4), np.uint8))
    data = bytearray(encoded(huge, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"  # 65535 x 65535
    assert traces(tmp_path, with_thumbnail(MAIN, bytes(data))) == ()


def resource(number: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + bytes(len(content) % 2)


def test_thumbnails_of_photoshop_and_jfxx_are_compared(tmp_path: Path) -> None:
    whole, foreign = encoded(MAIN, "JPEG"), encoded(OTHER.resize((160, 107)), "JPEG", quality=60)
    photoshop = b"Photoshop 3.0\x00" + resource(1028, b"") + resource(1036, bytes(28) + foreign)
    for marker, body, name in (
        (0xED, photoshop, "Photoshop's thumbnail in JPEG APP13"),
        (0xE0, b"JFXX\x00\x10" + foreign, "thumbnail of JFXX"),
    ):
        data = with_segment(whole, marker, body)
        (trace,) = traces(tmp_path, data)
        assert (trace.id, trace.container) == ("second_image", name)
        assert data[trace.offset :].startswith(foreign)


LARGE = scene(1, 2400, 1800)


def test_large_jpegs_are_compared_by_the_rows_that_were_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [trace.id for trace in traces(tmp_path, with_thumbnail(LARGE, OTHER))] == ["second_image"]
    monkeypatch.delattr("sidscan.images.items.small_image")
    assert [trace.id for trace in traces(tmp_path, with_thumbnail(LARGE, OTHER))] == ["not_looked_for"]


def with_bars(image: Image.Image) -> Image.Image:
    """An image of 4:3 as a camera stores it at 1:1."""
    canvas = Image.new("RGB", (160, 160))
    canvas.paste(image.resize((160, 120)), (0, 20))
    return canvas


@pytest.mark.parametrize("size", [(2400, 1800), (640, 480)], ids=["rows decoded", "all decoded"])
@pytest.mark.parametrize(
    "preview",
    [
        pytest.param(lambda image: image.resize((160, 120)), id="as it is"),
        pytest.param(with_bars, id="with bars"),
        pytest.param(lambda image: with_bars(image).rotate(90), id="turned, with bars"),
        pytest.param(lambda image: image.rotate(90, expand=True).resize((120, 160)), id="turned"),
        pytest.param(
            lambda image: image.resize((160, 120)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), id="mirrored"
        ),
    ],
)
def test_what_the_decoded_rows_show_need_not_be_decoded_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    preview: Callable[[Image.Image], Image.Image],
) -> None:
    monkeypatch.delattr("sidscan.images.items.small_image")
    image = scene(1, *size)
    assert traces(tmp_path, with_thumbnail(image, preview(image))) == ()
