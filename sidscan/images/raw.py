"""Camera raw files: what they are, how large the photograph is, and where their largest preview lies.

A raw file has no pixels to score: its samples are measurements behind a colour filter, and a program
develops them. Cameras store a JPEG of their own making beside them. It is scored with the flag ``preview``,
or LibRaw develops the file if that is asked for (`develop`).
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice

from PIL import Image

from sidscan.config import ReadLimits
from sidscan.containers import tiff_directories as tiff
from sidscan.containers.isobmff import C2PA_UUID, XMP_UUID, boxes, content
from sidscan.containers.jpeg import end_of_jpeg
from sidscan.containers.tiff_directories import Page, read_pages
from sidscan.containers.tiff_file import HEADERS
from sidscan.images.errors import FormatNotRead
from sidscan.images.limits import check_size
from sidscan.util.magic import FILE_FORMATS, FileFormat, FileKind, identify, identify_name

_CFA, _LINEAR_RAW = 32803, 34892  # photometric interpretations: TIFF/EP 6.3.4, DNG 1.7
_DNG_VERSION, _CFA_PATTERN = 50706, 33422
_PHASE_ONE = (b"IIII", b"MMMM")  # at offset 8, where its own directory begins
# Sony, Pentax, Samsung, Samsung, Nikon, lossy DNG, Pentax, Kodak
_RAW_COMPRESSIONS = {32767, 32769, 32770, 32772, 34713, 34892, 65535, 65000}
_MAKES = {"NIKON": "NEF", "SONY": "ARW", "PENTAX": "PEF", "RICOH": "PEF", "SAMSUNG": "SRW", "KODAK": "DCR",
          "EASTMAN": "DCR", "HASSELBLAD": "3FR", "PHASE": "IIQ", "LEAF": "MOS", "MAMIYA": "MEF",
          "SEIKO": "ERF", "CANON": "CR2", "OLYMPUS": "ORF", "PANASONIC": "RW2", "LEICA": "RWL"}  # fmt: skip
_GPS_IFD = 34853
_TIFF_ORDERS = {b"II": b"II*\x00", b"MM": b"MM\x00*"}
_NOUNS = {known.name: known.noun for known in FILE_FORMATS}
_DEVELOP = "develop it with --develop-raw, or export it as JPEG or TIFF"
_JPEG_START = re.compile(rb"\xff\xd8\xff")
_JPEG_SEGMENT = re.compile(rb"\xff+([\xc0-\xcf\xda-\xfe])(..)", re.DOTALL)
_READ_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; others are lossless or arithmetic
_ALL_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA
_METADATA_TAGS = (tiff.C2PA, tiff.XMP, tiff.IPTC, tiff.PHOTOSHOP)  # not maker notes, which hold previews
_METADATA_UUIDS = (C2PA_UUID, XMP_UUID)
FORMATS = ("RAW", *(known.name for known in FILE_FORMATS if known.kind is FileKind.RAW))
"""Names of formats that a raw file may have here."""
_MOST_STREAMS, _MOST_SEGMENTS, _MOST_BOXES = 1000, 200, 4096


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file whose photograph is not in what Pillow would open.

    Attributes:
        format: its name in reports, e.g. ``NEF``; ``TIFF`` where only its first directory is a small copy.
        size: of the photograph, pixels; None if it is not known.
        preview: the bytes of its largest JPEG; empty if there is none.
        first_page_area: pixels of the first directory, if Pillow may open that as a preview; else 0.
    """

    format: str
    size: tuple[int, int] | None
    preview: bytes
    first_page_area: int = 0

    @property
    def without_preview(self) -> str:
        """What a row says of a file without a preview that can be read."""
        noun = _NOUNS.get(self.format, "a camera raw file")
        return f"{noun} without a preview that can be read; {_DEVELOP}"


def inspect(data: bytes, name: str = "") -> RawFile | None:
    """What a raw file holds; None for any other file.

    Args:
        name: of the file; it tells a few kinds that their bytes do not.
    """
    known = identify(data)
    if known is None or (known.kind is not FileKind.RAW and known.name != "TIFF"):
        return None
    if data[:2] not in (b"II", b"MM") or known.name == "CRW":
        return RawFile(
            known.name, _size_outside_tiff(known.name, data), _largest_jpeg(data, _uuid_spans(data))
        )
    pages = read_pages(_with_tiff_head(data))
    if known.name == "TIFF" and not _hides_the_photograph(pages, data, name):
        return None
    return _inspect_tiff(pages, data, known)


