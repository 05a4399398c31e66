"""The table of file signatures, tested through all its users: the walk, --save-dir and the decoder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sample_images import encoded, photo

from sidscan.config import ScanConfig
from sidscan.fetch.saved import save_download
from sidscan.images import decode, formats, jpeg_xl
from sidscan.images.errors import FormatNotRead
from sidscan.sources import open_sources
from sidscan.sources.members import NOT_AN_IMAGE
from sidscan.util.magic import (
    FILE_FORMATS,
    IMAGE_FORMATS,
    SIGNATURE_BYTES,
    FileFormat,
    FileKind,
    identify,
    identify_file,
    identify_name,
)


def iso_base_media(brand: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body


# All signatures of the table, written out independently of its patterns.
HEADS: dict[str, list[bytes]] = {
    "JPEG": [b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xdb"],
    "PNG": [b"\x89PNG\r\n\x1a\n"],
    "WEBP": [b"RIFF\x0a\x0a\x00\x00WEBPVP8 "],
    "TIFF": [b"II*\x00\x08\x00\x00\x00", b"MM\x00*\x00\x00\x00\x08", b"II+\x00\x08\x00", b"MM\x00+\x00\x08"],
    "BMP": [
        b"BM\x0a\x01\x00\x00\x00\x00\x00\x006\x00\x00\x00",
        b"BM\x0a\x01\x00\x00made6\x00\x00\x00\x28\x00\x00\x00",
    ],
    "GIF": [b"GIF87a", b"GIF89a"],
    "AVIF": [
        *(iso_base_media(brand) for brand in (b"avif", b"avis")),
        iso_base_media(b"mif1", b"miaf", b"avif"),
    ],
    "HEIF": [
        iso_base_media(brand)
        for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    ],
    "JPEG2000": [
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + iso_base_media(b"jp2 "),
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + iso_base_media(b"jpx "),
        b"\xff\x4f\xff\x51\x00\x2f",
    ],
    "PSD": [b"8BPS\x00\x01" + bytes(6)],
    "JXL": [b"\xff\x0a\xd8\x31", b"\x00\x00\x00\x0cJXL \r\n\x87\n"],
    "CR2": [b"II*\x00\x10\x00\x00\x00CR\x02\x00"],
    "CR3": [iso_base_media(b"crx ", b"crx ", b"isom")],
    "CRW": [b"II\x1a\x00\x00\x00HEAPCCDR"],
    "RAF": [b"FUJIFILMCCD-RAW 0201"],
    "RW2": [b"IIU\x00\x18\x00\x00\x00"],
    "ORF": [b"IIRO\x08\x00\x00\x00", b"IIRS\x08\x00\x00\x00", b"MMOR\x00\x00\x00\x08"],
    "X3F": [b"FOVb\x00\x00\x02\x00"],
    "MRW": [b"\x00MRM\x00\x00\x01\x00"],
    "PSB": [b"8BPS\x00\x02" + bytes(6)],
    "MIAF": [
        iso_base_media(brand) for brand in (b"avci", b"jpeg", b"j2ki", b"vvic", b"evbi", b"miaf", b"MiHB")
    ],
    "JPEGXR": [b"II\xbc\x01\x20\x00\x00\x00"],
    "BPG": [b"BPG\xfb\x00"],
    "FLIF": [b"FLIF31"],
    "ICO": [b"\x00\x00\x01\x00\x01\x00\x20\x20\x00\x00\x01\x00\x20\x00"],
    "CUR": [b"\x00\x00\x02\x00\x01\x00\x20\x20\x00\x00\x01\x00\x01\x00"],
    "ICNS": [b"icns\x00\x00\x10\x00"],
    "DDS": [b"DDS \x7c\x00\x00\x00"],
    "KTX": [b"\xabKTX 11\xbb\r\n\x1a\n", b"\xabKTX 20\xbb\r\n\x1a\n"],
    "EXR": [b"\x76\x2f\x31\x01\x02\x00\x00\x00"],
    "HDR": [b"#?RADIANCE\n", b"#?RGBE\n"],
    "QOI": [b"qoif\x00\x00\x00\x10\x00\x00\x00\x10\x03\x00"],
    "FITS": [b"SIMPLE  =                    T"],
    "DICOM": [bytes(128) + b"DICM"],
    "CZI": [b"ZISRAWFILE\x00\x00"],
    "XCF": [b"gimp xcf v011\x00"],
    "PSP": [b"Paint Shop Pro Image File\n\x1a"],
    "PDN": [b"PDN3\x00\x01"],
    "CLIP": [b"CSFCHUNK\x00\x00"],
    "PNM": [b"P6\n16 16\n255\n", b"P5 # made by hand\n16 16 255\n", b"P7\nWIDTH 16\n", b"PF\n16 16\n-1.0\n"],
    "PCX": [b"\x0a\x05\x01\x08\x00\x00"],
    "SGI": [b"\x01\xda\x01\x01\x00\x03\x00\x10"],
    "SUN": [b"\x59\xa6\x6a\x95\x00\x00"],
    "DPX": [b"SDPX\x00\x00\x08\x00", b"XPDS\x00\x08\x00\x00"],
    "MNG": [b"\x8aMNG\r\n\x1a\n", b"\x8bJNG\r\n\x1a\n"],
    "IFF": [b"FORM\x00\x00\x10\x00ILBMBMHD"],
    "XPM": [b"/* XPM */\nstatic char"],
    "QUICKTIME": [iso_base_media(b"qt  "), b"\x00\x00\x10\x00moov\x00\x00", b"\x00\x00\x00\x08wide\x00\x00"],
    "MP4": [iso_base_media(brand) for brand in (b"isom", b"mp42", b"avc1", b"3gp5", b"M4V ")],
    "AVI": [b"RIFF\x0a\x0a\x00\x00AVI LIST"],
    "MATROSKA": [b"\x1a\x45\xdf\xa3\x9f\x42"],
    "MPEG": [b"\x00\x00\x01\xba\x44", b"\x00\x00\x01\xb3\x14", 2 * (b"\x47" + bytes(187)) + b"\x47"],
    "ASF": [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"],
    "FLV": [b"FLV\x01\x05"],
    "OGV": [b"OggS\x00\x02" + bytes(22) + b"\x80theora"],
    "MXF": [b"\x06\x0e\x2b\x34\x02\x05\x01\x01"],
    "REALMEDIA": [b".RMF\x00\x00"],
    "ZIP": [b"PK\x03\x04\x14\x00", b"PK\x05\x06\x00\x00"],
    "7Z": [b"7z\xbc\xaf\x27\x1c\x00\x04"],
    "RAR": [b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"],
    "TAR": [b"a.jpg".ljust(257, b"\x00") + b"ustar\x0000"],
    "GZIP": [b"\x1f\x8b\x08\x00"],
    "BZIP2": [b"BZh91AY&SY"],
    "XZ": [b"\xfd7zXZ\x00"],
    "ZSTD": [b"\x28\xb5\x2f\xfd\x04"],
    "LZ4": [b"\x04\x22\x4d\x18"],
    "CAB": [b"MSCF\x00\x00\x00\x00"],
    "LZH": [b"\x1e\x00-lh5-"],
    "ISO": [b"KDMV\x01\x00\x00\x00"],
    "PARQUET": [b"PAR1\x15\x04"],
    "WARC": [b"WARC/1.0\r\n"],
    "PDF": [b"%PDF-1.7\n", b"\xef\xbb\xbf%PDF-1.4\n"],
    "OLE": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
    "DJVU": [b"AT&TFORM\x00\x00\x10\x00DJVUINFO"],
    "RTF": [b"{\\rtf1\\ansi"],
    "MOBI": [b"a book".ljust(60, b"\x00") + b"BOOKMOBI"],
    "INDD": [b"\x06\x06\xed\xf5\xd8\x1d\x46\xe5\xbd\x31\xef\xe7\xfe\x74\xb7\x1d"],
    "SVG": [b"<svg xmlns='http://www.w3.org/2000/svg'>", b"<?xml version='1.0'?>\n<!-- a map -->\n<svg\n"],
    "EPS": [b"%!PS-Adobe-3.0 EPSF-3.0", b"\xc5\xd0\xd3\xc6\x1e\x00"],
    "EMF": [b"\x01\x00\x00\x00" + bytes(36) + b" EMF"],
    "WMF": [b"\xd7\xcd\xc6\x9a\x00\x00"],
    "DWG": [b"AC1032\x00\x00"],
    "CDR": [b"RIFF\x0a\x0a\x00\x00CDRAvrsn"],
}
CASES = [
    pytest.param(known, head + b"rest of the file", id=f"{known.name} {head[:12]!r}")
    for known in FILE_FORMATS
    for head in HEADS.get(known.name, [])
]
READ_OR_RAW = {FileKind.IMAGE, FileKind.RAW}
NOT_IMAGES = [
    pytest.param(b"", id="empty"),
    pytest.param(b"BMW and other makes, a list of cars", id="text that begins with BM"),
    pytest.param(b"BM", id="two bytes"),
    pytest.param(b"II* is not a TIFF", id="text that begins with II"),
    pytest.param(b"P6 is a format of images", id="text that begins with P6"),
    pytest.param(b"GIF88a....", id="a GIF without a version"),
    pytest.param(b"RIFF....WAVEfmt ", id="sound in RIFF"),
    pytest.param(iso_base_media(b"M4A "), id="sound in MP4"),
    pytest.param(b"OggS\x00\x02" + bytes(22) + b"\x01vorbis", id="sound in Ogg"),
    pytest.param(b"<html>", id="HTML"),
    pytest.param(b"<?xml version='1.0'?>\n<map>", id="XML"),
    pytest.param(b"\x00" * 600, id="zeros"),
]


def skips(folder: Path) -> dict[str, str]:
    """Why a walk skips each file, by name."""
    return {Path(item.name).name: item.skip for item in open_sources(ScanConfig(inputs=(str(folder),)))}


def failure(data: bytes, name: str = "") -> FormatNotRead:
    with pytest.raises(FormatNotRead) as error:
        decode.decode(data, name=name)
    return error.value


def test_the_cases_cover_the_table() -> None:
    signed = {known.name for known in FILE_FORMATS if known.signature}
    assert not signed - HEADS.keys(), "add the first bytes of these to HEADS above"
    assert signed >= HEADS.keys()
    suffixes = [suffix for known in FILE_FORMATS for suffix in known.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert len({known.name for known in FILE_FORMATS}) == len(FILE_FORMATS)
    assert {known.within for known in FILE_FORMATS} <= {known.name for known in FILE_FORMATS} | {""}


@pytest.mark.parametrize(("file_format", "data"), CASES)
def test_first_bytes_decide_whatever_the_name(tmp_path: Path, file_format: FileFormat, data: bytes) -> None:
    assert identify(data[:SIGNATURE_BYTES]) is file_format
    names = ("unnamed", "a.txt", "a.unknown")
    for name in names:
        (tmp_path / name).write_bytes(data)
    skip = file_format.not_opened if file_format.kind.may_hold_images else ""
    assert skips(tmp_path) == dict.fromkeys(names, skip)


@pytest.mark.parametrize(("file_format", "data"), CASES)
def test_saved_downloads_of_images_get_a_suffix(tmp_path: Path, file_format: FileFormat, data: bytes) -> None:
    saved = save_download(data, hashlib.sha256(data).hexdigest(), tmp_path)
    assert saved.suffix == ("" if file_format.kind.may_hold_images else file_format.suffixes[0])


@pytest.mark.parametrize(
    ("file_format", "data"),
    [case for case in CASES if case.values[0].kind not in READ_OR_RAW],  # type: ignore[union-attr]
)
def test_the_decoder_names_what_it_does_not_read(file_format: FileFormat, data: bytes) -> None:
    for name in ("", "a.jpg"):  # a video that is named as an image, too
        error = failure(data, name)
        assert str(error).startswith(f"{file_format.noun}: ")
        assert error.format == file_format.name


@pytest.mark.parametrize("file_format", FILE_FORMATS, ids=lambda known: known.name)
def test_a_walk_knows_every_suffix(tmp_path: Path, file_format: FileFormat) -> None:
    names = [f"a{suffix}" for suffix in (*file_format.suffixes, file_format.suffixes[0].upper())]
    for name in names:
        (tmp_path / name).write_bytes(b"anything")
    packed = file_format.kind.may_hold_images and file_format.within
    skip = NOT_AN_IMAGE if packed else file_format.not_opened if file_format.kind.may_hold_images else ""
    assert skips(tmp_path) == dict.fromkeys(names, skip)


@pytest.mark.parametrize(
    "file_format",
    [known for known in FILE_FORMATS if known.kind in (FileKind.UNREAD, FileKind.RAW)],
    ids=lambda known: known.name,
)
def test_an_image_by_its_name_alone_fails_and_is_named(file_format: FileFormat) -> None:
    error = failure(b"anything", f"a{file_format.suffixes[-1].upper()}")
    assert str(error).startswith(f"by its name {file_format.noun}, by its first bytes unknown: ")
    assert error.format == file_format.name


@pytest.mark.parametrize(
    ("name", "container", "expected"),
    [
        pytest.param("a.docx", "ZIP", "DOCX", id="Word in ZIP"),
        pytest.param("a.kra", "ZIP", "KRA", id="Krita in ZIP"),
        pytest.param("a.xls", "OLE", "XLS", id="Excel in OLE"),
        pytest.param("a.ai", "PDF", "AI", id="Illustrator in PDF"),
        pytest.param("a.pdf", "ZIP", "ZIP", id="another name than the bytes"),
        pytest.param("a.doc", "ZIP", "ZIP", id="the name of another container"),
        pytest.param("a.jpg", "ZIP", "ZIP", id="an image's name"),
        pytest.param("docx", "ZIP", "ZIP", id="no suffix"),
    ],
)
def test_names_decide_only_within_a_container(name: str, container: str, expected: str) -> None:
    known = identify_file(name, HEADS[container][0])
    assert known is not None
    assert known.name == expected


def test_a_tga_is_known_by_its_footer(tmp_path: Path) -> None:
    data = encoded(photo(8, 8), "TGA") + bytes(8) + b"TRUEVISION-XFILE.\x00"
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "unnamed").write_bytes(data)
    assert skips(tmp_path) == {"a.jpg": "", "unnamed": ""}
    assert str(failure(data, "a.jpg")) == ("a TGA image: this format is not read; convert it to PNG or TIFF")


@pytest.mark.parametrize("data", NOT_IMAGES)
def test_other_files_match_no_signature(tmp_path: Path, data: bytes) -> None:
    assert identify(data) is None
    (tmp_path / "unnamed").write_bytes(data)
    assert skips(tmp_path) == {"unnamed": NOT_AN_IMAGE}
    assert save_download(data, hashlib.sha256(data).hexdigest(), tmp_path).suffix == ""


@pytest.mark.parametrize(("name", "package"), [("HEIF", "pillow-heif"), ("JXL", "imagecodecs")])
def test_the_decoder_names_the_missing_package(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    monkeypatch.setattr(formats, "heif_available", lambda: False)
    monkeypatch.setattr(jpeg_xl, "is_available", lambda: False)
    for head in HEADS[name]:
        error = failure(head)
        assert str(error).endswith(f"needs one package more: pip install {package}; then run the scan again")
        assert error.format == name
    assert name not in formats.supported_formats()


def test_pillow_knows_the_formats_by_these_names() -> None:
    from PIL import Image

    decode.warm_up()
    assert set(formats.pillow_formats()) <= Image.OPEN.keys()
    assert set(formats.supported_formats()) >= {known.name for known in IMAGE_FORMATS} - {"HEIF", "JXL"}
    assert identify_name("A.JPG") is identify_name("b.jpeg")
