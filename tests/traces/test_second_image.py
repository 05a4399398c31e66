"""A thumbnail that shows another image is told; bars, turns, the middle and coarse copies are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat
from sample_images import encoded, scene, with_segment, with_thumbnail
from sample_psds import psd, resource
from sample_raws import Tags, TiffFile, image_tags

from sidscan.config import ScanConfig
from sidscan.images.crops import needed_rows
from sidscan.images.decode import decode
from sidscan.isolation.reader import read_item
from sidscan.provenance.metadata import Metadata
from sidscan.records import DecodedImage, Item, Trace
from sidscan.traces.previews import previews
from sidscan.traces.second_image import rows_match

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


def tiff_with(preview: bytes, reduced: int = 1, where: str = "child") -> bytes:
    """A TIFF of MAIN with a JPEG in a SubIFD, or as its second page."""
    file, pixels = TiffFile(), MAIN.tobytes()
    jpeg = {254: reduced, 256: 400, 257: 267, 273: file.add(preview), 279: len(preview), 259: 7}
    second = file.directory(jpeg)
    first = image_tags(MAIN.size, 2, file.add(pixels), len(pixels), t277=3, t258=8)
    if where == "child":
        return file.finish(file.directory(first | {330: second}))
    return file.finish(file.directory(first, next_offset=second))


def psd_with(preview: bytes) -> bytes:
    return psd(np.asarray(MAIN).transpose(2, 0, 1), resources=resource(1036, bytes(28) + preview))


def raw_with(preview: bytes) -> bytes:
    """A raw file whose large JPEG shows MAIN, and whose second directory has a thumbnail."""
    file, large = TiffFile(), encoded(MAIN.resize((960, 640)), "JPEG", quality=90)
    second = file.directory({513: file.add(preview), 514: len(preview)})
    child = file.directory({254: 1, 513: file.add(large), 514: len(large)})
    first: Tags = {254: 1, 256: 80, 257: 60, 271: "ACME", 330: child, 50706: 0x00000401}
    return file.finish(file.directory(first, next_offset=second))


WITH_PREVIEW: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "SubIFD of a TIFF": (tiff_with, "preview in TIFF"),
    "second page of a TIFF": (partial(tiff_with, where="next"), "preview in TIFF"),
    "raw": (raw_with, "preview in TIFF"),
    "PSD": (psd_with, "Photoshop's thumbnail in PSD"),
}


@pytest.mark.parametrize(("build", "name"), WITH_PREVIEW.values(), ids=WITH_PREVIEW)
def test_previews_of_other_formats_are_compared(
    tmp_path: Path, build: Callable[[bytes], bytes], name: str
) -> None:
    same, foreign = (encoded(image.resize((240, 160)), "JPEG", quality=80) for image in (MAIN, OTHER))
    data = build(foreign)
    (trace,) = [trace for trace in traces(tmp_path, data) if trace.id == "second_image"]
    assert (trace.container, data[trace.offset :].startswith(foreign)) == (name, True)
    assert "240 x 160 pixels" in trace.detail
    assert "second_image" not in [trace.id for trace in traces(tmp_path, build(same))]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(tiff_with(encoded(OTHER, "JPEG"), reduced=0, where="next"), id="a page of its own"),
        pytest.param(tiff_with(encoded(OTHER, "JPEG") + bytes(1 << 20)), id="more than 1 MiB"),
        pytest.param(tiff_with(b"\xff\xd8\xff"), id="a broken preview"),
        pytest.param(psd_with(b""), id="an empty resource"),
        pytest.param(psd_with(b"RGB of 1995"), id="an old thumbnail, which is no JPEG"),
    ],
)
def test_what_is_no_preview_is_quiet(tmp_path: Path, data: bytes) -> None:
    assert "second_image" not in [trace.id for trace in traces(tmp_path, data)]


def heic(image: Image.Image) -> bytes:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(image).save(file, quality=60, thumbnails=[240])
    return file.getvalue()


def test_the_thumbnail_of_a_heic_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(MAIN)
    (found,) = previews(data, Metadata.of_file(data, len(data)))
    shown = Image.open(io.BytesIO(found.data))
    assert (found.name, found.offset, max(shown.size)) == ("thumbnail in HEIC", 0, 240)
    assert traces(tmp_path, data) == ()
    (other,) = previews(heic(OTHER), Metadata.of_file(b"", 0))
    monkeypatch.setattr("sidscan.traces.second_image.previews", lambda *_: [other])
    (trace,) = traces(tmp_path, data)
    assert trace.detail.startswith("the thumbnail in HEIC, 240 x 160 pixels, shows something else: ")


def test_a_heic_without_a_thumbnail_or_end_has_none(tmp_path: Path) -> None:
    data = heic(MAIN)
    plain = encoded(MAIN, "HEIF", quality=60)
    for each in (data[: len(data) // 2], plain):
        assert [preview.name for preview in previews(each, Metadata.of_file(b"", 0))] == []


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


@pytest.mark.parametrize(("moved", "is_seen"), [((75, 75), True), ((-110, 40), True), ((600, 0), False)])
def test_a_preview_from_a_moment_before_is_no_second_image(moved: tuple[int, int], is_seen: bool) -> None:
    rows = partial(needed_rows, crops="ten")
    source = decode(encoded(LARGE, "JPEG"), rows=rows)
    preview = ImageChops.offset(LARGE, *moved).resize((160, 120)).convert("L")
    assert rows_match(source, preview) is (is_seen and bool(source.decoded_rows))
