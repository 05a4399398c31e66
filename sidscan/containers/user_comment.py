"""Text of EXIF's UserComment, where generators put prompts (EXIF 2.3, section 4.6.5)."""

from __future__ import annotations


def decode_user_comment(raw: bytes) -> str | None:
    """The text; None where its first eight bytes name a code that is neither UNICODE nor ASCII nor none."""
    code, text = raw[:8].rstrip(b"\x00 "), raw[8:]
    if code == b"UNICODE":  # EXIF does not state the byte order; ASCII letters reveal it
        order = "utf-16-be" if text[:2:2] == b"\x00" else "utf-16-le"
        return text.decode(order, "replace").strip("\x00")
    return text.decode("utf-8", "backslashreplace").strip("\x00") if code in (b"ASCII", b"") else None
