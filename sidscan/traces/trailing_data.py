"""Bytes behind the image: how many, and what they are where their own first bytes say it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sidscan.containers.isobmff import boxes
from sidscan.containers.jpeg import end_of_jpeg
from sidscan.containers.multi_picture import IndexedImage, indexed_images
from sidscan.provenance.metadata import Metadata
from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace
from sidscan.traces.image_end import end_of_boxes, image_end

TRAILING_DATA = TraceKind(
    id="trailing_data",
    observed="bytes behind the end of the image: how many, and what they are where they say it themselves",
    place="behind JPEG's EOI, PNG's IEND, WebP's RIFF chunk, GIF's trailer and the boxes of HEIC, AVIF, "
    "JPEG XL and JPEG 2000; images that JPEG's index (MPF) names don't count, and TIFF and raw files have no "
    "such end",
    who="phones (the video of a motion photo, gain maps of HDR, Samsung's fields), cameras and programs that "
    "store previews or notes, servers that pad files, people who hide a file",
    limits="It does not mean that the image was changed. Many phones write such data, and programs carry it "
    "along or drop it unseen.",
)

_NOT_PADDING = re.compile(rb"[^\x00\t\n\r \xff]|\xff\xd8")  # searched for: a repeated group takes memory
_MOST_PARTS, _LONGEST_TEXT = 8, 200
_TEXT = re.compile(rb"[\t\n\r -~\x80-\xff]{12,}\Z")
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_GAIN_MAPS = ("http://ns.adobe.com/hdr-gain-map/1.0/", "http://ns.apple.com/HDRGainMap/1.0/")
_APPLE_PIXELS = "http://ns.apple.com/pixeldatainfo/1.0/"
# First bytes of what is appended, besides images and videos, whose ends are known.
_STARTS = {
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x1f\x8b\x08": "a gzip file",
    b"%PDF-": "a PDF document",
    b"MZ": "a Windows program, by its first two bytes",
    b"\x7fELF": "an ELF program",
    b"\x89PNG\r\n\x1a\n": "another PNG image",
    b"GIF8": "a GIF image",
    b"ID3": "an MP3 file",
    b"OggS": "an Ogg file",
    b"\x1aE\xdf\xa3": "a Matroska video",
    b"vivo{": "fields of a vivo phone",
}
_SAMSUNG = b"SEFT"
# Last bytes of what programs append (ExifTool's documentation of trailers)
_ENDS = {
    _SAMSUNG: "fields of a Samsung phone",
    b"CANON OPTIONAL DATA\x00": "notes of Canon's software",
    b"cbipcbbl": "notes of Photo Mechanic",
    b"AXS!": "notes of AFCP",
    b"AXS*": "notes of AFCP",
    b"\xa1\xb2\xc3\xd4": "notes of FotoStation",
}


class Part(NamedTuple):
    """A run of bytes behind the image, and what it is."""

    end: int
    what: str
    text: str = ""


@trace(TRAILING_DATA)
def find(image: TracedImage) -> Iterator[Trace]:
    """One trace for all that lies behind the image."""
    end = image_end(image.data, image.image.source.end)
    if end is None or end.at == len(image.data):
        return
    parts = list(_parts(image.data, end.at, image.metadata))
    size = sum(part.end - start for start, part in parts)
    if size:
        named = ", ".join(dict.fromkeys(part.what for _, part in parts))
        text = next((part.text for _, part in parts if part.text), "")
        yield TRAILING_DATA.found(f"{size:,} bytes behind the image: {named}", end.mark, parts[0][0], text)


def _parts(data: bytes, at: int, metadata: Metadata) -> Iterator[tuple[int, Part]]:
    """What lies behind the image, in order, each with its start; without the images that an index names."""
    indexed = {each.start: each for each in indexed_images(data)} if data.startswith(b"\xff\xd8") else {}
    for count in range(_MOST_PARTS):
        at = _behind_indexed(at, indexed)
        if at >= len(data):
            return
        stop = min((start for start in indexed if start > at), default=len(data))
        part = _part(data, at, stop, metadata)
        if count == _MOST_PARTS - 1:
            part = Part(len(data), "and more")
        yield at, part
        at = part.end


def _behind_indexed(at: int, indexed: dict[int, IndexedImage]) -> int:
    while at in indexed:
        at = indexed[at].end
    return at


def _part(data: bytes, at: int, stop: int, metadata: Metadata) -> Part:
    """The part that begins here; it ends at ``stop`` unless its own end is known."""
    if data[at + 4 : at + 8] in (b"ftyp", b"mpvd", b"sefd"):
        return _boxes(data, at, stop, metadata)
    padding = _end_of_padding(data, at, stop)
    is_samsung = stop == len(data) and data.endswith(_SAMSUNG)  # whose first field begins with zeros
    if padding == stop or (padding > at and not is_samsung):
        return Part(padding, "padding")
    if data.startswith(b"\xff\xd8\xff", at) and (end := end_of_jpeg(data, at)):
        return Part(end, _kind_of_jpeg(data[at:end]))
    for start, what in _STARTS.items():
        if data.startswith(start, at):
            return Part(stop, what)
    return _unmarked(data, at, stop)


def _end_of_padding(data: bytes, at: int, stop: int) -> int:
    """Where padding ends; the length of a box may begin with zeros."""
    following = _NOT_PADDING.search(data, at, stop)
    end = following.start() if following else stop
    if end == at:
        return at
    box = data.find(b"ftyp", max(end, at + 4), end + 8)
    return end if box < 0 else box - 4


def _unmarked(data: bytes, at: int, stop: int) -> Part:
    """What has no mark at its start."""
    for ending, what in _ENDS.items():
        if stop == len(data) and data.endswith(ending):
            video = ", with a video (motion photo)" if b"MotionPhoto_Data" in data[at:] else ""
            return Part(stop, what + video)
    if _TEXT.match(data, at, stop) and (text := _utf8(data[at : min(stop, at + _LONGEST_TEXT)])):
        return Part(stop, "text", text)
    return Part(stop, "data of a kind that sidscan does not know")


def _utf8(part: bytes) -> str:
    """Text, which may be cut within a character; empty if it is none."""
    try:
        return part[:-3].decode("utf-8") + part[-3:].decode("utf-8", "ignore")
    except UnicodeDecodeError as error:
        return part[: error.start].decode("utf-8") if error.start >= len(part) - 7 else ""


def _kind_of_jpeg(part: bytes) -> str:
    """What an appended JPEG says of itself."""
    metadata = Metadata.of_file(part, 1 << 20)
    is_gain_map = any(
        next(metadata.xmp(namespace, "Version", "HDRGainMapVersion"), None) for namespace in _GAIN_MAPS
    )
    kinds = [field.value for field in metadata.xmp(_APPLE_PIXELS, "AuxiliaryImageType")]
    if is_gain_map or any(kind.endswith(":hdrgainmap") for kind in kinds):
        return "a gain map of HDR (JPEG)"
    return "another JPEG image"


def _boxes(data: bytes, at: int, stop: int, metadata: Metadata) -> Part:
    """A video, or a box of phones that holds one."""
    kind = data[at + 4 : at + 8]
    box_end = next((box.end for box in boxes(data, at, stop)), stop)  # stop, too, where its length is wrong
    if kind == b"sefd":
        return Part(box_end, "fields of a Samsung phone")
    announced = any(
        field.value not in ("", "0") for field in metadata.xmp(_CAMERA, "MotionPhoto", "MicroVideo")
    )
    if kind == b"mpvd" or announced:
        what = "the video of a motion photo (MP4)"
    else:
        brand = data[at + 8 : at + 12]
        is_image = brand in (b"heic", b"heix", b"mif1", b"msf1", b"avif")
        what = "a HEIC or AVIF image" if is_image else "a video (MP4), as motion photos have"
    end = box_end if kind == b"mpvd" else end_of_boxes(data[:stop], at) or stop
    return Part(end, what)
