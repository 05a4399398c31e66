"""Files built to exhaust a reader cost their markers, not their row: answers come soon and are bounded."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from counted_steps import at_most
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_provenance import (
    GENERATED,
    action,
    app11,
    blocks,
    box,
    exif_jpeg,
    gif,
    heif,
    jpeg,
    jumb,
    manifest,
    png,
    samsung_trailer,
    store,
    text,
    tiff,
    webp,
    xmp,
    xmp_jpeg,
)

from sidscan.config import ReadLimits
from sidscan.provenance.families import marker_kinds
from sidscan.provenance.read import read_provenance
from sidscan.records import PROVENANCE_STRENGTHS, PROVENANCE_WORDS, Provenance

LIMIT = 16 << 20  # bytes, as --max-metadata has it
LIMITS = ReadLimits(max_metadata=LIMIT)
STORE = store(manifest("a", action(source=GENERATED)), manifest("b", parent="a"))
PACKET = xmp(f"<e:DigitalSourceType>{GENERATED}</e:DigitalSourceType>")
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def c2pa(block: bytes) -> bytes:
    return png((b"caBX", block))


def claim_of(content: bytes) -> bytes:
    """A store whose only claim holds this CBOR."""
    return c2pa(store(jumb("a", jumb("c2pa.claim", box(b"cbor", content)))))


def nested_boxes(depth: int) -> bytes:
    block = b""
    for _ in range(depth):
        block = jumb("c2pa", block)
    return c2pa(block)


def ring() -> bytes:
    """Manifests that are each other's parents."""
    return c2pa(store(manifest("a", parent="b"), manifest("b", parent="a")))


def packet(xml: bytes) -> bytes:
    """A JPEG with this as its XMP."""
    return jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + xml))


def nested_xml() -> bytes:
    return xmp_jpeg("<o:a>" * 3000 + "</o:a>" * 3000)


def tiff_ring() -> bytes:
    """A directory that is its own successor, and its own EXIF directory."""
    data = bytearray(tiff({34665: (4, b"\x08\x00\x00\x00")}))
    data[8 + 2 + 12 : 8 + 2 + 16] = struct.pack("<I", 8)
    return bytes(data)


AIMED: dict[str, Callable[[], bytes]] = {
    "100,000 nested arrays of CBOR": lambda: claim_of(b"\x81" * 100_000),
    "100,000 nested maps of CBOR": lambda: claim_of(b"\xa1\x61a" * 100_000),
    "100,000 nested tags of CBOR": lambda: claim_of(b"\xc0" * 100_000),
    "100,000 nested strings without length": lambda: claim_of(b"\x7f" * 100_000),
    "an array of 2^62 items": lambda: claim_of(b"\x9b\x40" + bytes(7)),
    "a string of 2^62 bytes": lambda: claim_of(b"\x5b\x40" + bytes(7)),
    "a million items of CBOR": lambda: claim_of(b"\x9a\x00\x0f\x42\x40" + b"\x00" * 1_000_000),
    "3,000 nested boxes": lambda: nested_boxes(3000),
    "100,000 manifests": lambda: c2pa(store(*[manifest("a")] * 100_000)),
    "100,000 boxes without a claim": lambda: c2pa(store(*[jumb("a")] * 100_000)),
    "100,000 assertions": lambda: c2pa(
        store(jumb("a", jumb("c2pa.assertions", *[jumb("x")] * 100_000), jumb("c2pa.claim")))
    ),
    "100,000 actions": lambda: c2pa(store(manifest("a", *[action(source=GENERATED)] * 100_000))),
    "a ring of parents": ring,
    "a box of 2^62 bytes": lambda: c2pa(b"\x00\x00\x00\x01jumb\x40" + bytes(7) + STORE),
    "a chunk of 2^32 bytes": lambda: png()[:33] + b"\xff\xff\xff\xffcaBX" + STORE,
    "boxes of 2^62 bytes in HEIC": lambda: heif()[:24] + b"\x00\x00\x00\x01meta\x40" + bytes(7),
    "40 MB of caBX": lambda: c2pa(b"x" * 40_000_000),
    "a compressed text of 200 MB": lambda: png(
        (b"zTXt", b"parameters\x00\x00" + zlib.compress(bytes(200_000_000)))
    ),
    "a million chunks": lambda: png(*[(b"tEXt", b"")] * 1_000_000),
    "100,000 texts": lambda: png(*[text("a", "b")] * 100_000),
    "300,000 extensions": lambda: gif(*[b"\xfe\x01a\x00"] * 300_000),
    "300,000 chunks of RIFF": lambda: webp(*[(b"abcd", b"")] * 300_000),
    "billion laughs": lambda: jpeg(
        (
            0xE1,
            b"http://ns.adobe.com/xap/1.0/\x00<!DOCTYPE x [<!ENTITY l0 'ha'>"
            + LAUGHS.encode()
            + b"]><x>&l9;</x>",
        )
    ),
    "an entity of a file": lambda: jpeg(
        (
            0xE1,
            b'http://ns.adobe.com/xap/1.0/\x00<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
        )
    ),
    "3,000 nested elements": nested_xml,
    "200,000 properties": lambda: png(
        (b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp("<o:a>b</o:a>" * 200_000))
    ),
    "a property of 10 MB": lambda: png(
        (b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + xmp(f"<o:a>{'b' * 10_000_000}</o:a>"))
    ),
    "nested JSON": lambda: png(text("prompt", '{"a":' * 100_000)),
    "a long number in JSON": lambda: png(text("prompt", f'{{"a": {"9" * 100_000}}}')),
    "lines that look like parameters": lambda: png(text("parameters", "\nSteps: 1, " * 100_000)),
    "spaces before parameters": lambda: png(text("parameters", "\n" + " " * 1_000_000)),
    "line breaks before parameters": lambda: png(text("parameters", "\n" * 1_000_000)),
    "a description of commas": lambda: png(text("Description", " --a" * 500_000)),
    "a dream of numbers": lambda: png(text("Dream", '"a" ' + "-s 1 " * 200_000)),
    "a ring of directories": tiff_ring,
    "a trailer of 2^32 bytes": lambda: jpeg(tail=b"SEFH" + b"\xff" * 12 + b"\xff\xff\xff\xffSEFT"),
    "a trailer of itself": lambda: jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":' + "9" * 5000 + "}")),
}