def _inspect_tiff(pages: Sequence[Page], data: bytes, known: FileFormat) -> RawFile:
    raw_pages = [page for page in pages if _is_raw(page)]
    raw_data = {offset for page in raw_pages for tag in _DATA_OFFSETS for offset in page.numbers(tag)}
    first = pages[0] if pages else None
    opens = first is not None and known.name == "TIFF" and _opens(first)
    return RawFile(
        format=known.name if known.name != "TIFF" else _name(pages, data, bool(raw_pages)),
        size=_size_in_tiff(pages, raw_pages, known.name),
        preview=_largest_jpeg(data, _tag_spans(pages), raw_data),
        first_page_area=first.area if first is not None and opens else 0,
    )


_DATA_OFFSETS = (tiff.STRIP_OFFSETS, tiff.TILE_OFFSETS)


def _is_raw(page: Page) -> bool:
    """Whether a directory describes samples that are to be developed."""
    return (
        page.number(tiff.PHOTOMETRIC) in (_CFA, _LINEAR_RAW)
        or page.number(tiff.COMPRESSION) in _RAW_COMPRESSIONS
        or _CFA_PATTERN in page
    )


def _opens(page: Page) -> bool:
    """Whether Pillow reads its samples: grey, RGB, palette, CMYK, YCbCr, Lab (TIFF 6.0)."""
    return not _is_raw(page) and page.number(tiff.PHOTOMETRIC) in (0, 1, 2, 3, 5, 6, 8)


def _hides_the_photograph(pages: Sequence[Page], data: bytes, name: str) -> bool:
    """Whether a TIFF file has more of its photograph elsewhere than in its first directory."""
    if not pages:
        return False
    first, by_name = pages[0], identify_name(name)
    if _DNG_VERSION in first or any(map(_is_raw, pages)):
        return True
    if any(page.is_child and page.area > first.area and not _opens(page) for page in pages):
        return True
    named_raw = by_name is not None and by_name.kind is FileKind.RAW
    if not named_raw and data[8:12] not in _PHASE_ONE:
        return False
    return 2 * sum(first.numbers(tiff.STRIP_BYTE_COUNTS)) < len(data)


def _name(pages: Sequence[Page], data: bytes, has_raw_pages: bool) -> str:
    first = pages[0]
    if _DNG_VERSION in first:
        return "DNG"
    if data[8:12] in _PHASE_ONE:
        return "IIQ"
    maker = first.text(tiff.MAKE).upper().split(" ")[0]
    return _MAKES.get(maker, "RAW") if has_raw_pages or maker in _MAKES else "TIFF"


def _size_in_tiff(pages: Sequence[Page], raw_pages: Sequence[Page], name: str) -> tuple[int, int] | None:
    """Of the largest raw directory, else what EXIF states, else of the largest directory."""
    if name == "RW2" and pages:  # borders of the sensor's area: top, left, bottom, right
        top, left, bottom, right = (pages[0].number(tag) for tag in (4, 5, 6, 7))
        return _both(max(right - left, 0), max(bottom - top, 0))
    exif = tiff.read_child(pages[0], tiff.EXIF_IFD) if pages else None
    stated = (exif.number(tiff.EXIF_WIDTH), exif.number(tiff.EXIF_HEIGHT)) if exif else (0, 0)
    sizes = (_largest(raw_pages), stated, _largest(pages))
    return next((size for size in sizes if all(size)), None)


def _largest(pages: Sequence[Page]) -> tuple[int, int]:
    return max(pages, key=lambda page: page.area).size if pages else (0, 0)


def _size_outside_tiff(name: str, data: bytes) -> tuple[int, int] | None:
    if name == "CR3":
        return _both(*_largest(read_pages(_canon_box(data, b"CMT1"))))
    if name == "RAF":
        return _size_of_raf(data)
    if name == "X3F":  # columns and rows, after version, identifier and marks
        return _both(int.from_bytes(data[28:32], "little"), int.from_bytes(data[32:36], "little"))
    if name == "MRW" and data[8:12] == b"\x00PRD":  # the sensor's size, then the photograph's: height, width
        return _both(int.from_bytes(data[30:32], "big"), int.from_bytes(data[28:30], "big"))
    return None


