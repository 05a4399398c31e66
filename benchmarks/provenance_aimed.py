"""Files that are built to exhaust whoever reads their statements, or what lies behind their images."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from provenance_files import (
    NOTHING,
    Blocks,
    avif,
    base,
    containers,
    extended_xmp,
    jpeg_2000,
    large_store,
    png,
    statements,
    with_chunks,
    with_extensions,
    with_segments,
)

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import sample_provenance as sample

_ALL_BOXES = "jpg png webp tif avif jp2"
AimedFile = tuple[str, Callable[[], bytes]]


def _claim(content: bytes) -> bytes:
    """A store whose only claim holds this CBOR."""
    return sample.store(sample.jumb("a", sample.jumb("c2pa.claim", sample.box(b"cbor", content))))


def _nested_boxes(depth: int) -> bytes:
    block = b""
    for _ in range(depth):
        block = sample.jumb("c2pa", block)
    return block


def _laughs(levels: int, width: int) -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * width}">' for n in range(1, levels))
    return f"<!DOCTYPE x [<!ENTITY l0 'ha'>{entities}]><x>&l{levels - 1};</x>".encode()


def _quadratic_blowup() -> bytes:
    """One long entity, named very often."""
    return f"<!DOCTYPE x [<!ENTITY a '{'a' * 50_000}'>]><x>{'&a;' * 50_000}</x>".encode()


def _many_entries(count: int) -> bytes:
    """EXIF of so many entries, in directories that follow each other."""
    most, data, entry = 60_000, bytearray(b"II*\x00\x08\x00\x00\x00"), struct.pack("<HHII", 271, 2, 4, 65)
    while count > 0:
        here = min(count, most)
        count -= here
        following = len(data) + 2 + 12 * here + 4
        data += struct.pack("<H", here) + entry * here + struct.pack("<I", following if count > 0 else 0)
    return bytes(data)


def _chain(certificates: int) -> bytes:
    """A store whose signature holds a long chain of certificates."""
    chain = [b"\x30\x84\xff\xff\xff\xff" + b"\x30\x80" * 50] * certificates
    signature = sample.cbor([sample.cbor({1: -7}), {"x5chain": chain}, None, bytes(64)])
    return sample.store(sample.manifest("a", sample.action(source=sample.GENERATED), signature=signature))


def _properties(count: int) -> bytes:
    return sample.xmp("".join(f"<o:a{number}>b</o:a{number}>" for number in range(count)))


def _split(store: bytes, kind: str) -> bytes:
    """A manifest store in segments, one of which is missing, double or in another place."""
    parts = sample.app11(store, 500)
    changed = {
        "a missing part": parts[:1] + parts[2:],
        "doubled parts": [part for part in parts for _ in range(2)],
        "parts in reverse": parts[::-1],
        "1,000 first parts": parts[:1] * 1000 + parts[1:],
        "two instances in one": [
            (marker, body[:2] + bytes([0, 1 + number % 2]) + body[4:])
            for number, (marker, body) in enumerate(parts)
        ],
        "4,000 instances": [
            (marker, body[:2] + struct.pack(">H", number) + body[4:])
            for number in range(4000)
            for marker, body in parts[:1]
        ],
    }
    return with_segments(base("JPEG", quality=88), changed[kind])


def _trailer(back: int, size: int, directory: int, count: int = 1) -> bytes:
    """A trailer of Samsung's with these lengths."""
    field = struct.pack("<HHI", 0, 0x0D91, 8) + b'PEg_Info{"genAIType":8}'
    entries = struct.pack("<HHII", 0, 0x0D91, back, size) * count
    return field + b"SEFH" + struct.pack("<II", 107, count) + entries + struct.pack("<I", directory) + b"SEFT"


def _spread(name: str, suffixes: str, blocks: Blocks) -> Iterator[AimedFile]:
    """The same blocks in several containers."""
    for suffix in suffixes.split():
        yield f"{name}.{suffix}", partial(containers()[suffix], blocks)


def aimed() -> Iterator[AimedFile]:
    """Names, and what builds the files; the part behind the last point is the container."""
    yield from _aimed_c2pa()
    yield from _aimed_lengths()
    yield from _aimed_xmp()
    yield from _aimed_fields()
    yield from _aimed_containers()


