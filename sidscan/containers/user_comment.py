"""Text of EXIF's UserComment, where generators put prompts (EXIF 2.3, section 4.6.5)."""

from __future__ import annotations

_SHORTEST_UTF_8 = 16  # bytes: shorter ones may be Chinese in UTF-16


def decode_user_comment(raw: bytes) -> str | None:
    """The text; None where its first eight bytes name a code that is neither UNICODE nor ASCII nor none."""
    code, text = raw[:8].rstrip(b"\x00 "), raw[8:]
    if code == b"UNICODE":
        return _decode_utf_16(text).strip("\x00")
    return text.decode("utf-8", "backslashreplace").strip("\x00") if code in (b"ASCII", b"") else None


def _decode_utf_16(text: bytes) -> str:
    """Text whose byte order EXIF does not state: a mark may, else zeros do, which letters of ASCII hold.

    Without any zero it may be UTF-8, which some writers put there.
    """
    if text.startswith((b"\xfe\xff", b"\xff\xfe")):
        return text.decode("utf-16", "replace")
    high, low = text[::2].count(0), text[1::2].count(0)
    if high == low == 0 and len(text) >= _SHORTEST_UTF_8:
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            pass
    return text.decode("utf-16-be" if high > low else "utf-16-le", "replace")
