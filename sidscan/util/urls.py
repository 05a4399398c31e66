"""Mask user names and passwords in URLs before they are shown or recorded."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")
_AUTHORITY = re.compile(r"[^/?#]*")  # RFC 3986, section 3.2
_HOST_AND_PORT = re.compile(r"[^:\[]*(\[[^\]]*\])?(:\d+)?")
MASK = "***"


def mask_credentials(url: str) -> str:
    """``url`` with ``***`` in the place of a user name and password; any other text unchanged.

    A password with an unescaped ``/``, ``?`` or ``#`` makes a URL invalid, but people write such URLs. What
    looks like a password is masked up to its ``@``. Two kinds of invalid passwords look like a host instead
    and stay: digits before the first such character (``http://host:80/a@b``), and an ``@`` before it
    (``http://user@host/a@b``).
    """
    scheme = _SCHEME.match(url)
    if not scheme:
        return url
    rest = url[scheme.end() :]
    match = _AUTHORITY.match(rest)
    authority = match[0] if match else ""
    path = rest[len(authority) :]
    _, has_user, host = authority.rpartition("@")
    if has_user and (host or "@" not in path):
        return f"{scheme[0]}{MASK}@{host}{path}"
    if "@" in path and (has_user or not _HOST_AND_PORT.fullmatch(authority)):
        return f"{scheme[0]}{MASK}@{path.rpartition('@')[2]}"
    return url
