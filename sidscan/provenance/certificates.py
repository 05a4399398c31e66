"""Names in a certificate (X.509, RFC 5280) and in the signature that holds it (COSE, RFC 9052), unchecked."""

from __future__ import annotations

_X5CHAIN = (33, "x5chain")  # RFC 9360, section 2; the text is what early writers used
_NAMES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O"}  # 2.5.4.3 and 2.5.4.10
_SEQUENCE, _CONTEXT_0 = 0x30, 0xA0
_MOST_NAMES = 32


def signer_of(signature: object, protected: object) -> str:
    """Organisation and common name of the certificate that a signature names; empty where there is none.

    Args:
        signature: COSE_Sign1, decoded: its headers, payload and signature.
        protected: its protected header, decoded.
    """
    if not isinstance(signature, list) or len(signature) != 4:
        return ""
    for header in (protected, signature[1]):
        if isinstance(header, dict):
            for key in _X5CHAIN:
                chain = header.get(key)
                first = chain[0] if isinstance(chain, list) and chain else chain
                if isinstance(first, bytes):
                    return subject_of(first)
    return ""


def subject_of(certificate: bytes) -> str:
    """Organisation and common name of a certificate's subject, e.g. ``Google LLC, Google Media``."""
    try:
        names = _subject(certificate)
    except (IndexError, ValueError):
        return ""
    stated = (names.get(name, "") for name in ("O", "CN"))
    return ", ".join(dict.fromkeys(filter(None, stated)))[:200]


def _subject(certificate: bytes) -> dict[str, str]:
    _, body, _ = _element(certificate, 0)
    _, at, _ = _element(certificate, body)  # the part that is signed
    kind, start, end = _element(certificate, at)
    if kind == _CONTEXT_0:  # the version, which may be missing
        at = end
    for _ in range(4):  # serial number, algorithm, issuer, validity
        _, _, at = _element(certificate, at)
    _, start, end = _element(certificate, at)
    found: dict[str, str] = {}
    for _ in range(_MOST_NAMES):
        if start >= end:
            break
        _, relative, start = _element(certificate, start)
        _, attribute, _ = _element(certificate, relative)
        _, oid, oid_end = _element(certificate, attribute)
        kind, value, value_end = _element(certificate, oid_end)
        if name := _NAMES.get(certificate[oid:oid_end]):
            encoding = "utf-16-be" if kind == 0x1E else "utf-8"
            found.setdefault(name, certificate[value:value_end].decode(encoding, "replace"))
    return found


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """A DER element (X.690): its kind, and where its content begins and ends."""
    kind, size, start = data[at], data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("no length of DER")
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    if start + size > len(data):
        raise ValueError("truncated")
    return kind, start, start + size
