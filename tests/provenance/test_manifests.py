"""Manifest stores: whose claim counts for the file, and what damage costs."""

from __future__ import annotations

import pytest
from sample_provenance import (
    GENERATED,
    PARTLY,
    action,
    box,
    c2pa_png,
    cbor,
    jumb,
    manifest,
    png,
    store,
    xmp,
)

from sidscan.config import ReadLimits
from sidscan.provenance.blocks import Block, BlockKind, Budget
from sidscan.provenance.cbor import CborError, CborReader
from sidscan.provenance.certificates import subject_of
from sidscan.provenance.manifests import Ingredient, ManifestStore, read_store
from sidscan.provenance.read import read_provenance

LIMIT = 1 << 20
LIMITS = ReadLimits(max_metadata=LIMIT)
CAPTURED = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
MADE = manifest("made", action(source=GENERATED), generator="Made/1.0")


def read(data: bytes) -> ManifestStore:
    found = read_store(Block(BlockKind.C2PA, "PNG caBX", 0, data), Budget(LIMIT))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("manifests", "verdict"),
    [
        pytest.param([MADE], "ai_generated", id="the active one"),
        pytest.param([MADE, manifest("b", parent="made")], "ai_generated", id="its parent"),
        pytest.param(
            [MADE, manifest("b", parent="made"), manifest("c", action("c2pa.cropped"), parent="b")],
            "ai_generated",
            id="a parent's parent",
        ),
        pytest.param([MADE, manifest("b", component="made")], "ai_edited", id="a component"),
        pytest.param(
            [MADE, manifest("b", component="made"), manifest("c", parent="b")],
            "ai_edited",
            id="a parent's component",
        ),
        pytest.param(
            [MADE, manifest("b", action("c2pa.edited", PARTLY), parent="made")],
            "ai_generated",
            id="generated, then edited",
        ),
        pytest.param([MADE, manifest("b", parent="gone")], "ai_edited", id="a parent that is not there"),
        pytest.param([manifest("b", parent="made"), MADE], "ai_generated", id="the last one is active"),
        pytest.param([manifest("a", action("c2pa.opened", GENERATED))], "ai_edited", id="opened"),
        pytest.param(
            [manifest("a", action(source=GENERATED.upper().replace("HTTP", "https")))],
            "ai_generated",
            id="https, and other capitals",
        ),
        pytest.param([manifest("a", action(source=f"{GENERATED}Data"))], "no_ai_claim", id="a longer term"),
        pytest.param([manifest("a")], "no_ai_claim", id="no actions"),
    ],
)
def test_created_counts_along_the_parents_and_all_else_is_a_part(
    manifests: list[bytes], verdict: str
) -> None:
    found = read_provenance(c2pa_png(*manifests), LIMITS)
    assert (found.verdict, found.strength) == (verdict, "not_checked")


def test_a_template_gives_actions_what_they_lack() -> None:
    actions = {
        "actions": [{"action": "c2pa.created"}],
        "templates": [action(source=GENERATED, agent="Maker")],
    }
    assertions = jumb("c2pa.assertions", jumb("c2pa.actions.v2", box(b"cbor", cbor(actions))))
    claim = {"claim_generator_info": {"name": "Maker", "version": "2"}}
    made = jumb("a", assertions, jumb("c2pa.claim.v2", box(b"cbor", cbor(claim))))
    found = read_provenance(c2pa_png(made), LIMITS)
    assert (found.verdict, found.says) == ("ai_generated", ("Maker, Maker 2",))


def test_a_damaged_manifest_costs_itself_alone_and_is_told() -> None:
    damaged = jumb("x", jumb("c2pa.claim", box(b"cbor", b"\xff")))
    found = read_provenance(c2pa_png(damaged, MADE), LIMITS)
    assert (found.verdict, found.by) == ("ai_generated", ("c2pa-created", "c2pa-unreadable"))
    assert found.markers[1].value == "parts of it can't be read: a claim that is no map"
    assert read_provenance(c2pa_png(damaged), LIMITS).verdict == "unreadable"


def test_without_the_active_manifest_nothing_says_that_the_whole_image_was_generated() -> None:
    damaged = jumb("x", jumb("c2pa.claim", box(b"cbor", b"\xff")))
    found = read_provenance(c2pa_png(MADE, damaged), LIMITS)
    assert (found.verdict, found.by) == ("ai_edited", ("c2pa-part", "c2pa-unreadable"))
    captured = manifest("a", action(source=CAPTURED))
    assert read_provenance(c2pa_png(captured, damaged), LIMITS).by == ("c2pa-unreadable",)


