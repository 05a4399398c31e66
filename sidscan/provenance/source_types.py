"""IPTC's terms for how an image came about (NewsCodes, Digital Source Type), as XMP and C2PA state them."""

from __future__ import annotations

GENERATED = frozenset(("trainedalgorithmicmedia",))
"""A model made all of it."""
PARTLY = frozenset(("compositewithtrainedalgorithmicmedia", "compositesynthetic", "trainedalgorithmicdata"))
"""A model made parts of it, or data in it: anything from a speck to almost all."""
CAPTURED = frozenset(("digitalcapture", "computationalcapture", "multiframecomputationalcapture"))
"""A camera took it."""


def term(stated: str) -> str:
    """The term of a URI such as ``http://cv.iptc.org/newscodes/digitalsourcetype/TERM``, or a bare one."""
    return stated.strip().rstrip("/").rpartition("/")[2].casefold()
