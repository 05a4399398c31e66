"""The table of file signatures, tested through all its users: the walk, --save-dir and the decoder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sidscan.config import ScanConfig
from sidscan.fetch.saved import save_download
from sidscan.images import decode
from sidscan.sources import open_sources
from sidscan.sources.paths import NOT_AN_IMAGE
from sidscan.util.magic import IMAGE_FORMATS, IMAGE_SUFFIXES, SIGNATURE_BYTES, ImageFormat, identify


def iso_base_media(brand: bytes) -> bytes:
    return b"\x00\x00\x00\x18ftyp" + brand + bytes(4)


# All signatures of the table, written out independently of its patterns.
HEADS = {
    "JPEG": [b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb"],
    "PNG": [b"\x89PNG\r\n\x1a\n"],
    "WEBP": [b"RIFF\x0a\x0a\x00\x00WEBPVP8 "],
    "TIFF": [b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08"],
    "BMP": [b"BM\x0a\x01\x00\x00\x00\x00\x00\x006\x00\x00\x00"],
    "GIF": [b"GIF87a", b"GIF89a"],
    "AVIF": [iso_base_media(brand) for brand in (b"avif", b"avis")],
    "HEIF": [
        iso_base_media(brand)
        for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    ],
}
CASES = [
    pytest.param(known, head + b"rest of the file", id=f"{known.name} {head[:12]!r}")
    for known in IMAGE_FORMATS
    for head in HEADS.get(known.name, [])
]
NOT_IMAGES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"BMW and other makes, a list of cars", id="text that begins with BM"),
    pytest.param(b"BM", id="two bytes"),
    pytest.param(b"II* is not a TIFF", id="text that begins with II"),
    pytest.param(b"GIF88a....", id="a GIF without a version"),
    pytest.param(b"RIFF....WAVEfmt ", id="sound"),
    pytest.param(iso_base_media(b"qt  "), id="film"),
    pytest.param(b"<html>", id="HTML"),
    pytest.param(b"%PDF-1.7", id="PDF"),
]


def skips(folder: Path) -> dict[str, str]:
    """Why a walk skips each file, by name."""
    return {Path(item.name).name: item.skip for item in open_sources(ScanConfig(inputs=(str(folder),)))}


def test_the_cases_cover_the_table() -> None:
    missing = {known.name for known in IMAGE_FORMATS} - HEADS.keys()
    assert not missing, f"add first bytes of {', '.join(sorted(missing))} to HEADS above"
    assert HEADS.keys() <= {known.name for known in IMAGE_FORMATS}
    assert len(set(IMAGE_SUFFIXES)) == len(IMAGE_SUFFIXES)
    assert all(known.saved_suffix in known.suffixes for known in IMAGE_FORMATS)


@pytest.mark.parametrize(("image_format", "data"), CASES)
def test_a_walk_and_a_saved_download_recognise_the_format(
    tmp_path: Path, image_format: ImageFormat, data: bytes
) -> None:
    assert identify(data[:SIGNATURE_BYTES]) is image_format
    (tmp_path / "unnamed").write_bytes(data)
    assert skips(tmp_path) == {"unnamed": ""}
    saved = save_download(data, hashlib.sha256(data).hexdigest(), tmp_path)
    assert saved.suffix == image_format.saved_suffix


@pytest.mark.parametrize("image_format", IMAGE_FORMATS, ids=lambda known: known.name)
def test_a_walk_knows_every_suffix(tmp_path: Path, image_format: ImageFormat) -> None:
    names = [f"a{suffix}" for suffix in (*image_format.suffixes, image_format.suffixes[0].upper())]
    for name in names:
        (tmp_path / name).write_bytes(b"anything")
    assert skips(tmp_path) == dict.fromkeys(names, "")


@pytest.mark.parametrize("data", NOT_IMAGES)
def test_other_files_match_no_signature(tmp_path: Path, data: bytes) -> None:
    assert identify(data) is None
    (tmp_path / "unnamed").write_bytes(data)
    assert skips(tmp_path) == {"unnamed": NOT_AN_IMAGE}
    assert save_download(data, hashlib.sha256(data).hexdigest(), tmp_path).suffix == ""


@pytest.mark.parametrize(("image_format", "data"), CASES)
def test_the_decoder_names_the_missing_extra_for_heic_only(
    monkeypatch: pytest.MonkeyPatch, image_format: ImageFormat, data: bytes
) -> None:
    monkeypatch.setattr(decode, "_heif_available", lambda: False)
    assert ("pip install pillow-heif" in decode._unidentified_message(data)) is (image_format.name == "HEIF")
    assert "HEIF" not in decode.supported_formats()


def test_pillow_knows_the_formats_by_these_names() -> None:
    from PIL import Image

    decode.warm_up()
    assert set(decode.supported_formats()) <= Image.OPEN.keys()
    assert set(decode.supported_formats()) >= {known.name for known in IMAGE_FORMATS} - {"HEIF"}