def test_all_markers_count_and_the_strongest_word_is_kept() -> None:
    fills = [action("c2pa.edited", PARTLY)] * 200
    found = read_provenance(c2pa_png(MADE, manifest("b", *fills, parent="made")), LIMITS)
    assert (found.verdict, len(found.markers)) == ("ai_generated", 100)
    assert {marker.id for marker in found.markers} == {"c2pa-created", "c2pa-part"}
    captured = manifest("a", *[action(source=CAPTURED)] * 200)
    packet = xmp(f"<e:DigitalSourceType>{GENERATED}</e:DigitalSourceType>")
    both = png((b"caBX", store(captured)), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    assert read_provenance(both, LIMITS).verdict == "ai_generated"


def test_too_many_actions_are_told() -> None:
    found = read_provenance(c2pa_png(manifest("a", *[action("c2pa.edited")] * 5001)), LIMITS)
    assert (found.verdict, found.markers[-1].value) == (
        "unreadable",
        "parts of it can't be read: too many actions",
    )


def test_assertions_may_be_json_and_have_numbers() -> None:
    assertion = jumb("c2pa.actions__2", box(b"json", b'{"actions": [{"action": "c2pa.created"}]}'))
    made = jumb("a", jumb("c2pa.assertions", assertion), jumb("c2pa.claim", box(b"cbor", cbor({}))))
    (only,) = read(store(made)).manifests
    assert [each.name for each in only.actions] == ["c2pa.created"]


def der(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + len(body).to_bytes(2, "big")
    return bytes([kind]) + size + body


def name(**parts: str) -> bytes:
    numbers = {"CN": b"\x55\x04\x03", "O": b"\x55\x04\x0a"}
    return der(
        0x30,
        *(der(0x31, der(0x30, der(6, numbers[key]), der(12, text.encode()))) for key, text in parts.items()),
    )


def certificate(**subject: str) -> bytes:
    """A certificate as far as its subject."""
    version, serial, empty = der(0xA0, der(2, b"\x02")), der(2, b"\x01"), der(0x30)
    return der(0x30, der(0x30, version, serial, empty, name(O="Authority"), empty, name(**subject)))


def test_the_signer_is_named_as_the_certificate_does() -> None:
    chain = certificate(CN="Media", O="Example")
    for headers in ([cbor({33: [chain, b"x"]}), {}], [cbor({1: -7}), {"x5chain": chain}]):
        signed = cbor([headers[0], headers[1], None, b"signature"])
        made = manifest("a", action(source=GENERATED), signature=signed)
        (marker,) = read_provenance(png((b"caBX", store(made))), LIMITS).markers
        assert marker.signer == "Example, Media"


@pytest.mark.parametrize("data", [b"", b"\x30\x03\x02\x01", certificate()[:20], b"\x30\x84\xff\xff\xff\xff"])
def test_a_damaged_certificate_names_nobody(data: bytes) -> None:
    assert subject_of(data) == ""


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b"\x18\x64", 100, id="one byte"),
        pytest.param(b"\x3a\x00\x01\x86\x9f", -100_000, id="negative"),
        pytest.param(b"\x9f\x01\x9f\x02\xff\xff", [1, [2]], id="arrays without length"),
        pytest.param(b"\xbf\x61a\x01\xff", {"a": 1}, id="map without length"),
        pytest.param(b"\x7f\x61a\x61b\xff", "ab", id="text in parts"),
        pytest.param(b"\xc0\x61a", "a", id="tagged"),
        pytest.param(b"\xf9\x3c\x00", 1.0, id="half float"),
        pytest.param(b"\x83\xf4\xf6\xf7", [False, None, None], id="simple values"),
        pytest.param(b"\xa1\x80\x01", {}, id="a key that is a list"),
    ],
)
def test_cbor(data: bytes, value: object) -> None:
    assert CborReader(100).read(data) == value


@pytest.mark.parametrize(
    "data", [b"", b"\x18", b"\x62a", b"\x9f\x01", b"\x1c", b"\x82\x01", b"\xf9\x00"], ids=repr
)
def test_damaged_cbor_is_refused(data: bytes) -> None:
    with pytest.raises(CborError):
        CborReader(100).read(data)


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        pytest.param({"relationship": "componentOf"}, Ingredient("componentOf"), id="without a manifest"),
        pytest.param(
            {"relationship": "inputTo", "activeManifest": {"url": "self#jumbf=/c2pa/made"}},
            Ingredient("inputTo", "made"),
            id="version 3",
        ),
        pytest.param(
            {"relationship": "parentOf", "c2pa_manifest": {"url": "self#jumbf=/c2pa/made/c2pa.claim"}},
            Ingredient("parentOf", "made"),
            id="version 1",
        ),
        pytest.param(
            {"relationship": "parentOf", "activeManifest": {"url": 3}},
            Ingredient("parentOf"),
            id="a wrong URI",
        ),
        pytest.param({"activeManifest": {"url": "self#jumbf=/c2pa/made"}}, None, id="no relationship"),
        pytest.param({"relationship": 7}, None, id="a relationship that is no text"),
        pytest.param(["parentOf"], None, id="no map"),
    ],
)
def test_ingredients_are_read_with_their_relationship(assertion: object, expected: Ingredient | None) -> None:
    found = read(store(MADE, manifest("b", extra={"c2pa.ingredient.v3": assertion}))).manifests[-1]
    assert found.ingredients == ((expected,) if expected else ())
    is_parent = expected is not None and expected.relationship == "parentOf" and expected.manifest
    assert found.parents == (("made",) if is_parent else ())
