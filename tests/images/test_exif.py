"""EXIF of an image, and malformed EXIF."""

from __future__ import annotations

import json

import pytest
from PIL import Image, PngImagePlugin
from sample_images import encoded, exif_block, photo

from sidscan.images.decode import decode
from sidscan.images.exif import read_exif
from sidscan.records import Exif


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_camera_tags_are_read(image_format: str) -> None:
    data = encoded(photo(64, 64), image_format, exif=exif_block())
    exif, flags = read_exif(decode(data), data)
    assert flags == ()
    assert (exif.make, exif.model, exif.lens) == ("Acme", "Acme One", "Acme 35mm f/2")
    assert (exif.original_date, exif.software) == ("2021:02:03 04:05:06", "Acme Raw 2.1")
    assert exif.orientation == 6
    assert (exif.latitude, exif.longitude) == (-33.8566667, 151.21)
    assert exif.tags["GPS GPSLatitude"] == ["33/1", "51/1", "24/1"]
    json.dumps(dict(exif.tags), allow_nan=False)


def test_exif_in_a_png_text_profile() -> None:
    block = exif_block()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    data = encoded(photo(64, 64), "PNG", pnginfo=text)
    assert read_exif(decode(data), data)[0].make == "Acme"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"ASCII\x00\x00\x00a castle", "a castle", id="ascii"),
        pytest.param(b"UNICODE\x00" + "a castle, 城".encode("utf-16-be"), "a castle, 城", id="big endian"),
        pytest.param(b"UNICODE\x00" + "a castle, 城".encode("utf-16-le"), "a castle, 城", id="little endian"),
        pytest.param(b"\x00" * 8 + b"a castle", "a castle", id="undefined"),
        pytest.param(b"JIS\x00\x00\x00\x00\x00\xff", "4a49530000000000ff", id="other codes stay bytes"),
    ],
)
def test_comments_are_text(raw: bytes, expected: str) -> None:
    block = Image.Exif()
    block.get_ifd(0x8769)[0x9286] = raw
    data = encoded(photo(64, 64), "JPEG", exif=block.tobytes())
    assert read_exif(decode(data), data)[0].tags["EXIF UserComment"] == expected


def test_text_that_is_not_utf8_stays_visible() -> None:
    block = Image.Exif()
    block[0x010F] = b"caf\xe9"
    data = encoded(photo(64, 64), "JPEG", exif=block.tobytes())
    make = read_exif(decode(data), data)[0].make
    assert make is not None
    assert make.startswith("caf")
    assert "b'" not in make


def test_no_exif_gives_no_flag() -> None:
    data = encoded(photo(64, 64), "JPEG")
    assert read_exif(decode(data), data) == (Exif(), ())


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"Exif\x00\x00" + b"MM\x00*\xff\xff\xff\xff", id="offset outside"),
        pytest.param(b"Exif\x00\x00garbage that is no TIFF header", id="no header"),
        pytest.param(b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff", id="entries missing"),
    ],
)
def test_malformed_exif_does_not_prevent_decoding(block: bytes) -> None:
    data = encoded(photo(64, 64), "JPEG", exif=block)
    exif, flags = read_exif(decode(data), data)
    assert (exif, flags) == (Exif(), ("exif_unreadable",))


def test_impossible_position_is_not_reported() -> None:
    broken = Image.Exif()
    position = broken.get_ifd(0x8825)
    position[1], position[2] = "N", (133.0, 0.0, 0.0)
    position[3], position[4] = "E", (10.0, 0.0, 0.0)
    data = encoded(photo(64, 64), "JPEG", exif=broken.tobytes())
    exif, _ = read_exif(decode(data), data)
    assert (exif.latitude, exif.longitude) == (None, None)
