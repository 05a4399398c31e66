"""Images in every container with statements of origin.

The pixels are always the same few, so that a scan of many is quick, and so that each file's score is known:
it is that of the same image without statements. Builders of blocks are those of the tests.
"""

from __future__ import annotations

import importlib.util
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from harness import encoded, photo
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import sample_provenance as sample
import sample_raws

_SIZE = (240, 232)  # pixels
_EXIF_HEAD, _XMP_HEAD = b"Exif\x00\x00", b"http://ns.adobe.com/xap/1.0/\x00"
_EXTENDED_HEAD, _GUID = b"http://ns.adobe.com/xmp/extension/\x00", b"0123456789ABCDEF" * 2
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MOST_IN_SEGMENT = 65_000  # bytes


@dataclass(frozen=True)
class Blocks:
    """What a file states, by the kind of block.

    Attributes:
        iptc: IIM records.
        text: of a PNG text, a GIF comment or a JPEG comment.
        trailer: what follows the image.
    """

    c2pa: bytes = b""
    xmp: bytes = b""
    exif: bytes = b""
    iptc: bytes = b""
    text: bytes = b""
    trailer: bytes = b""


NOTHING = Blocks()


@cache
def image() -> Image.Image:
    """The pixels of all files."""
    return photo(np.random.default_rng(20), *_SIZE)


def jpeg(blocks: Blocks) -> bytes:
    """Segments behind the first marker."""
    data = base("JPEG", quality=88)
    segments = [(0xE1, _EXIF_HEAD + part) for part in _parts(blocks.exif)]
    if len(blocks.xmp) <= _MOST_IN_SEGMENT:
        segments += [(0xE1, _XMP_HEAD + blocks.xmp)] if blocks.xmp else []
    else:
        segments += extended_xmp(blocks.xmp)
    segments += sample.app11(blocks.c2pa) if blocks.c2pa else []
    resources = sample.photoshop(blocks.iptc) if blocks.iptc else b""
    segments += [(0xED, b"Photoshop 3.0\x00" + part) for part in _parts(resources)]
    segments += [(0xFE, part) for part in _parts(blocks.text)]
    return with_segments(data, segments) + blocks.trailer


