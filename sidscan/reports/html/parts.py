"""The files that pages are made of, and the hashes by which a page allows its own style and script."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files


@cache
def page_part(name: str) -> str:
    """A file of the folder ``page``, as text."""
    return (files("sidscan.reports.html") / "page" / name).read_text(encoding="utf-8")


def csp_hash(source: str) -> str:
    """How a Content Security Policy names a style or script in the page (CSP Level 3, 2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
