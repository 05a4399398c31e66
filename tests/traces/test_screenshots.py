"""Screenshots and Facebook's handling are read from exact fields, and sizes from a table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from sample_provenance import IPTC_URI, iptc, photoshop
from sample_provenance import xmp as xmp_packet

from sidscan.config import ScanConfig
from sidscan.isolation.reader import read_item
from sidscan.records import Item, Trace
from sidscan.traces.screen_sizes import screens

UUID = "3c11da99-9284-4863-b1d5-6f3684976814"
BASIC = ' xmlns:b="http://ns.adobe.com/xap/1.0/"'


def read(folder: Path, data: bytes, suffix: str = ".png") -> tuple[Trace, ...]:
    path = folder / f"a{suffix}"
    path.write_bytes(data)
    return read_item(Item(str(path)), ScanConfig(inputs=("a",))).facts.traces or ()


def png(
    size: tuple[int, int] = (9, 7), xmp: bytes = b"", exif: dict[int, Any] | None = None, **texts: str
) -> bytes:
    info, block = PngImagePlugin.PngInfo(), Image.Exif()
    for key, value in texts.items():
        info.add_text(key, value)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    block[274] = 1  # without a tag of its own, Pillow writes no directory at all
    for tag, value in (exif or {}).items():
        if tag in (37510, 42016):  # UserComment and ImageUniqueID belong to the Exif directory
            block.get_ifd(0x8769)[tag] = value
        else:
            block[tag] = value
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG", pnginfo=info, **({"exif": block} if exif else {}))
    return buffer.getvalue()


ANDROID = {305: "Android AP2A.240905.003", 42016: UUID}


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(png(exif={37510: b"ASCII\0\0\0Screenshot"}), "UserComment is Screenshot", id="EXIF"),
        pytest.param(
            png(xmp=xmp_packet("<x2:UserComment>Screenshot</x2:UserComment>")),
            "UserComment is Screenshot",
            id="XMP",
        ),
        pytest.param(png(Software="gnome-screenshot"), "Software is gnome-screenshot", id="GNOME"),
        pytest.param(
            png(xmp=xmp_packet(attributes=f'{BASIC} b:CreatorTool="gnome-screenshot"')),
            "CreatorTool is gnome-screenshot",
            id="GNOME, XMP",
        ),
        pytest.param(png(exif=ANDROID), "Software is a build of Android", id="Android"),
        pytest.param(
            png(xmp=xmp_packet(f"<e:DigitalSourceType>{IPTC_URI}screenCapture</e:DigitalSourceType>")),
            "the digital source type is screenCapture",
            id="IPTC",
        ),
    ],
)
def test_tools_for_screenshots(tmp_path: Path, data: bytes, detail: str) -> None:
    (trace,) = read(tmp_path, data)
    assert trace.id == "screenshot_software"
    assert trace.detail.startswith(detail)
    assert trace.value
    assert trace.offset > 8


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(exif={37510: b"ASCII\0\0\0Screenshot of a page"}), id="a sentence"),
        pytest.param(png(exif={37510: b"ASCII\0\0\0screenshot"}), id="another case"),
        pytest.param(png(exif={270: "Screenshot"}), id="a description"),
        pytest.param(png(Software="Screenshot"), id="another field"),
        pytest.param(png(Software="gnome-screenshot 3"), id="another value"),
        pytest.param(png(Comment="gnome-screenshot"), id="a comment"),
        pytest.param(png(exif={**ANDROID, 271: "Google"}), id="a camera app on Android"),
        pytest.param(png(exif={305: "Android 14"}), id="Android without a UUID"),
        pytest.param(png(exif={**ANDROID, 305: "Lightroom (Android)"}), id="an editor on Android"),
        pytest.param(
            png(xmp=xmp_packet("<o:UserComment>Screenshot</o:UserComment>")), id="another namespace"
        ),
    ],
)
def test_what_only_looks_like_one(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == ()


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ((1170, 2532), "an iPhone 12, 13 or 14"),
        ((2532, 1170), "an iPhone 12, 13 or 14"),
        ((1080, 2400), "an Android phone of 20:9"),
        ((1170, 2531), ""),
        ((1920, 1080), ""),
        ((1024, 768), ""),
        ((0, 0), ""),
    ],
)
def test_sizes_of_screens(size: tuple[int, int], names: str) -> None:
    assert screens(*size) == names


def test_a_png_of_the_size_of_a_screen(tmp_path: Path) -> None:
    (trace,) = read(tmp_path, png((2532, 1170)))
    assert trace == Trace(
        "screenshot_size", "2532 x 1170 pixels, the size of an iPhone 12, 13 or 14", "PNG IHDR", 8
    )


def test_a_camera_or_another_format_has_no_size_of_a_screen(tmp_path: Path) -> None:
    assert read(tmp_path, png((1170, 2532), exif={271: "Acme"})) == ()
    assert read(tmp_path, png((1170, 2532), exif={272: "Acme One"})) == ()
    buffer = io.BytesIO()
    Image.new("RGB", (1170, 2532)).save(buffer, "JPEG")
    assert read(tmp_path, buffer.getvalue(), ".jpg") == ()


def jpeg(*records: tuple[int, str]) -> bytes:
    block: bytes = b"Photoshop 3.0\x00" + photoshop(iptc(*records))
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7)).save(buffer, "JPEG")
    data = buffer.getvalue()
    return data[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]


def test_handled_by_facebook(tmp_path: Path) -> None:
    value = "FBMD01000a820d0000d14e0000"
    (trace,) = read(tmp_path, jpeg((80, "A. Author"), (40, value)), ".jpg")
    detail = "special instructions begin with FBMD, 26 characters"
    assert (trace.id, trace.detail, trace.value) == ("facebook_handling", detail, value)
    assert trace.container.startswith("IPTC in JPEG APP13")


@pytest.mark.parametrize(
    "record",
    [(40, "FBMD"), (40, "FBMD please credit"), (40, "See FBMD01000a820d"), (120, "FBMD01000a820d0000")],
)
def test_other_instructions(tmp_path: Path, record: tuple[int, str]) -> None:
    assert read(tmp_path, jpeg(record), ".jpg") == ()