def _aimed_c2pa() -> Iterator[AimedFile]:
    yield from _spread("100,000 nested arrays of CBOR", "jpg png tif webp", Blocks(_claim(b"\x81" * 100_000)))
    yield from _spread("100,000 nested maps of CBOR", "png", Blocks(_claim(b"\xa1\x61a" * 100_000)))
    yield from _spread("100,000 nested tags of CBOR", "png", Blocks(_claim(b"\xc0" * 100_000)))
    yield from _spread("an array of 2^62 items", _ALL_BOXES, Blocks(_claim(b"\x9b\x40" + bytes(7))))
    yield from _spread("a string of 2^62 bytes", _ALL_BOXES, Blocks(_claim(b"\x5b\x40" + bytes(7))))
    yield from _spread(
        "a million items of CBOR", "png", Blocks(_claim(b"\x9a\x00\x0f\x42\x40" + b"\x00" * 1_000_000))
    )
    yield from _spread("3,000 nested boxes", _ALL_BOXES, Blocks(_nested_boxes(3000)))
    yield from _spread(
        "100,000 manifests", "png tif avif", Blocks(sample.store(*[sample.manifest("a")] * 100_000))
    )
    yield from _spread("1,000 manifests", "jpg png", Blocks(large_store(1000)))
    actions = sample.store(sample.manifest("a", *[sample.action(source=sample.GENERATED)] * 100_000))
    yield from _spread("100,000 actions", "png", Blocks(actions))
    assertions = sample.jumb("c2pa.assertions", *[sample.jumb("x")] * 100_000)
    yield from _spread("100,000 assertions", "png", Blocks(sample.store(sample.jumb("a", assertions))))
    yield from _spread("a ring of parents", _ALL_BOXES, Blocks(large_store(2)))
    yield from _spread("a chain of 10,000 certificates", "png", Blocks(_chain(10_000)))
    for kind in (
        *("a missing part", "doubled parts", "parts in reverse", "1,000 first parts"),
        *("two instances in one", "4,000 instances"),
    ):
        yield f"manifest store, {kind}.jpg", partial(_split, statements().c2pa, kind)


def _aimed_lengths() -> Iterator[AimedFile]:
    whole = statements()
    huge = b"\x00\x00\x00\x01jumb\x40" + bytes(7) + whole.c2pa
    yield from _spread("a box of 2^62 bytes", _ALL_BOXES, Blocks(huge))
    yield from _spread("boxes of 2^62 bytes behind the image", "avif jp2", Blocks(trailer=huge))
    yield "a chunk of 2^32 bytes.png", lambda: png(NOTHING)[:-12] + b"\xff\xff\xff\xffcaBX" + whole.c2pa
    yield from _spread("60 MB of caBX", "png", Blocks(b"x" * 60_000_000))
    padding = sample.jumb("c2pa", sample.manifest("a"), sample.box(b"free", bytes(60_000_000)))
    yield from _spread("60 MB of a manifest store", "png tif avif", Blocks(padding))
    padding = sample.jumb("c2pa", sample.manifest("a"), sample.box(b"free", bytes(15_000_000)))
    yield from _spread("15 MB of a manifest store", "png jpg tif avif", Blocks(padding))


def _aimed_xmp() -> Iterator[AimedFile]:
    yield from _spread("billion laughs", _ALL_BOXES, Blocks(xmp=_laughs(10, 10)))
    yield from _spread("quadratic blowup", _ALL_BOXES, Blocks(xmp=_quadratic_blowup()))
    entity = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'
    yield from _spread("an entity of a file", _ALL_BOXES, Blocks(xmp=entity))
    nested = sample.xmp("<o:a>" * 100_000 + "</o:a>" * 100_000)
    yield from _spread("100,000 nested elements of XMP", "jpg png tif", Blocks(xmp=nested))
    yield from _spread("10,000 properties of XMP", _ALL_BOXES, Blocks(xmp=_properties(10_000)))
    yield from _spread("200,000 properties of XMP", "png tif", Blocks(xmp=_properties(200_000)))
    yield from _spread(
        "a property of 10 MB", "png jpg", Blocks(xmp=sample.xmp(f"<o:a>{'b' * 10_000_000}</o:a>"))
    )
    yield (
        "extended XMP in 10,000 parts.jpg",
        lambda: with_segments(base("JPEG", quality=88), extended_xmp(statements().xmp * 100, 10_000)),
    )


