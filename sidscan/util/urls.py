"""URLs as they may be shown and recorded: without user names and passwords."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")
_AUTHORITY = re.compile(r"[^/?#]*")  # RFC 3986, section 3.2
_HOST_AND_PORT = re.compile(r"[^:\[]*(\[[^\]]*\])?(:\d*)?")
MASK = "***"


def mask_credentials(url: str) -> str:
    """``url`` with ``***`` in the place of a user name and password; any other text as it is.

    A password with an unescaped ``/``, ``?`` or ``#`` is no valid URL, but people write them: what looks
    like one is hidden up to its ``@``.
    """
    start = _SCHEME.match(url)
    if not start:
        return url
    rest = url[start.end() :]
    authority = _AUTHORITY.match(rest)
    named = authority[0] if authority else ""
    if "@" in named:
        return f"{start[0]}{MASK}@{named.rpartition('@')[2]}{rest[len(named) :]}"
    if "@" in rest and not _HOST_AND_PORT.fullmatch(named):
        return f"{start[0]}{MASK}@{rest.rpartition('@')[2]}"
    return url
