"""Text from pictures and servers, made safe to show."""

from __future__ import annotations

import re
from collections.abc import Callable

Say = Callable[[str], None]
"""Takes words for the user."""

# Control characters but newline and tab, lone surrogates, and what turns the reading direction (UAX 9).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def safe(text: str) -> str:
    """``text`` with control, bidirectional and undecodable characters as visible escapes, e.g. ``\\x1b``."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
