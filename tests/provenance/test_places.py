"""The same statement is found wherever a format keeps it, and reported with its place."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from sample_images import encoded, photo
from sample_provenance import (
    GENERATED,
    PARTLY,
    action,
    app11,
    blocks,
    gif,
    heif,
    iptc,
    jpeg,
    jumb,
    manifest,
    photoshop,
    png,
    store,
    tiff,
    webp,
    xmp,
    xmp_jpeg,
)
from sample_provenance import exif as exif_block
from sample_psds import psd, resource

from sidscan.config import ReadLimits
from sidscan.containers.isobmff import find_box
from sidscan.provenance.blocks import Budget, MetadataLimit
from sidscan.provenance.places import has_reader, read_blocks
from sidscan.provenance.read import read_provenance

PIXELS = np.zeros((3, 4, 4), np.uint8)
LIMIT = 1 << 22
LIMITS = ReadLimits(max_metadata=LIMIT)
STORE = store(manifest("a", action(source=GENERATED)))
LARGE_STORE = store(manifest("a", action(source=GENERATED, pad=b"x" * 150_000)))
PACKET = xmp(f"<e:DigitalSourceType>{GENERATED}</e:DigitalSourceType>")
EXIF = exif_block(Make="Ideogram AI")
CREDIT = iptc((110, "Made with Google AI"))
RESOURCE = photoshop(CREDIT)
APP1_XMP, EXTENDED = b"http://ns.adobe.com/xap/1.0/\x00", b"http://ns.adobe.com/xmp/extension/\x00"


def extended(part_size: int) -> bytes:
    """A JPEG whose XMP is all in extended segments, the last part first."""
    guid, length = b"0123456789ABCDEF" * 2, struct.pack(">I", len(PACKET))
    segments = [
        (0xE1, EXTENDED + guid + length + struct.pack(">I", start) + PACKET[start : start + part_size])
        for start in range(0, len(PACKET), part_size)
    ]
    return jpeg(*reversed(segments))


def profile(kind: str, content: bytes) -> bytes:
    """A text as ImageMagick writes it: name, length, hexadecimal digits in lines."""
    digits = content.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    return (
        f"Raw profile type {kind}\x00".encode()
        + b"\x00"
        + zlib.compress(f"\n{kind}\n{len(content):8}\n{lines}\n".encode())
    )


@pytest.mark.parametrize(
    ("data", "container", "marker"),
    [
        pytest.param(jpeg(*app11(STORE)), "JPEG APP11", "c2pa-created", id="JPEG C2PA"),
        pytest.param(jpeg(*app11(LARGE_STORE)), "JPEG APP11", "c2pa-created", id="JPEG C2PA in parts"),
        pytest.param(
            jpeg(*reversed(app11(LARGE_STORE))), "JPEG APP11", "c2pa-created", id="parts in disorder"
        ),
        pytest.param(
            jpeg(*app11(jumb("other"), instance=1), *app11(STORE, instance=2)),
            "JPEG APP11",
            "c2pa-created",
            id="another instance",
        ),
        pytest.param(jpeg((0xE1, APP1_XMP + PACKET)), "XMP in JPEG APP1", "iptc-generated", id="JPEG XMP"),
        pytest.param(extended(100), "XMP in JPEG APP1 extended XMP", "iptc-generated", id="extended XMP"),
        pytest.param(
            jpeg((0xE1, b"Exif\x00\x00" + EXIF)), "EXIF in JPEG APP1", "ideogram-make", id="JPEG EXIF"
        ),
        pytest.param(
            jpeg((0xED, b"Photoshop 3.0\x00" + photoshop(CREDIT))),
            "IPTC in JPEG APP13",
            "google-made",
            id="JPEG IPTC",
        ),
        pytest.param(
            jpeg(
                (0xED, b"Photoshop 3.0\x00" + photoshop(CREDIT)[:9]),
                (0xED, b"Photoshop 3.0\x00" + photoshop(CREDIT)[9:]),
            ),
            "IPTC in JPEG APP13",
            "google-made",
            id="JPEG IPTC in parts",
        ),
        pytest.param(png((b"caBX", STORE)), "PNG caBX", "c2pa-created", id="PNG C2PA"),
        pytest.param(png(late=[(b"caBX", STORE)]), "PNG caBX", "c2pa-created", id="behind the pixels"),
        pytest.param(
            png((b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + PACKET)),
            "XMP in PNG iTXt",
            "iptc-generated",
            id="PNG XMP",
        ),
        pytest.param(
            png((b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + zlib.compress(PACKET))),
            "XMP in PNG iTXt",
            "iptc-generated",
            id="PNG XMP, compressed",
        ),
        pytest.param(
            png((b"zTXt", b"XML:com.adobe.xmp\x00\x00" + zlib.compress(PACKET))),
            "XMP in PNG zTXt",
            "iptc-generated",
            id="PNG XMP in zTXt",
        ),
        pytest.param(png((b"eXIf", EXIF)), "EXIF in PNG eXIf", "ideogram-make", id="PNG EXIF"),
        pytest.param(
            png((b"zTXt", profile("iptc", photoshop(CREDIT)))),
            "IPTC in PNG zTXt Raw profile type iptc",
            "google-made",
            id="PNG IPTC",
        ),
        pytest.param(
            png((b"zTXt", profile("iptc", CREDIT))),
            "IPTC in PNG zTXt Raw profile type iptc",
            "google-made",
            id="PNG IPTC without a resource",
        ),
        pytest.param(
            png((b"zTXt", profile("APP1", b"Exif\x00\x00" + EXIF))),
            "EXIF in PNG zTXt Raw profile type APP1",
            "ideogram-make",
            id="PNG EXIF as a profile",
        ),
        pytest.param(
            png((b"zTXt", profile("APP1", APP1_XMP + PACKET))),
            "XMP in PNG zTXt Raw profile type APP1",
            "iptc-generated",
            id="PNG XMP as a profile",
        ),
        pytest.param(webp((b"VP8L", b"x"), (b"C2PA", STORE)), "WebP C2PA", "c2pa-created", id="WebP C2PA"),
        pytest.param(webp((b"XMP ", PACKET)), "XMP in WebP XMP", "iptc-generated", id="WebP XMP"),
        pytest.param(
            webp((b"EXIF", b"Exif\x00\x00" + EXIF)), "EXIF in WebP EXIF", "ideogram-make", id="WebP EXIF"
        ),
        pytest.param(tiff({52545: (7, STORE)}), "TIFF tag 52545", "c2pa-created", id="TIFF C2PA"),
        pytest.param(tiff({700: (1, PACKET)}), "XMP in TIFF tag 700", "iptc-generated", id="TIFF XMP"),
        pytest.param(tiff({33723: (7, CREDIT)}), "IPTC in TIFF tag 33723", "google-made", id="TIFF IPTC"),
        pytest.param(
            tiff({34377: (1, RESOURCE)}),
            "IPTC in TIFF tag 34377",
            "google-made",
            id="TIFF resources",
        ),
        pytest.param(EXIF, "EXIF in TIFF", "ideogram-make", id="TIFF EXIF"),
        pytest.param(heif(block=STORE), "uuid box", "c2pa-created", id="HEIC C2PA"),
        pytest.param(heif(packet=PACKET), "XMP in HEIF item 1", "iptc-generated", id="HEIC XMP"),
        pytest.param(heif(packet=PACKET, idat=True), "XMP in HEIF item 1", "iptc-generated", id="HEIC idat"),
        pytest.param(heif(exif_block=EXIF), "EXIF in HEIF item 2", "ideogram-make", id="HEIC EXIF"),
        pytest.param(
            b"\x00\x00\x00\x0cJXL \r\n\x87\n" + STORE, "jumb box", "c2pa-created", id="JPEG XL C2PA"
        ),
        pytest.param(
            b"\x00\x00\x00\x0cJXL \r\n\x87\n" + struct.pack(">I", 8 + len(PACKET)) + b"xml " + PACKET,
            "XMP in xml box",
            "iptc-generated",
            id="JPEG XL XMP",
        ),
        pytest.param(
            psd(PIXELS, resources=resource(1000, b"x") + resource(0x0424, PACKET)),
            "XMP in PSD resource 0x0424",
            "iptc-generated",
            id="PSD XMP",
        ),
        pytest.param(
            psd(PIXELS, resources=resource(0x0422, EXIF), version=2),
            "EXIF in PSD resource 0x0422",
            "ideogram-make",
            id="PSB EXIF",
        ),
        pytest.param(
            psd(PIXELS, colours=bytes(768), resources=resource(0x0404, CREDIT)),
            "IPTC in PSD resource 0x0404",
            "google-made",
            id="PSD IPTC",
        ),
        pytest.param(
            gif(b"\xff\x0bC2PA_GIF\x01\x00\x00" + blocks(STORE)),
            "GIF C2PA_GIF",
            "c2pa-created",
            id="GIF C2PA",
        ),
        pytest.param(
            gif(b"\xff\x0bXMP DataXMP" + PACKET + b"\x01" + bytes(range(255, -1, -1)) + b"\x00"),
            "XMP in GIF XMP",
            "iptc-generated",
            id="GIF XMP",
        ),
    ],
)
def test_a_statement_is_found_where_the_format_keeps_it(data: bytes, container: str, marker: str) -> None:
    found = read_provenance(data, LIMITS)
    assert [(each.container, each.id) for each in found.markers] == [(container, marker)]
    assert has_reader(data)


def test_the_offset_is_that_of_the_block() -> None:
    data = png((b"caBX", STORE))
    (marker,) = read_provenance(data, LIMITS).markers
    assert data[marker.offset : marker.offset + len(STORE)] == STORE
    data = xmp_jpeg(f"<e:DigitalSourceType>{PARTLY}</e:DigitalSourceType>")
    (marker,) = read_provenance(data, LIMITS).markers
    assert data[marker.offset :].startswith(b"<?xpacket begin")


@pytest.mark.parametrize("data", [b"", b"BM", b"%PDF-1.7", b"GIF", b"RIFF1234WAVE", b"plain text"], ids=repr)
def test_other_files_have_no_reader_and_say_so(data: bytes) -> None:
    assert not has_reader(data)
    found = read_provenance(data, LIMITS)
    assert (found.verdict, found.by) == ("format_not_read", ("format-not-read",))


def test_the_format_that_is_not_read_is_named() -> None:
    (marker,) = read_provenance(encoded(photo(8, 8), "BMP"), LIMITS).markers
    assert marker.value == "sidscan reads no such metadata in BMP files"


def test_items_are_read_once_however_many_boxes_list_them() -> None:
    data = heif(packet=PACKET)
    box = find_box(data, b"meta")
    assert box
    repeated = data + data[box.start : box.end] * 3
    assert [each.id for each in read_provenance(repeated, LIMITS).markers] == ["iptc-generated"]


def test_metadata_beyond_the_limit_are_neither_copied_nor_silently_left_out() -> None:
    data = png((b"caBX", b"x" * 5000))
    with pytest.raises(MetadataLimit):
        list(read_blocks(data, Budget(4999)))
    assert len(list(read_blocks(data, Budget(5000)))) == 1
    packed = png((b"zTXt", b"parameters\x00\x00" + zlib.compress(b"x" * (1 << 24))))
    found = read_provenance(packed, ReadLimits(max_metadata=1 << 20))
    assert [(each.id, each.value) for each in found.markers] == [
        ("metadata-limit", "more metadata than --max-metadata allows")
    ]
