"""Mask user names and passwords in URLs before they are shown or recorded."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")
_AUTHORITY = re.compile(r"[^/?#]*")  # RFC 3986, section 3.2
_HOST_AND_PORT = re.compile(r"[^:\[]*(\[[^\]]*\])?(:\d*)?")
MASK = "***"


def mask_credentials(url: str) -> str:
    """``url`` with ``***`` in the place of a user name and password; any other text unchanged.

    A password with an unescaped ``/``, ``?`` or ``#`` makes a URL invalid, but people write such URLs. What
    looks like a password is masked up to its ``@``.
    """
    scheme = _SCHEME.match(url)
    if not scheme:
        return url
    rest = url[scheme.end() :]
    match = _AUTHORITY.match(rest)
    authority = match[0] if match else ""
    if "@" in authority:
        return f"{scheme[0]}{MASK}@{authority.rpartition('@')[2]}{rest[len(authority) :]}"
    if "@" in rest and not _HOST_AND_PORT.fullmatch(authority):
        return f"{scheme[0]}{MASK}@{rest.rpartition('@')[2]}"
    return url
