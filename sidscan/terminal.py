"""Text from pictures and servers, made safe for a terminal."""

from __future__ import annotations

_LAYOUT = "\n\r\t"


def safe(text: str) -> str:
    """``text`` with control, bidirectional and undecodable characters as visible escapes, e.g. ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _LAYOUT else c.encode("unicode_escape").decode() for c in text
    )
