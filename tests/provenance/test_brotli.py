"""Metadata packed with Brotli: manifests of C2PA and boxes of JPEG XL, with and without what unpacks them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from sample_provenance import GENERATED, action, box, c2pa_png, exif, jumb, manifest, store, xmp

from sidscan.config import ReadLimits
from sidscan.provenance.read import read_provenance

LIMITS = ReadLimits(max_metadata=1 << 20)
MADE = manifest("made", action(source=GENERATED))
JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \x00\x00\x00\x00jxl ")
PACKET = xmp(f"<e:DigitalSourceType>{GENERATED}</e:DigitalSourceType>")


def packed(data: bytes) -> bytes:
    brotli = pytest.importorskip("brotli", minversion="1.2", reason="the test needs Brotli 1.2")
    compressed: bytes = brotli.compress(data)
    return compressed


def compressed_manifest(inner: bytes = MADE) -> bytes:
    return jumb("made", box(b"brob", packed(inner)))


def test_a_compressed_manifest_is_read_alone_and_as_a_parent() -> None:
    for manifests in ([compressed_manifest()], [compressed_manifest(), manifest("b", parent="made")]):
        found = read_provenance(c2pa_png(*manifests), LIMITS)
        assert (found.verdict, found.by) == ("ai_generated", ("c2pa-created",))


@pytest.mark.parametrize(
    ("kind", "content", "marker"),
    [
        pytest.param(b"xml ", PACKET, "iptc-generated", id="XMP"),
        pytest.param(b"Exif", bytes(4) + exif(Make="Ideogram AI"), "ideogram-make", id="EXIF"),
        pytest.param(b"jumb", store(MADE), "c2pa-created", id="a store with its header"),
        pytest.param(b"jumb", store(MADE)[8:], "c2pa-created", id="a store without its header"),
    ],
)
def test_boxes_of_jpeg_xl_are_unpacked(kind: bytes, content: bytes, marker: str) -> None:
    found = read_provenance(JXL + box(b"brob", kind, packed(content)), LIMITS)
    assert (found.verdict, found.by) == ("ai_generated", (marker,))
    assert found.markers[0].container.endswith(f"brob box of {kind.decode().strip()}")


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        pytest.param(b"no box", "no manifest in Brotli data", id="no box"),
        pytest.param(jumb("a"), "a manifest without a claim", id="no claim"),
    ],
)
def test_what_is_unpacked_may_be_no_manifest(inner: bytes, reason: str) -> None:
    found = read_provenance(c2pa_png(compressed_manifest(inner)), LIMITS)
    assert (found.verdict, found.by, found.markers[0].value) == ("unreadable", ("c2pa-unreadable",), reason)


def test_a_manifest_is_not_unpacked_twice() -> None:
    found = read_provenance(c2pa_png(compressed_manifest(compressed_manifest())), LIMITS)
    assert found.markers[0].value == "no manifest in Brotli data"


def test_damaged_and_cut_off_data_are_told() -> None:
    whole = packed(MADE)
    for data in (b"\xff" * 20, whole[:-3], b""):
        found = read_provenance(c2pa_png(jumb("made", box(b"brob", data))), LIMITS)
        assert (found.verdict, found.markers[0].value) == ("unreadable", "damaged Brotli data")


def test_a_bomb_ends_at_the_limit() -> None:
    bomb = packed(bytes(1 << 26))
    assert len(bomb) < 1000
    for data in (c2pa_png(jumb("made", box(b"brob", bomb))), JXL + box(b"brob", b"xml ", bomb)):
        assert read_provenance(data, LIMITS).by == ("metadata-limit",)


@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "an older one"])
def test_without_brotli_it_is_unreadable_and_says_what_to_install(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [jumb("made", box(b"brob", b"x")), box(b"brob", b"xml ", b"x")]
    old = SimpleNamespace(Decompressor=_OldDecompressor, error=RuntimeError)
    monkeypatch.setitem(sys.modules, "brotli", old if is_there else None)
    for found in (read_provenance(c2pa_png(data[0]), LIMITS), read_provenance(JXL + data[1], LIMITS)):
        assert found.verdict == "unreadable"
        (marker,) = found.markers
        assert marker.id in ("c2pa-unreadable", "packed-unreadable")
        assert marker.value == "compressed with Brotli; `pip install brotli` brings what reads it"


class _OldDecompressor:
    def is_finished(self) -> bool:
        return False

    def process(self, data: bytes) -> bytes:
        return data
