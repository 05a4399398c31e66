"""Files that end early: metadata that were begun and not finished are never called none."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from sample_images import encoded, photo
from sample_provenance import (
    GENERATED,
    action,
    app11,
    blocks,
    box,
    gif,
    heif,
    iptc,
    jpeg,
    manifest,
    photoshop,
    png,
    png_chunk,
    store,
    tiff,
    webp,
    xmp,
)
from sample_provenance import exif as exif_block
from sample_psds import psd, resource

from sidscan.provenance.read import read_provenance

STORE = store(manifest("a", action(source=GENERATED)))
PACKET = xmp(f"<e:DigitalSourceType>{GENERATED}</e:DigitalSourceType>")
EXIF = exif_block(Make="Ideogram AI")
CREDIT = iptc((110, "Made with Google AI"))
JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
SIDES = np.zeros((3, 4, 4), np.uint8)
PHOTO = encoded(photo(96, 96), "PNG")
ENDS_EARLY = "the file ends early; metadata behind that place are lost"

# A file, and the block of metadata within it.
BEGUN = [
    pytest.param(jpeg(*app11(STORE)), STORE, id="JPEG C2PA"),
    pytest.param(jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + PACKET)), PACKET, id="JPEG XMP"),
    pytest.param(jpeg((0xE1, b"Exif\x00\x00" + EXIF)), EXIF, id="JPEG EXIF"),
    pytest.param(jpeg((0xED, b"Photoshop 3.0\x00" + photoshop(CREDIT))), photoshop(CREDIT), id="JPEG IPTC"),
    pytest.param(jpeg((0xFE, b"Steps: 20, Sampler: Euler")), b"Steps: 20, Sampler: Euler", id="JPEG comment"),
    pytest.param(png((b"caBX", STORE)), STORE, id="PNG C2PA"),
    pytest.param(png(late=[(b"caBX", STORE)]), STORE, id="PNG C2PA behind the pixels"),
    pytest.param(png((b"eXIf", EXIF)), EXIF, id="PNG EXIF"),
    pytest.param(png((b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + PACKET)), PACKET, id="PNG XMP"),
    pytest.param(png((b"tEXt", b"AIGC\x00{}")), b"AIGC\x00{}", id="PNG text"),
    pytest.param(png((b"zTXt", b"AIGC\x00\x00abcdef")), b"AIGC\x00\x00abcdef", id="PNG zTXt"),
    pytest.param(webp((b"VP8L", b"xx"), (b"C2PA", STORE)), STORE, id="WebP C2PA"),
    pytest.param(webp((b"VP8L", b"xx"), (b"EXIF", EXIF)), EXIF, id="WebP EXIF"),
    pytest.param(webp((b"VP8L", b"xx"), (b"XMP ", PACKET)), PACKET, id="WebP XMP"),
    pytest.param(tiff({52545: (7, STORE)}), STORE, id="TIFF C2PA"),
    pytest.param(tiff({700: (1, PACKET)}), PACKET, id="TIFF XMP"),
    pytest.param(tiff({33723: (7, CREDIT)}), CREDIT, id="TIFF IPTC"),
    pytest.param(EXIF, b"Ideogram AI", id="TIFF EXIF"),
    pytest.param(heif(block=STORE), STORE, id="HEIC C2PA"),
    pytest.param(heif(packet=PACKET), PACKET, id="HEIC XMP"),
    pytest.param(heif(packet=PACKET, idat=True), PACKET, id="HEIC XMP in idat"),
    pytest.param(heif(exif_block=EXIF), EXIF, id="HEIC EXIF"),
    pytest.param(JXL + STORE, STORE[8:], id="JPEG XL C2PA"),
    pytest.param(JXL + box(b"xml ", PACKET), PACKET, id="JPEG XL XMP"),
    pytest.param(JXL + box(b"Exif", bytes(4), EXIF), EXIF, id="JPEG XL EXIF"),
    pytest.param(JXL + box(b"brob", b"xml ", b"packed"), b"xml packed", id="JPEG XL packed"),
    pytest.param(gif(b"\xff\x0bC2PA_GIF\x01\x00\x00" + blocks(STORE)), blocks(STORE), id="GIF C2PA"),
    pytest.param(
        gif(b"\xff\x0bXMP DataXMP" + PACKET + b"\x01" + bytes(range(255, -1, -1)) + b"\x00"),
        PACKET,
        id="GIF XMP",
    ),
    pytest.param(gif(b"\xfe" + blocks(b"AIGC and more")), blocks(b"AIGC and more"), id="GIF comment"),
    pytest.param(psd(SIDES, resources=resource(0x0424, PACKET)), PACKET, id="PSD XMP"),
    pytest.param(psd(SIDES, resources=resource(0x0422, EXIF)), EXIF, id="PSD EXIF"),
    pytest.param(psd(SIDES, resources=resource(0x0404, CREDIT)), CREDIT, id="PSD IPTC"),
]


@pytest.mark.parametrize(("data", "block"), BEGUN)
def test_metadata_begun_and_not_finished_are_told(data: bytes, block: bytes) -> None:
    start = data.index(block)
    assert start + len(block) <= len(data)
    for at in {start + len(block) * part // 16 for part in range(16)} | {start + len(block) - 1}:
        found = read_provenance(data[:at])
        unread = {marker.id for marker in found.markers if marker.verdict == "unreadable"}
        assert unread, f"cut at byte {at} of {len(data)}: {found}"
        assert found.verdict not in ("none", "no_ai_claim")


@pytest.mark.parametrize(
    ("data", "cut", "verdict", "reason"),
    [
        pytest.param(PHOTO, 0.5, "none", ENDS_EARLY, id="PNG, which may have metadata behind its pixels"),
        pytest.param(encoded(photo(96, 96), "JPEG"), 0.8, "none", "", id="JPEG, which has them before"),
        pytest.param(encoded(photo(96, 96), "JPEG"), 0.02, "none", ENDS_EARLY, id="JPEG headers"),
        pytest.param(encoded(photo(96, 96), "WEBP"), 0.5, "none", "", id="WebP without metadata"),
        pytest.param(
            encoded(photo(96, 96), "WEBP", xmp=PACKET),
            0.3,
            "unreadable",
            "the file ends before parts of it that hold metadata",
            id="WebP with metadata behind its pixels",
        ),
        pytest.param(encoded(photo(96, 96), "GIF"), 0.9, "none", ENDS_EARLY, id="GIF"),
        pytest.param(encoded(photo(96, 96), "TIFF"), 0.99, "none", "", id="TIFF pixels"),
        pytest.param(psd(SIDES), 0.9, "none", "", id="PSD pixels"),
        pytest.param(heif(packet=PACKET)[:20], 1, "unreadable", "", id="HEIC without its box meta"),
        pytest.param(JXL + box(b"jxlc", bytes(100)), 0.5, "none", ENDS_EARLY, id="JPEG XL"),
    ],
)
def test_a_file_that_ends_in_its_pixels_has_the_word_that_its_format_allows(
    data: bytes, cut: float, verdict: str, reason: str
) -> None:
    found = read_provenance(data[: int(cut * len(data))])
    assert found.verdict == verdict
    assert not reason or [marker.value for marker in found.markers] == [reason]
    assert verdict == "unreadable" or bool(reason) == bool(found.markers)


def test_what_was_read_before_the_cut_counts() -> None:
    packet = png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + PACKET)
    data = PHOTO[:33] + packet + PHOTO[33:60]
    found = read_provenance(data)
    assert (found.verdict, found.by) == ("ai_generated", ("iptc-generated", "part-not-read"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PHOTO, id="PNG"),
        pytest.param(PHOTO + b"trailing", id="PNG and more"),
        pytest.param(encoded(photo(96, 96), "JPEG") + bytes(50), id="JPEG and more"),
        pytest.param(encoded(photo(96, 96), "WEBP") + b"trailing bytes", id="WebP and more"),
        pytest.param(encoded(photo(96, 96), "GIF") + b"trailing", id="GIF and more"),
        pytest.param(encoded(photo(96, 96), "TIFF"), id="TIFF"),
        pytest.param(heif() + struct.pack(">I", 900) + b"\x00\x01\x02\x03more", id="HEIC and more"),
        pytest.param(psd(SIDES, resources=resource(1000, b"abc")), id="PSD"),
    ],
)
def test_whole_files_are_quiet(data: bytes) -> None:
    found = read_provenance(data)
    assert (found.verdict, found.markers) == ("none", ())