def with_segments(data: bytes, segments: list[tuple[int, bytes]]) -> bytes:
    """A JPEG with more segments (marker, body) at its start."""
    written = (bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    return data[:2] + b"".join(written) + data[2:]


def extended_xmp(packet: bytes, parts: int = 0) -> list[tuple[int, bytes]]:
    """XMP in segments of 65,000 bytes, or in this many parts."""
    size = -(-len(packet) // parts) if parts else _MOST_IN_SEGMENT
    return [
        (0xE1, _EXTENDED_HEAD + _GUID + struct.pack(">II", len(packet), start) + packet[start : start + size])
        for start in range(0, len(packet), size)
    ]


def png(blocks: Blocks) -> bytes:
    """Chunks behind the header."""
    chunks = [
        (b"caBX", blocks.c2pa),
        (b"eXIf", blocks.exif),
        (b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + blocks.xmp if blocks.xmp else b""),
        (b"zTXt", b"Raw profile type iptc\x00\x00" + _profile(blocks.iptc) if blocks.iptc else b""),
        (b"tEXt", b"parameters\x00" + blocks.text if blocks.text else b""),
    ]
    return with_chunks([chunk for chunk in chunks if chunk[1]]) + blocks.trailer


def with_chunks(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG with these chunks behind its header."""
    data, behind_header = base("PNG"), 33
    written = b"".join(sample.png_chunk(*chunk) for chunk in chunks)
    return data[:behind_header] + written + data[behind_header:]


def _profile(records: bytes) -> bytes:
    resources = sample.photoshop(records)
    return zlib.compress(b"\niptc\n%8d\n" % len(resources) + resources.hex().encode() + b"\n")


def webp(blocks: Blocks) -> bytes:
    """Chunks of an extended file (RFC 9649, section 2.7)."""
    simple = base("WEBP", quality=80)
    flags = 8 * bool(blocks.exif) | 4 * bool(blocks.xmp)
    sides = b"".join((side - 1).to_bytes(3, "little") for side in _SIZE)
    more = ((b"EXIF", blocks.exif), (b"XMP ", blocks.xmp), (b"C2PA", blocks.c2pa))
    chunks = [(b"VP8X", bytes([flags, 0, 0, 0]) + sides), (simple[12:16], _riff_body(simple))]
    return sample.webp(*chunks, *(each for each in more if each[1])) + blocks.trailer


def _riff_body(simple: bytes) -> bytes:
    size = int.from_bytes(simple[16:20], "little")
    return simple[20 : 20 + size]


def tiff(blocks: Blocks) -> bytes:
    """Tags of the first directory."""
    return with_tags(base("TIFF"), blocks)


def dng(blocks: Blocks) -> bytes:
    """The same of a raw file with a preview."""
    preview = base("JPEG", quality=88)
    return with_tags(sample_raws.raw_tiff("ACME", jpeg=preview, first={50706: 0x00000401}), blocks)


def with_tags(data: bytes, blocks: Blocks) -> bytes:
    """A little-endian TIFF whose first directory is written again with more tags, at its end."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = {
        struct.unpack_from("<H", data, at)[0]: data[at : at + 12]
        for at in range(start + 2, start + 2 + 12 * count, 12)
    }
    file = bytearray(data)
    for tag, kind, value in ((52545, 7, blocks.c2pa), (700, 1, blocks.xmp), (33723, 7, blocks.iptc)):
        if value:
            entries[tag] = struct.pack("<HHII", tag, kind, len(value), len(file))
            file += value.ljust(5, b"\x00")
    if blocks.text:
        entries[305] = struct.pack("<HHII", 305, 2, len(blocks.text), len(file))
        file += blocks.text.ljust(5, b"\x00")
    file += bytes(len(file) % 2)
    file[4:8] = struct.pack("<I", len(file))
    return (
        bytes(file)
        + struct.pack("<H", len(entries))
        + b"".join(entries[tag] for tag in sorted(entries))
        + bytes(4)
    )


def heic(blocks: Blocks) -> bytes:
    """Items and a box behind all others."""
    return _items("HEIF", blocks, quality=60)


def avif(blocks: Blocks) -> bytes:
    """The same."""
    return _items("AVIF", blocks, quality=60, speed=10)


def _items(image_format: str, blocks: Blocks, **options: int) -> bytes:
    """Encoded with stand-ins, which the blocks then replace: encoders take time, and refuse damaged EXIF."""
    sizes = {
        name: 1 << len(getattr(blocks, name)).bit_length()
        for name in ("exif", "xmp")
        if getattr(blocks, name)
    }
    stand_ins = {name: _stand_in(name, size) for name, size in sizes.items()}
    data = _with_stand_ins(image_format, tuple(stand_ins.items()), tuple(options.items()))
    for name, stand_in in stand_ins.items():
        data = data.replace(stand_in, getattr(blocks, name).ljust(len(stand_in), b" "))
    return data + (c2pa_box(blocks.c2pa) if blocks.c2pa else b"") + blocks.trailer


def _stand_in(name: str, size: int) -> bytes:
    """EXIF without entries, or XMP that nobody parses, of so many bytes at least."""
    head = b"II*\x00\x08\x00\x00\x00" + bytes(6) if name == "exif" else b""
    return head + f"in place of {name}".encode().ljust(size, b"-")


@cache
def _with_stand_ins(
    image_format: str, stand_ins: tuple[tuple[str, bytes], ...], options: tuple[tuple[str, int], ...]
) -> bytes:
    return encoded(image(), image_format, **dict(options), **dict(stand_ins))


def c2pa_box(store: bytes) -> bytes:
    """A box for a manifest store (C2PA 2.1, section A.5)."""
    return sample.box(b"uuid", _C2PA_UUID, bytes(4), b"manifest\x00", bytes(8), store)


def gif(blocks: Blocks) -> bytes:
    """Extensions before the image."""
    parts = [b"\xff\x0bC2PA_GIF\x01\x00\x00" + sample.blocks(blocks.c2pa)] if blocks.c2pa else []
    parts += [b"\xff\x0bXMP DataXMP" + blocks.xmp + _xmp_trailer()] if blocks.xmp else []
    parts += [b"\xfe" + sample.blocks(blocks.text)] if blocks.text else []
    return with_extensions(parts) + blocks.trailer


def _xmp_trailer() -> bytes:
    return b"\x01" + bytes(range(255, -1, -1)) + b"\x00"


def with_extensions(parts: list[bytes]) -> bytes:
    """A GIF with these extensions before its image."""
    data = base("GIF")
    start = 13 + (3 << (data[10] & 7) + 1)  # behind the table of colours
    return data[:start] + b"".join(b"\x21" + part for part in parts) + data[start:]


def jpeg_2000(blocks: Blocks) -> bytes:
    """Boxes behind the codestream."""
    boxes = [sample.box(b"uuid", _XMP_UUID, blocks.xmp)] if blocks.xmp else []
    boxes += [sample.box(b"uuid", b"JpgTiffExif->JP2", blocks.exif)] if blocks.exif else []
    boxes += [c2pa_box(blocks.c2pa)] if blocks.c2pa else []
    return base("JPEG2000") + b"".join(boxes) + blocks.trailer


def jpeg_xl(blocks: Blocks) -> bytes:
    """Boxes before the codestream (ISO/IEC 18181-2)."""
    head = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + sample.box(b"ftyp", b"jxl \x00\x00\x00\x00jxl ")
    boxes = [sample.box(b"Exif", bytes(4), blocks.exif)] if blocks.exif else []
    boxes += [sample.box(b"xml ", blocks.xmp)] if blocks.xmp else []
    return head + b"".join(boxes) + blocks.c2pa + sample.box(b"jxlc", _codestream()) + blocks.trailer


@cache
def _codestream() -> bytes:
    """The image by imagecodecs, or where it is not installed bytes that nobody decodes."""
    if not importlib.util.find_spec("imagecodecs"):
        return b"\xff\x0a" + bytes(100)
    import imagecodecs

    return bytes(imagecodecs.jpegxl_encode(np.asarray(image()), usecontainer=False))


@cache
def base(image_format: str, **options: int) -> bytes:
    if image_format == "GIF":
        return encoded(image().quantize(64), "GIF")
    return encoded(image(), image_format, **options)


def _parts(block: bytes) -> Iterator[bytes]:
    """A block in pieces that fit into segments."""
    return (block[start : start + _MOST_IN_SEGMENT] for start in range(0, len(block), _MOST_IN_SEGMENT))


def containers() -> dict[str, Callable[[Blocks], bytes]]:
    """Suffix of a file's name -> what writes such files."""
    found: dict[str, Callable[[Blocks], bytes]] = {
        "jpg": jpeg,
        "png": png,
        "webp": webp,
        "tif": tiff,
        "dng": dng,
        "avif": avif,
        "gif": gif,
        "jp2": jpeg_2000,
        "jxl": jpeg_xl,
    }
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found["heic"] = heic
    return found


def statements() -> Blocks:
    """All kinds of blocks, each with a statement that is read."""
    first = sample.manifest("urn:uuid:a", sample.action(source=sample.GENERATED, agent="Maker"))
    middle = sample.manifest("urn:uuid:b", sample.action("c2pa.opened"), parent="urn:uuid:a")
    last = sample.manifest(
        "urn:uuid:c", sample.action("c2pa.edited", sample.PARTLY), parent="urn:uuid:b", component="urn:uuid:a"
    )
    packet = sample.xmp(
        f"<e:DigitalSourceType>{sample.GENERATED}</e:DigitalSourceType>"
        "<p:Credit>Made with Google AI</p:Credit>"
        "<t:provenance>https://example.org/a</t:provenance><dc:creator><rdf:Seq><rdf:li>A. Author</rdf:li>"
        "</rdf:Seq></dc:creator>"
    )
    return Blocks(
        sample.store(first, middle, last),
        packet,
        sample.exif("a harbour\nNegative prompt: b\nSteps: 20, Sampler: Euler, Seed: 1", Make="Ideogram AI"),
        sample.iptc((80, "A. Author"), (110, "Edited with Google AI"), (120, "a caption")),
        b"a harbour\nNegative prompt: b\nSteps: 20, Sampler: Euler, Seed: 1",
        sample.samsung_trailer("PEg_Info", '{"genAIType":8}'),
    )


def held_elsewhere(address: str) -> Blocks:
    """XMP that names the address of a manifest."""
    attributes = (
        f' xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{address}"'  # as c2pa-rs has it
    )
    return Blocks(xmp=sample.xmp("", attributes))


def large_store(length: int) -> bytes:
    """Manifests in a ring of parents, each its own part."""
    labels = [f"urn:uuid:{number}" for number in range(length)]
    return sample.store(
        *(
            sample.manifest(label, parent=labels[number - 1], component=label)
            for number, label in enumerate(labels)
        )
    )
