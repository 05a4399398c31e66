"""Signatures of manifests: three questions, trust lists of one's own, and no network. Needs c2pa-python."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo
from sample_provenance import GENERATED, action, c2pa_png, manifest, png_chunk, xmp_jpeg
from sample_signatures import signed_png

from sidscan.config import ReadLimits
from sidscan.containers.png import png_chunks
from sidscan.errors import UsageError
from sidscan.provenance import signatures
from sidscan.provenance.read import read_provenance
from sidscan.provenance.signatures import check_trust, trust_lists, verifier_words
from sidscan.records import SignatureCheck

Run = Callable[..., Any]
PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("check", "strength"),
    [
        pytest.param(SignatureCheck("Trusted", True, True, True), "signed_trusted", id="all is right"),
        pytest.param(SignatureCheck("Valid", True, True, False), "signed_untrusted", id="on no list"),
        pytest.param(
            SignatureCheck("Invalid", True, True, True), "signed_trusted", id="invalid for other reasons"
        ),
        pytest.param(SignatureCheck("Invalid", True, True, None), "signed_untrusted", id="expired"),
        pytest.param(SignatureCheck("Invalid", False, True, True), "signed_broken", id="bytes changed"),
        pytest.param(
            SignatureCheck("Invalid", True, False, True), "signed_broken", id="signature of something else"
        ),
        pytest.param(
            SignatureCheck("Valid", None, True, True), "signed_untrusted", id="no hash of the bytes"
        ),
        pytest.param(SignatureCheck(error="unknown algorithm"), "not_checked", id="refused"),
    ],
)
def test_three_questions_give_one_strength(check: SignatureCheck, strength: str) -> None:
    assert check.strength == strength


def test_bundled_lists_are_there_and_stated() -> None:
    lists = trust_lists(None)
    assert lists.anchors.count("-----BEGIN CERTIFICATE-----") == 52
    assert len(lists.digest) == 16


def test_lists_of_ones_own_replace_them(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text(PEM)
    (tmp_path / "allowed.sha256.txt").write_text("abc\n")
    lists = trust_lists(str(tmp_path))
    assert (lists.anchors, lists.allowed) == (PEM, "abc\n")


@pytest.mark.parametrize("name", ["empty", "gone"])
def test_a_folder_without_lists_is_refused_before_the_scan(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("a.png").write_bytes(encoded(photo(64, 64), "PNG"))
    for command in ("scan", "provenance"):
        ended = sidscan(command, "a.png", "--trust", name)
        assert ended.code == 2
        assert f"can't read the trust lists in {name}" in ended.err


def test_without_a_verifier_lists_are_refused_and_signatures_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signatures, "version", _missing)
    (tmp_path / "a.pem").write_text(PEM)
    with pytest.raises(UsageError, match="c2pa-python is not installed"):
        check_trust(str(tmp_path))
    found = read_provenance(c2pa_png(manifest("a", action(source=GENERATED))))
    assert (found.strength, found.checked, found.signature) == ("not_checked", "", None)


class _Broken:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "c2pa":
            raise self._error


@pytest.mark.parametrize(
    "error", [ImportError("a\nb"), ModuleNotFoundError("a b"), OSError("a b"), RuntimeError("a b")], ids=repr
)
def test_a_verifier_that_cannot_be_loaded_costs_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (tmp_path / "a.pem").write_text(PEM)
    monkeypatch.setattr(signatures, "version", lambda _name: "0.1")
    monkeypatch.delitem(sys.modules, "c2pa", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Broken(error), *sys.meta_path])
    signatures._import_error.cache_clear()
    try:
        found = read_provenance(c2pa_png(manifest("a", action(source=GENERATED))))
        assert (found.verdict, found.strength) == ("ai_generated", "not_checked")
        assert found.signature == SignatureCheck(error="c2pa-python can't be loaded: a b")
        with pytest.raises(UsageError, match="signatures can't be checked: c2pa-python can't be loaded: a b"):
            check_trust(str(tmp_path))
    finally:
        signatures._import_error.cache_clear()


@pytest.mark.parametrize(
    ("check", "unharmed"),
    [
        (SignatureCheck("Invalid", True, True, False, None, ("signingCredential.expired",)), True),
        (SignatureCheck("Invalid", None, True, False, None, ("assertion.action.malformed",)), True),
        (SignatureCheck("Invalid", True, True, True, None, ("assertion.hashedURI.mismatch",)), False),
        (SignatureCheck("Invalid", False, True, True, None, ("assertion.dataHash.mismatch",)), False),
        (SignatureCheck("Invalid", True, False, True, None, ("claimSignature.mismatch",)), False),
    ],
    ids=lambda value: value.codes[0] if isinstance(value, SignatureCheck) else "",
)
def test_only_a_mismatch_says_that_somebody_changed_it(check: SignatureCheck, unharmed: bool) -> None:
    assert check.is_unharmed == unharmed


def _missing(name: str) -> str:
    raise PackageNotFoundError(name)


def test_a_listed_signer_is_trusted_and_named(authority: tuple[Path, Any], signed: bytes) -> None:
    found = read_provenance(signed, ReadLimits(trust=str(authority[0])))
    assert (found.verdict, found.strength) == ("ai_generated", "signed_trusted")
    assert found.signature == SignatureCheck("Trusted", True, True, True)
    assert found.checked == verifier_words(str(authority[0])) != verifier_words(None)
    assert {(marker.signer, marker.says) for marker in found.markers} == {
        ("Example, Signer", "Maker, Example 1")
    }


def test_an_unlisted_signer_is_told(signed: bytes) -> None:
    found = read_provenance(signed)
    assert (found.verdict, found.strength) == ("ai_generated", "signed_untrusted")
    assert found.signature is not None
    assert (found.signature.signature_good, found.signature.signer_listed) == (True, False)


def test_changed_bytes_break_it_and_the_claim_stays(authority: tuple[Path, Any], signed: bytes) -> None:
    at = signed.rindex(b"IDAT") + 20
    changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
    found = read_provenance(changed, ReadLimits(trust=str(authority[0])))
    assert (found.verdict, found.strength) == ("ai_generated", "signed_broken")
    assert found.signature is not None
    assert (found.signature.bytes_unchanged, found.signature.codes) == (
        False,
        ("assertion.dataHash.mismatch",),
    )


def test_a_changed_parent_breaks_it(authority: tuple[Path, Any], signed: bytes) -> None:
    """One letter less in the parent's claim, and a checksum of PNG that fits again."""
    child = signed_png(authority[1], {}, parent=signed)
    trusted = read_provenance(child, ReadLimits(trust=str(authority[0])))
    assert (trusted.verdict, trusted.strength) == ("ai_generated", "signed_trusted")
    changed = with_checksums(child.replace(b"trainedAlgorithmicMedia", b"trainedAlgorithmicMedja"))
    found = read_provenance(changed, ReadLimits(trust=str(authority[0])))
    assert (found.verdict, found.strength) == ("no_ai_claim", "signed_broken")
    assert found.signature is not None
    assert found.signature.bytes_unchanged is False
    assert "assertion.hashedURI.mismatch" in found.signature.codes


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold."""
    chunks = [(chunk.kind, data[chunk.body : chunk.end]) for chunk in png_chunks(data)]
    return data[:8] + b"".join(png_chunk(kind, body) for kind, body in chunks)


def test_our_reader_finds_the_actions_that_the_verifier_finds(signed: bytes) -> None:
    import c2pa

    theirs = json.loads(c2pa.Reader("image/png", io.BytesIO(signed)).json())
    active = theirs["manifests"][theirs["active_manifest"]]
    (actions,) = (each for each in active["assertions"] if each["label"].startswith("c2pa.actions"))
    (marker,) = read_provenance(signed).markers
    assert [(each["action"], each["digitalSourceType"]) for each in actions["data"]["actions"]] == [
        (marker.key, marker.value)
    ]


def test_a_scan_checks_in_its_workers(
    sidscan: Run, authority: tuple[Path, Any], signed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(signed)
    sidscan("scan", "a.png", "--model", "mini", "--out", "r.json", "--trust", authority[0])
    (found,) = json.loads(Path("r.json").read_text(encoding="utf-8"))["findings"]
    provenance = found["facts"]["provenance"]
    assert provenance["strength"] == "signed_trusted"
    assert provenance["signature"]["signature_good"] is True
    out = sidscan("provenance", "a.png", "--trust", authority[0]).out
    assert "  Backed by a signature that fits, of a signer on a trust list.\n" in out
    assert "    bytes unchanged since signing: yes\n    signature fits: yes\n" in out
    assert "    signer on a trust list: yes\n" in out


def test_a_compressed_manifest_is_read_and_verified(authority: tuple[Path, Any]) -> None:
    pytest.importorskip("brotli", minversion="1.2", reason="the test needs Brotli 1.2")
    signed = signed_png(authority[1], {"core": {"prefer_compress_manifests": True}})
    assert b"brob" in signed
    found = read_provenance(signed, ReadLimits(trust=str(authority[0])))
    assert (found.verdict, found.strength) == ("ai_generated", "signed_trusted")
    assert (found.by, found.says) == (("c2pa-created",), ("Maker, Example 1",))


def test_what_the_verifier_refuses_keeps_its_claim() -> None:
    pytest.importorskip("c2pa", reason="the test needs c2pa-python")
    found = read_provenance(c2pa_png(manifest("a", action(source=GENERATED))))
    assert (found.verdict, found.strength) == ("ai_generated", "not_checked")
    assert found.signature is not None
    assert found.signature.error


def test_a_remote_manifest_is_not_fetched() -> None:
    found = read_provenance(xmp_jpeg("<t:provenance>http://127.0.0.1:9/a.c2pa</t:provenance>"))
    assert (found.verdict, found.signature) == ("held_elsewhere", None)