def _both(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if width and height else None


def _size_of_raf(data: bytes) -> tuple[int, int] | None:
    """From the tags of its CFA header: number, then for each its number, bytes and value, big-endian."""
    position = int.from_bytes(data[92:96], "big")
    count, position = int.from_bytes(data[position : position + 4], "big"), position + 4
    for _ in range(min(count, 256)):
        tag, length = (int.from_bytes(data[position + i : position + i + 2], "big") for i in (0, 2))
        if tag == 0x0111 and length == 4:  # size of the photograph: height, width
            height, width = (int.from_bytes(data[position + i : position + i + 2], "big") for i in (4, 6))
            return _both(width, height)
        position += 4 + length
    return None


def _tag_spans(pages: Sequence[Page]) -> list[tuple[int, int]]:
    """Where metadata lie, whose thumbnails are not the camera's preview."""
    return [span for page in pages for tag in _METADATA_TAGS if (span := page.span(tag))]


def _uuid_spans(data: bytes) -> list[tuple[int, int]]:
    """The same in boxes, as CR3 has them."""
    return [
        (box.body, box.end)
        for box in islice(boxes(data), _MOST_BOXES)
        if box.kind == b"uuid" and data[box.body : box.body + 16] in _METADATA_UUIDS
    ]


def _largest_jpeg(data: bytes, metadata: Sequence[tuple[int, int]], raw_data: Collection[int] = ()) -> bytes:
    """The JPEG of the most pixels anywhere in a file, except where it stores metadata or raw samples."""
    best, area = -1, 0
    for start in islice(_jpeg_starts(data, sorted(metadata)), _MOST_STREAMS):
        if start not in raw_data and (size := _jpeg_area(data, start)) > area:
            best, area = start, size
    return data[best : end_of_jpeg(data, best)] if best >= 0 else b""


def _jpeg_starts(data: bytes, left_out: list[tuple[int, int]]) -> Iterator[int]:
    """Where JPEGs begin, outside these spans."""
    at = 0
    for start, end in (*left_out, (len(data), len(data))):
        yield from (match.start() for match in _JPEG_START.finditer(data, at, max(start, at)))
        at = max(at, end)


def _jpeg_area(data: bytes, start: int) -> int:
    """Pixels of a JPEG of 8-bit samples that Pillow reads; 0 for any other one (ITU-T T.81, B.2)."""
    position = start + 2
    for _ in range(_MOST_SEGMENTS):
        match = _JPEG_SEGMENT.match(data, position)
        if match is None or match[1][0] == _SOS:
            return 0
        position = match.start(2)
        if match[1][0] in _ALL_FRAMES:
            frame = data[position + 2 : position + 8]
            readable = (
                match[1][0] in _READ_FRAMES and len(frame) == 6 and frame[0] == 8 and frame[5] in (1, 3)
            )
            return int.from_bytes(frame[1:3], "big") * int.from_bytes(frame[3:5], "big") if readable else 0
        position += int.from_bytes(match[2], "big")
    return 0


def exif_block(data: bytes) -> bytes:
    """The EXIF of a raw file as a TIFF block; empty where only its preview has EXIF."""
    known = identify(data)
    if known is not None and known.name == "CR3":
        return _exif_of_cr3(data)
    if data[:2] not in _TIFF_ORDERS or (known is not None and known.name == "CRW"):
        return b""
    return _with_tiff_head(data)


def _with_tiff_head(data: bytes) -> bytes:
    """A file as an ordinary TIFF; RW2 and ORF have heads of their own."""
    head = _TIFF_ORDERS[data[:2]]
    return data if data[:4] in HEADERS else head + data[len(head) :]


def _exif_of_cr3(data: bytes) -> bytes:
    """One block of those in Canon's box: the camera, EXIF proper and the position, each a TIFF of its own."""
    merged = Image.Exif()
    for kind, directory in ((b"CMT1", None), (b"CMT2", tiff.EXIF_IFD), (b"CMT4", _GPS_IFD)):
        part = Image.Exif()
        with suppress(Exception):  # Pillow raises almost anything on malformed tags; other parts may be good
            part.load(b"Exif\x00\x00" + _canon_box(data, kind))
            (merged.get_ifd(directory) if directory else merged).update(part)
    return merged.tobytes().removeprefix(b"Exif\x00\x00")


def _canon_box(data: bytes, kind: bytes) -> bytes:
    """The content of a box within Canon's own, which begins with an identifier of 16 bytes."""
    movie = content(data, b"moov")
    found = (content(movie[box.body + 16 : box.end], kind) for box in boxes(movie) if box.kind == b"uuid")
    return next(filter(None, found), b"")


@cache
def can_develop() -> bool:
    """Whether rawpy is installed."""
    return importlib.util.find_spec("rawpy") is not None


def develop(raw_file: RawFile, data: bytes, limits: ReadLimits) -> Image.Image:
    """The photograph, developed by LibRaw: the camera's white balance, sRGB, as stored, not rotated.

    Raises:
        FormatNotRead: rawpy is not installed, or LibRaw can't develop it.
        OverLimit: it is larger than the limits allow.
    """
    if not can_develop():
        message = "developing raw files needs one package more: pip install rawpy; then run the scan again"
        raise FormatNotRead(message, raw_file.format)
    import rawpy

    try:
        with rawpy.imread(io.BytesIO(data)) as file:
            check_size(file.sizes.width, file.sizes.height, limits)
            pixels = file.postprocess(use_camera_wb=True, no_auto_bright=True, user_flip=0, output_bps=8)
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else ""
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        message = f"LibRaw can't develop it ({said}); without --develop-raw its preview is scored"
        raise FormatNotRead(message, raw_file.format) from error
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)  # a camera without colours
