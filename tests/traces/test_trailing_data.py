"""What lies behind the end of an image, and what its own first bytes say it is."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_images import encoded, photo, with_segment
from sample_provenance import box, xmp

from sidscan.config import ScanConfig
from sidscan.containers.gif import end_of_gif
from sidscan.containers.jpeg import end_of_jpeg
from sidscan.isolation.reader import read_item
from sidscan.records import Item, Trace
from sidscan.traces.image_end import ImageEnd, image_end

CONFIG = ScanConfig(inputs=("a",))
IMAGE = photo(240, 230)
JPEG = encoded(IMAGE, "JPEG")
PNG = encoded(IMAGE, "PNG")
MP4 = struct.pack(">I4s4sII", 20, b"ftyp", b"mp42", 0, 0) + struct.pack(">I4s", 108, b"mdat") + bytes(100)
HEIC_VIDEO = struct.pack(">I4s", 8 + len(MP4), b"mpvd") + MP4
JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \x00\x00\x00\x00jxl ") + box(b"jxlc", bytes(50))
SAMSUNG = b"\x00\x00\x30\x0a\x10\x00\x00\x00MotionPhoto_DataabcdSEFH" + bytes(4) + b"\x14\x00\x00\x00SEFT"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("secret.txt", "hello")
    return file.getvalue()


def found(tmp_path: Path, data: bytes, name: str = "a.jpg") -> tuple[Trace, ...]:
    path = tmp_path / name
    path.write_bytes(data)
    return tuple(trace for trace in read_item(Item(str(path)), CONFIG).facts.traces or ())


def motion_photo(name: str) -> bytes:
    """A JPEG whose XMP announces a video."""
    packet = xmp(f"<g:{name} xmlns:g='http://ns.google.com/photos/1.0/camera/'>1</g:{name}>")
    return with_segment(JPEG, 0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + packet)


def with_index(second: bytes, kind: int = 0x020002) -> bytes:
    """A JPEG with a second image that its index (MPF) names."""
    base, size = 10, 4 + 4 + 8 + 2 + 12 + 4 + 32  # of the index: where its header stands, and how long it is
    end = len(JPEG) + size
    entries = struct.pack(">IIIHH", 0x030000, end, 0, 0, 0)
    entries += struct.pack(">IIIHH", kind, len(second), end - base, 0, 0)
    index = (
        b"MPF\x00MM\x00*\x00\x00\x00\x08" + struct.pack(">HHHII", 1, 0xB002, 7, 32, 26) + bytes(4) + entries
    )
    return with_segment(JPEG, 0xE2, index) + second


APPENDED = {
    "zip": (zipped(), "a ZIP archive"),
    "zeros": (bytes(512), "padding"),
    "another JPEG": (JPEG, "another JPEG image"),
    "a video": (MP4, "a video (MP4), as motion photos have"),
    "a box of Google's HEIC": (HEIC_VIDEO, "the video of a motion photo (MP4)"),
    "Samsung": (SAMSUNG, "fields of a Samsung phone, with a video (motion photo)"),
    "PDF": (b"%PDF-1.7 ...", "a PDF document"),
    "unknown": (b"\x01\x02\x03\x9c", "data of a kind that sidscan does not know"),
    "padding and a JPEG": (b"\x00\x00" + JPEG + b"\xff\xff", "padding, another JPEG image"),
}


@pytest.mark.parametrize(("appended", "what"), APPENDED.values(), ids=APPENDED)
@pytest.mark.parametrize(("image", "where"), [(JPEG, "behind JPEG EOI"), (PNG, "behind PNG IEND")])
def test_bytes_behind_the_image_are_named(
    tmp_path: Path, image: bytes, where: str, appended: bytes, what: str
) -> None:
    (trace,) = found(tmp_path, image + appended)
    detail = f"{len(appended):,} bytes behind the image: {what}"
    assert trace == Trace("trailing_data", detail, where, len(image))


def test_text_is_told_and_left_out_of_details(tmp_path: Path) -> None:
    (trace,) = found(tmp_path, PNG + "Grüße von Erika, ".encode() * 40, "a.png")
    assert trace.detail == "760 bytes behind the image: text"
    assert trace.value.startswith("Grüße von Erika")
    assert len(trace.value) <= 200


@pytest.mark.parametrize("name", ["MotionPhoto", "MicroVideo"])
def test_an_announced_video_is_a_motion_photo(tmp_path: Path, name: str) -> None:
    (trace,) = found(tmp_path, motion_photo(name) + MP4)
    assert trace.detail == "128 bytes behind the image: the video of a motion photo (MP4)"


@pytest.mark.parametrize("name", ["WEBP", "GIF", "PNG", "JPEG", "MPO", "AVIF", "JPEG2000"])
def test_images_without_more_have_no_trace(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, encoded(IMAGE, name)) == ()


@pytest.mark.parametrize(
    ("name", "where"), [("WEBP", "behind the RIFF chunk"), ("GIF", "behind the GIF trailer")]
)
def test_other_formats(tmp_path: Path, name: str, where: str) -> None:
    (trace,) = found(tmp_path, encoded(IMAGE, name) + zipped())
    assert (trace.container, trace.detail[-13:]) == (where, "a ZIP archive")


def test_boxes_end_before_a_video(tmp_path: Path) -> None:
    image = encoded(IMAGE, "AVIF")
    assert found(tmp_path, image) == ()
    (trace,) = found(tmp_path, image + HEIC_VIDEO)
    assert trace == Trace(
        "trailing_data",
        f"{len(HEIC_VIDEO)} bytes behind the image: the video of a motion photo (MP4)",
        "behind the image's boxes",
        len(image),
    )


@pytest.mark.parametrize("video", [MP4, HEIC_VIDEO], ids=["a file", "a box"])
@pytest.mark.parametrize("image", [JXL, encoded(IMAGE, "JPEG2000"), encoded(IMAGE, "AVIF")], ids=str)
def test_the_type_behind_a_signature_is_the_images_own(image: bytes, video: bytes) -> None:
    assert image_end(image) == ImageEnd(len(image), "behind the image's boxes")
    assert image_end(image + video) == ImageEnd(len(image), "behind the image's boxes")


SEFD = {
    "whole": (box(b"sefd", bytes(40)), "48 bytes behind the image: fields of a Samsung phone"),
    "before a video": (
        HEIC_VIDEO + box(b"sefd", bytes(40)),
        "184 bytes behind the image: the video of a motion photo (MP4), fields of a Samsung phone",
    ),
    "of 4 GB": (b"\xf0\x00\x00\x00sefd" + bytes(40), "48 bytes behind the image: fields of a Samsung phone"),
    "of no length": (bytes(4) + b"sefd" + bytes(40), "48 bytes behind the image: fields of a Samsung phone"),
    "of one byte": (
        b"\x00\x00\x00\x02sefd" + bytes(9),
        "17 bytes behind the image: fields of a Samsung phone",
    ),
}


@pytest.mark.parametrize(("boxes", "detail"), SEFD.values(), ids=SEFD)
def test_boxes_of_phones_end_with_the_file_at_last(tmp_path: Path, boxes: bytes, detail: str) -> None:
    (trace,) = found(tmp_path, PNG + boxes)
    assert trace.detail == detail


def test_padding_takes_little_memory(tmp_path: Path) -> None:
    padding = (bytes(9) + b" \n\xff") * 100_000
    tracemalloc.start()
    (trace,) = found(tmp_path, JPEG + padding + zipped())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert trace.detail == f"{len(padding) + len(zipped()):,} bytes behind the image: padding, a ZIP archive"
    assert peak < 20 * len(padding)


def test_images_that_the_index_names_are_not_trailing_data(tmp_path: Path) -> None:
    assert found(tmp_path, with_index(JPEG)) == ()
    (trace,) = found(tmp_path, with_index(JPEG) + MP4)
    assert trace.detail == "128 bytes behind the image: a video (MP4), as motion photos have"


def test_progressive_jpeg_ends_at_its_last_scan() -> None:
    data = encoded(IMAGE, "JPEG", progressive=True)
    comment = b"\xff\xfe\x00\x06\xff\xd9xx"  # an EOI within a segment between scans
    second = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    data = data[:second] + comment + data[second:]
    assert end_of_jpeg(data) == len(data)
    assert end_of_jpeg(data + b"more") == len(data)
    assert end_of_jpeg(data[:-2]) is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1 << 18])
def test_jpeg_ends_at_the_first_of_several_eoi(count: int) -> None:
    for name in ("even", "odd"):
        image = JPEG if (len(JPEG) % 2 == 0) == (name == "even") else with_comment(JPEG, b"x")
        assert len(image) % 2 == (name == "odd")
        assert end_of_jpeg(image) == len(image)
        assert end_of_jpeg(image + b"x" * count + b"\xff\xd9") == len(image)


@pytest.mark.parametrize("coding", [{}, {"restart_marker_blocks": 9}], ids=["plain", "with restarts"])
def test_the_end_of_a_large_jpeg(tmp_path: Path, coding: dict[str, int]) -> None:
    large = encoded(photo(1500, 1800), "JPEG", **coding)
    assert found(tmp_path, large) == ()
    (trace,) = found(tmp_path, large + b"PK\x03\x04 more")
    assert (trace.id, trace.offset) == ("trailing_data", len(large))


def with_comment(data: bytes, text: bytes) -> bytes:
    """A JPEG with a comment behind SOI."""
    return data[:2] + b"\xff\xfe" + (2 + len(text)).to_bytes(2, "big") + text + data[2:]


def test_gif_with_frames_ends_at_its_trailer() -> None:
    file = io.BytesIO()
    IMAGE.save(file, "GIF", save_all=True, append_images=[photo(240, 230, 1)])
    assert end_of_gif(file.getvalue() + b"x") == len(file.getvalue())
    assert end_of_gif(file.getvalue()[:-1]) is None


@given(st.sampled_from([JPEG, PNG, encoded(IMAGE, "GIF"), encoded(IMAGE, "WEBP")]), st.binary(max_size=40))
def test_what_is_appended_never_moves_the_end(image: bytes, appended: bytes) -> None:
    end = image_end(image + appended)
    assert end is not None
    assert end.at == len(image)


@given(
    st.sampled_from([b"\xff\xd8\xff", PNG[:8], b"GIF89a", b"RIFF    WEBP", MP4[:12]]), st.binary(max_size=99)
)
def test_damaged_files_have_an_end_within_or_none(head: bytes, rest: bytes) -> None:
    end = image_end(head + rest)
    assert end is None or 0 < end.at <= len(head + rest)
