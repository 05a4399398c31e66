"""Signatures of C2PA manifests, verified by c2pa-python (extra ``c2pa``) without any network.

Its one word for a file (Trusted, Valid, Invalid) mixes three questions, so these are asked apart: are the
bytes unchanged, does the signature fit, is its signer on a list? `Invalid` is the normal state of genuine
images whose certificate has expired and that have no time stamp, such as ChatGPT's of 2025.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sidscan.errors import UsageError
from sidscan.records import SignatureCheck

_CHANGED = frozenset(
    f"assertion.{name}.mismatch"
    for name in ("dataHash", "bmffHash", "boxesHash", "collectionHash", "hashedURI")
) | {"hashedURI.mismatch"}
_UNCHANGED = frozenset(f"assertion.{name}.match" for name in ("dataHash", "bmffHash", "boxesHash"))
# A parent's claim or signature is not what its child signed.
_CHANGED_PARENT = _CHANGED | {"ingredient.manifest.mismatch", "ingredient.claimSignature.mismatch"}
_BAD_SIGNATURE, _GOOD_SIGNATURE = "claimSignature.mismatch", "claimSignature.validated"
_OF_PARENTS = _CHANGED_PARENT | {_BAD_SIGNATURE}  # who signed them, and when, is their child's to judge
_LISTED, _UNLISTED = "signingCredential.trusted", "signingCredential.untrusted"
_MOST_CODES = 50
# Extended key usages by which a certificate may sign: e-mail, documents, time stamps, OCSP, Microsoft, C2PA.
_KEY_USAGES = (
    *("1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9"),
    *("1.3.6.1.4.1.311.76.59.1.9", "1.3.6.1.4.1.62558.2.1"),
)
_ALLOWED = "allowed.sha256.txt"  # hashes of single certificates that are trusted without a root


@dataclass(frozen=True)
class TrustLists:
    """Who counts as listed.

    Attributes:
        anchors: certificates of roots, PEM.
        allowed: hashes of certificates, one a line.
        digest: identifies all of it.
    """

    anchors: str
    allowed: str
    digest: str


@cache
def trust_lists(folder: str | None) -> TrustLists:
    """The bundled lists, or those of a folder: all its .pem files, and allowed.sha256.txt if it is there.

    Raises:
        OSError: a file can't be read.
        ValueError: the folder holds no certificate.
    """
    root = Path(folder) if folder else resources.files("sidscan.provenance") / "trust"
    entries = sorted(root.iterdir(), key=lambda entry: entry.name)
    pems = [entry.read_text(encoding="ascii") for entry in entries if entry.name.endswith(".pem")]
    allowed = "".join(entry.read_text(encoding="ascii") for entry in entries if entry.name == _ALLOWED)
    anchors = "\n".join(pems)
    if "-----BEGIN CERTIFICATE-----" not in anchors:
        raise ValueError(f"{folder} holds no .pem file with certificates")
    return TrustLists(anchors, allowed, hashlib.sha256((anchors + allowed).encode()).hexdigest()[:16])


def check_trust(folder: str | None) -> None:
    """Refuse trust lists that can't be used.

    Raises:
        UsageError: a folder is named, and it holds no lists, or nothing here verifies signatures.
    """
    if folder is None:
        return
    try:
        trust_lists(folder)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"can't read the trust lists in {folder}: {error}", "Name a folder of .pem files."
        ) from error
    if not verifier_words(folder):
        raise UsageError(
            "signatures can't be checked: c2pa-python is not installed",
            "`pip install c2pa-python`, or leave out --trust.",
        )
    if reason := _import_error():
        raise UsageError(
            f"signatures can't be checked: {reason}",
            "`pip install --force-reinstall c2pa-python`, or leave out --trust.",
        )


def verifier_words(folder: str | None) -> str:
    """What verifies signatures, e.g. ``c2pa-python 0.38.1, trust lists 0123456789ab``; empty without it."""
    try:
        number = version("c2pa-python")
    except PackageNotFoundError:
        return ""
    return f"c2pa-python {number}, trust lists {trust_lists(folder).digest}"


def check_signature(data: bytes, folder: str | None) -> SignatureCheck:
    """What is right about the manifests of a file.

    Args:
        folder: of other trust lists than the bundled ones.
    """
    if reason := _import_error():
        return SignatureCheck(error=reason)
    import c2pa  # here: it takes 0.1 seconds, and most files have no manifest

    try:
        reader = c2pa.Reader.try_create(None, io.BytesIO(data), context=_context(folder))
        if reader is None:
            return SignatureCheck(error="c2pa-python finds no manifest")
        with reader:
            return _of_report(json.loads(reader.json()))
    except Exception as error:  # its errors have classes of their own; whatever it is, nothing was verified
        return SignatureCheck(error=" ".join(str(error).split())[:200] or type(error).__name__)


@cache
def _import_error() -> str:
    """Why the verifier can't be loaded, although it is installed; empty if it can."""
    try:
        import c2pa  # noqa: F401
    except Exception as error:  # a library of the system is missing, or another package has its name
        return f"c2pa-python can't be loaded: {' '.join(str(error).split())[:200] or type(error).__name__}"
    return ""


@cache
def _context(folder: str | None) -> Any:
    """Settings that keep it off the network: no remote manifests, no OCSP, no identities, no hosts."""
    import c2pa

    lists = trust_lists(folder)
    settings = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "core": {"decode_identity_assertions": False, "allowed_network_hosts": []},
        "trust": {
            "trust_anchors": lists.anchors,
            "allowed_list": lists.allowed,
            "trust_config": "\n".join(_KEY_USAGES),
        },
    }
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _of_report(report: Mapping[str, Any]) -> SignatureCheck:
    results = report.get("validation_results") or {}
    active = results.get("activeManifest") or {}
    passed, failed = set(_codes(active, "success")), set(_codes(active, "failure"))
    for delta in results.get("ingredientDeltas") or ():
        failed |= set(_codes(delta.get("validationDeltas") or {}, "failure")) & _OF_PARENTS
    info = (report.get("manifests") or {}).get(report.get("active_manifest")) or {}
    signed_at = (info.get("signature_info") or {}).get("time")
    return SignatureCheck(
        state=str(report.get("validation_state") or ""),
        bytes_unchanged=_answer(passed & _UNCHANGED, failed & _CHANGED_PARENT),
        signature_good=_answer(passed & {_GOOD_SIGNATURE}, failed & {_BAD_SIGNATURE}),
        signer_listed=_answer(passed & {_LISTED}, failed & {_UNLISTED}),
        signed_at=signed_at if isinstance(signed_at, str) else None,
        codes=tuple(sorted(failed))[:_MOST_CODES],
    )


def _codes(results: Mapping[str, Any], kind: str) -> Iterable[str]:
    return (str(entry.get("code")) for entry in results.get(kind) or ())


def _answer(passed: set[str], failed: set[str]) -> bool | None:
    """Whether it is so; None where nothing says."""
    return False if failed else True if passed else None
