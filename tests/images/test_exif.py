"""EXIF of an image, and malformed EXIF."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import BinaryIO

import exifread
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


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    """A directory entry, little endian; ``value`` is four bytes, or fewer."""
    return struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")


RATIONAL, DOUBLE, ASCII, UNDEFINED = 5, 12, 2, 7  # TIFF 6.0, section 2


def gps_block(refs: tuple[bytes, bytes], kind: int, parts: Sequence[bytes], ref_kind: int = ASCII) -> bytes:
    """An EXIF block with a make and a position: the same numbers for both axes, as stored."""
    values = b"".join(parts)
    start = 8 + 2 + 2 * 12 + 4  # behind the first directory
    numbers = start + 2 + 4 * 12 + 4
    gps = struct.pack("<H", 4)
    for axis, ref in enumerate(refs):
        gps += entry(1 + 2 * axis, ref_kind, len(ref), ref)
        gps += entry(2 + 2 * axis, kind, len(parts), struct.pack("<I", numbers))
    first = struct.pack("<H", 2) + entry(0x010F, ASCII, 4, b"Acm\0")
    first += entry(0x8825, 4, 1, struct.pack("<I", start)) + bytes(4)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + gps + bytes(4) + values


def rationals(*fractions: tuple[int, int]) -> list[bytes]:
    return [struct.pack("<II", *fraction) for fraction in fractions]


DMS = rationals((33, 1), (51, 1), (24, 1))  # 33.8566667 degrees


def position_of(block: bytes) -> tuple[float | None, float | None, tuple[str, ...]]:
    data = encoded(photo(64, 64), "JPEG", exif=block)
    exif, flags = read_exif(decode(data), data)
    assert exif.make == "Acm", "the other tags stay"
    return exif.latitude, exif.longitude, flags


@pytest.mark.parametrize(
    ("refs", "sign"),
    [
        pytest.param((b"S\0", b"W\0"), -1, id="letters"),
        pytest.param((b"s\0", b"w\0"), -1, id="lower case"),
        pytest.param((b"n\0", b"e\0"), 1, id="lower case, north and east"),
        pytest.param((b" S\0", b"W \0"), -1, id="blanks"),
    ],
)
@pytest.mark.parametrize("kind", [ASCII, UNDEFINED, 1])
def test_the_hemisphere_is_read_whatever_its_spelling_and_type(
    refs: tuple[bytes, bytes], sign: int, kind: int
) -> None:
    position = position_of(gps_block(refs, RATIONAL, DMS, kind))
    assert position == (sign * 33.8566667, sign * 33.8566667, ())


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        pytest.param(RATIONAL, rationals((338566667, 10_000_000)), id="degrees"),
        pytest.param(RATIONAL, rationals((33, 1), (514, 10)), id="degrees, minutes"),
        pytest.param(RATIONAL, DMS, id="degrees, minutes, seconds"),
        pytest.param(DOUBLE, [struct.pack("<d", value) for value in (33.0, 51.0, 24.0)], id="doubles"),
    ],
)
def test_a_position_has_one_to_three_parts(kind: int, parts: list[bytes]) -> None:
    assert position_of(gps_block((b"N\0", b"W\0"), kind, parts)) == (33.8566667, -33.8566667, ())


@pytest.mark.parametrize(
    ("refs", "parts"),
    [
        pytest.param((b"N\0", b"\0\0"), DMS, id="no hemisphere"),
        pytest.param((b"X\0", b"E\0"), DMS, id="no such hemisphere"),
        pytest.param((b"E\0", b"N\0"), DMS, id="hemispheres exchanged"),
        pytest.param((b"N\0", b"E\0"), rationals((133, 1), (0, 1), (0, 1)), id="beyond the pole"),
        pytest.param((b"N\0", b"E\0"), rationals((33, 1), (51, 0), (24, 1)), id="divided by zero"),
        pytest.param((b"N\0", b"E\0"), rationals((33, 1), (75, 1), (24, 1)), id="75 minutes"),
        pytest.param((b"N\0", b"E\0"), rationals((1, 1), (1, 1), (1, 1), (1, 1)), id="four parts"),
    ],
)
def test_a_doubtful_position_is_flagged_and_never_guessed(
    refs: tuple[bytes, bytes], parts: list[bytes]
) -> None:
    assert position_of(gps_block(refs, RATIONAL, parts)) == (None, None, ("position_unreadable",))


def test_the_placeholder_of_a_camera_without_a_position_is_none() -> None:
    block = gps_block((b"\0\0", b"\0\0"), RATIONAL, rationals((0, 0), (0, 0), (0, 0)))
    assert position_of(block) == (None, None, ())


class BrokenList(list[object]):
    """Values that can't be read."""

    def __iter__(self) -> Iterator[object]:
        raise TypeError


UNREADABLE = SimpleNamespace(tag=1, field_type=3, values=BrokenList())