@pytest.mark.parametrize("build", AIMED.values(), ids=AIMED.keys())
def test_aimed_files_cost_little(build: Callable[[], bytes]) -> None:
    data = build()
    started = time.process_time()
    check(read_provenance(data, LIMITS))
    assert time.process_time() - started < 5
    tracemalloc.start()
    read_provenance(data, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 128 << 20


def items_without_sizes(num_items: int, num_extents: int) -> bytes:
    """A HEIC file whose extents take no bytes, so that it may state any number of them."""
    info = box(b"infe", struct.pack(">BxxxHH", 2, 1, 0), b"Exif\x00")
    listing = box(b"iinf", struct.pack(">IH", 0, 1), info)
    locations = struct.pack(">HHH", 1, 0, num_extents) * num_items
    iloc = box(b"iloc", bytes(6), struct.pack(">H", num_items), locations)
    return box(b"ftyp", b"heic\x00\x00\x00\x00heic") + box(b"meta", bytes(4), listing, iloc)


def listed_items(count: int) -> bytes:
    """A HEIC file that lists this many items without a place."""
    info = box(b"infe", struct.pack(">BxxxHH", 2, 1, 0), b"hvc1\x00") * count
    listing = box(b"iinf", struct.pack(">IH", 0, count & 0xFFFF), info)
    return box(b"ftyp", b"heic\x00\x00\x00\x00heic") + box(b"meta", bytes(4), listing)


WORK: dict[str, Callable[[], bytes]] = {
    "items of 65,535 extents without bytes": lambda: items_without_sizes(4000, 65_535),
    "items of one extent without bytes": lambda: items_without_sizes(4000, 1),
    "65,535 items": lambda: items_without_sizes(65_535, 0),
    "a million items": lambda: listed_items(1_000_000),
    "3,000 boxes meta with items": lambda: items_without_sizes(1000, 1) + box(b"meta", bytes(4)) * 3000,
    "a million boxes in meta": lambda: heif()[:24] + box(b"meta", bytes(4), box(b"free") * 1_000_000),
}


@pytest.mark.parametrize("build", WORK.values(), ids=WORK.keys())
def test_small_files_are_little_work(build: Callable[[], bytes]) -> None:
    data = build()
    with at_most(500_000):
        check(read_provenance(data, LIMITS))


def test_more_items_than_are_read_are_told() -> None:
    found = read_provenance(items_without_sizes(1, 65_535), LIMITS)
    assert [marker.value for marker in found.markers] == ["more metadata than --max-metadata allows"]
    assert found.verdict == "unreadable"


def check(found: Provenance) -> None:
    """What every answer has, whatever the file: known words and bounded texts."""
    assert found.verdict in PROVENANCE_WORDS
    assert found.strength in (None, *PROVENANCE_STRENGTHS)
    assert len(found.markers) <= 100
    known = {kind.id for kind in marker_kinds()}
    for marker in found.markers:
        assert marker.id in known
        assert marker.offset >= 0
        assert max(map(len, (marker.key, marker.container, marker.says, marker.signer))) <= 204
        assert len(marker.value) <= 2004
        marker.value.encode()


SEEDS = {
    "jpeg": jpeg(*app11(STORE), (0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + PACKET)),
    "exif": exif_jpeg(Make="Ideogram AI", comment="Steps: 20, Sampler: a, Seed: 1"),
    "png": png((b"caBX", STORE), text("parameters", "Steps: 20, Sampler: a, Seed: 1")),
    "webp": webp((b"C2PA", STORE), (b"XMP ", PACKET)),
    "tiff": tiff({52545: (7, STORE), 700: (1, PACKET)}),
    "heic": heif(block=STORE, packet=PACKET),
    "gif": gif(b"\xff\x0bC2PA_GIF\x01\x00\x00" + blocks(STORE)),
    "samsung": jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":8}')),
}


@pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS.keys())
@settings(max_examples=150)
@given(data=st.data())
def test_mutated_files_have_an_answer(seed: bytes, data: st.DataObject) -> None:
    file = io.BytesIO(seed)
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(seed)))
        file.seek(at)
        file.write(data.draw(st.binary(min_size=1, max_size=8)))
    cut = data.draw(st.integers(0, len(seed)))
    whole = file.getvalue()
    check(read_provenance(whole if data.draw(st.booleans()) else whole[:cut], LIMITS))


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_signature_have_an_answer(rest: bytes) -> None:
    for head in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP", b"II*\x00", b"GIF89a"):
        check(read_provenance(head + rest, LIMITS))
    check(read_provenance(b"\x00\x00\x00\x18ftypheic" + rest, LIMITS))
    check(read_provenance(c2pa(store(jumb("a", rest))), LIMITS))
    check(read_provenance(claim_of(rest), LIMITS))