def _aimed_fields() -> Iterator[AimedFile]:
    yield from _spread("a million entries of EXIF", "png jpg", Blocks(exif=_many_entries(1_000_000)))
    ring = bytearray(sample.tiff({34665: (4, b"\x08\x00\x00\x00")}))
    yield from _spread("a ring of directories", "png jpg webp", Blocks(exif=bytes(ring)))
    yield from _spread(
        "100,000 records of IPTC", "png jpg tif", Blocks(iptc=sample.iptc(*[(80, "a")] * 100_000))
    )
    yield from _spread(
        "a record of 2^31 bytes", "png jpg tif", Blocks(iptc=b"\x1c\x02\x50\x80\x04\x7f\xff\xff\xff")
    )
    for name, numbers in {
        "a field of 2^32 bytes": (0xFFFFFFFF, 0xFFFFFFFF, 24),
        "a directory of 2^32 bytes": (31, 31, 0xFFFFFFFF),
        "a directory of itself": (0, 31, 0),
    }.items():
        yield from _spread(f"a trailer with {name}", "jpg png", Blocks(trailer=_trailer(*numbers)))
    yield from _spread(
        "a trailer with 100,000 fields", "jpg png", Blocks(trailer=_trailer(31, 31, 12 + 1_200_000, 100_000))
    )
    for name, text in {
        "nested JSON": b'{"a":' * 100_000,
        "lines like parameters": b"\nSteps: 1, " * 100_000,
        "blanks before parameters": b"\n" + b" " * 1_000_000,
    }.items():
        yield from _spread(name, "png jpg", Blocks(text=text))


def _aimed_containers() -> Iterator[AimedFile]:
    yield (
        "a text of 200 MB.png",
        lambda: with_chunks([(b"zTXt", b"parameters\x00\x00" + zlib.compress(bytes(200_000_000)))]),
    )
    yield "a million chunks.png", lambda: with_chunks([(b"tEXt", b"")] * 1_000_000)
    yield "100,000 texts.png", lambda: with_chunks([sample.text("a", "b")] * 100_000)
    yield "300,000 extensions.gif", lambda: with_extensions([b"\xfe\x01a\x00"] * 300_000)
    yield "4,000 boxes meta.avif", lambda: avif(replace(statements(), trailer=sample.box(b"meta") * 4000))
    yield from _aimed_items()
    yield from _aimed_ends()
    yield "10,000 boxes.jp2", lambda: jpeg_2000(Blocks(trailer=sample.box(b"uuid", bytes(16)) * 10_000))


def _aimed_items() -> Iterator[AimedFile]:
    """Items of HEIF that take no bytes, or repeat the box that lists them."""
    for name, meta in {
        "items of 65,535 extents without bytes": _items_without_sizes(4000, 65_535),
        "65,535 items": _items_without_sizes(65_535, 0),
        "items in 3,000 boxes meta": _items_without_sizes(4000, 1) + sample.box(b"meta", bytes(4)) * 3000,
        "a million boxes in meta": sample.box(b"meta", bytes(4), sample.box(b"free") * 1_000_000),
    }.items():
        yield f"{name}.jp2", partial(jpeg_2000, Blocks(trailer=meta))


def _items_without_sizes(num_items: int, num_extents: int) -> bytes:
    info = sample.box(b"infe", struct.pack(">BxxxHH", 2, 1, 0), b"Exif\x00")
    listing = sample.box(b"iinf", struct.pack(">IH", 0, 1), info)
    locations = struct.pack(">HHH", 1, 0, num_extents) * num_items
    iloc = sample.box(b"iloc", bytes(6), struct.pack(">H", num_items), locations)
    return sample.box(b"meta", bytes(4), listing, iloc)


def _aimed_ends() -> Iterator[AimedFile]:
    """Many steps to the end of an image, and behind it."""
    whole = base("JPEG", quality=88)
    for name, part in {
        "fill bytes before a marker": b"\xff" * 20_000_000,
        "a million empty segments": b"\xff\xfe\x00\x02" * 1_000_000,
    }.items():
        yield f"{name}.jpg", partial(_joined, whole[:2], part, whole[2:])
    for name, part in {
        "markers without a length in the scan": b"\xff\x01" * 10_000_000,
        "a million segments in the scan": b"\xff\xfe\x00\x02" * 1_000_000,
    }.items():
        yield f"{name}.jpg", partial(_joined, whole[:-2], part, whole[-2:] + b"more")
    for name, part in {
        "30 MB of zeros behind the image": bytes(30_000_000) + b"x",
        "a box of 4 GB behind the image": b"\xf0\x00\x00\x00sefd" + bytes(40),
        "1,000 boxes behind the image": sample.box(b"ftyp", b"mp42") * 1000,
    }.items():
        yield from _spread(name, "jpg png", Blocks(trailer=part))


def _joined(*parts: bytes) -> bytes:
    return b"".join(parts)