def read_tags(tags: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> tuple[Exif, tuple[str, ...]]:
    """EXIF of an image in which ExifRead finds these tags."""

    def found(file: BinaryIO, *, details: bool, extract_thumbnail: bool) -> dict[str, object]:
        return tags

    monkeypatch.setattr("sidscan.images.exif.exifread.process_file", found)
    data = encoded(photo(64, 64), "JPEG", exif=exif_block())
    return read_exif(decode(data), data)


def test_a_tag_that_cannot_be_read_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """ExifRead gives a bare number for some tags of maker notes."""
    exif, flags = read_tags(exif_tags(UNREADABLE), monkeypatch)
    assert (exif.make, exif.tags["MakerNote Number"]) == ("Acme", 7)
    assert (exif.unread_tags, flags) == (1, ("exif_incomplete",))


@pytest.mark.parametrize("name", ["Image Model", "Image Orientation", "GPS GPSLatitude"])
def test_a_column_that_cannot_be_read_costs_no_other(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exif, flags = read_tags({**exif_tags(UNREADABLE), name: UNREADABLE}, monkeypatch)
    assert (exif.make, exif.model, exif.orientation, exif.latitude) == ("Acme", None, None, None)
    assert (exif.unread_tags, flags) == (2, ("exif_incomplete",))


@pytest.mark.parametrize(("south", "west"), [("South", "West"), ("SOUTH", "west"), (" s ", " w ")])
def test_hemispheres_may_be_words(south: str, west: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tags: dict[str, object] = {
        "GPS GPSLatitudeRef": SimpleNamespace(tag=1, field_type=2, values=south),
        "GPS GPSLatitude": SimpleNamespace(tag=2, field_type=12, values=[(33.5,)]),
        "GPS GPSLongitudeRef": SimpleNamespace(tag=3, field_type=2, values=west),
        "GPS GPSLongitude": SimpleNamespace(tag=4, field_type=12, values=[(70.25,)]),
    }
    exif, flags = read_tags(tags, monkeypatch)
    assert (exif.latitude, exif.longitude, flags) == (-33.5, -70.25, ())


def exif_tags(odd: object) -> dict[str, object]:
    """Tags as ExifRead gives them."""
    return {
        "Image Make": SimpleNamespace(tag=0x010F, field_type=2, values="Acme"),
        "MakerNote Number": SimpleNamespace(tag=1, field_type=3, values=7),
        "MakerNote Bytes": SimpleNamespace(tag=2, field_type=7, values=[0] * 5000),
        "EXIF MakerNote": SimpleNamespace(tag=0x927C, field_type=7, values=[1] * 5000),
        "MakerNote Odd": odd,
    }


def test_bytes_of_maker_notes_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = exif_tags(SimpleNamespace(tag=3, field_type=7, values=[1, 2, 3, 4, 5]))
    exif, flags = read_tags(tags, monkeypatch)
    assert set(exif.tags) == {"Image Make", "MakerNote Number", "MakerNote Odd"}
    assert (exif.unread_tags, flags) == (0, ())


def test_a_maker_note_that_breaks_the_reader_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    original = exifread.process_file

    def with_details_fails(file: BinaryIO, *, details: bool, extract_thumbnail: bool) -> object:
        if details:
            raise IndexError
        return original(file, details=details, extract_thumbnail=extract_thumbnail)

    monkeypatch.setattr("sidscan.images.exif.exifread.process_file", with_details_fails)
    data = encoded(photo(64, 64), "JPEG", exif=exif_block())
    exif, flags = read_exif(decode(data), data)
    assert (exif.make, flags) == ("Acme", ("exif_incomplete",))


@pytest.mark.parametrize("byte_order", [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"])
def test_a_block_without_tags_is_no_fault(byte_order: bytes) -> None:
    data = encoded(photo(64, 64), "JPEG", exif=b"Exif\0\0" + byte_order + bytes(6))
    assert read_exif(decode(data), data) == (Exif(), ())


def png_with_text(name: str, text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(name, text)
    return encoded(photo(64, 64), "PNG", pnginfo=info)


@pytest.mark.parametrize("name", ["exif", "APP1"])
@pytest.mark.parametrize("before", [b"", b"Exif\0\0", b"\0\0"])
@pytest.mark.parametrize("behind", ["", "00ff00", "0"])
def test_exif_in_png_texts(name: str, before: bytes, behind: str) -> None:
    block = before + exif_block().removeprefix(b"Exif\0\0")
    text = f"\n{name.lower()}\n{len(block):8}\n{block.hex()}{behind}\n"
    data = png_with_text(f"Raw profile type {name}", text)
    exif, flags = read_exif(decode(data), data)
    assert (exif.make, exif.latitude, flags) == ("Acme", -33.8566667, ())


def test_xmp_in_a_png_text_is_no_exif() -> None:
    packet = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"
    data = png_with_text("Raw profile type APP1", f"\ngeneric profile\n{len(packet):8}\n{packet.hex()}\n")
    assert read_exif(decode(data), data) == (Exif(), ())


def test_big_tiff_has_exif_too() -> None:
    data = encoded(photo(64, 64), "TIFF", exif=exif_block(), big_tiff=True)
    assert data[:4] == b"II+\0"
    exif, flags = read_exif(decode(data), data)
    assert (exif.make, exif.original_date, flags) == ("Acme", "2021:02:03 04:05:06", ())
    assert (exif.latitude, exif.longitude) == (-33.8566667, 151.21)


def test_malformed_big_tiff_gives_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(photo(64, 64), "TIFF", exif=exif_block(), big_tiff=True)
    source = decode(data)

    def fails(_: Image.Image) -> object:
        raise KeyError

    monkeypatch.setattr(Image.Image, "getexif", fails)
    assert read_exif(source, data) == (Exif(), ("exif_unreadable",))
