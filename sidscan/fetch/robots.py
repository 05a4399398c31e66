"""What X-Robots-Tag says to machines. Read only with `--respect-robots`."""

from __future__ import annotations

import re
from collections.abc import Iterable

REFUSING_RULES = ("noai", "noimageai", "noindex", "noimageindex", "none")
"""Rules that forbid what a scan does: machine use of a picture, or listing it."""

_OUR_NAMES = ("sidscan", "*")
_RULES_WITH_VALUES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_AGENT = re.compile(r"([a-z_-]+)\s*:(.*)", re.DOTALL)  # a product token, RFC 9309 section 2.2.1


def refusing_rule(headers: Iterable[str]) -> str | None:
    """The first rule that forbids the picture to sidscan, of all X-Robots-Tag headers of an answer.

    Rules are separated by commas; ``name:`` in front of one says that it and those after it are for the
    robot of that name alone. Rules for others are not for us.
    """
    for header in headers:
        agent = "*"
        for part in header.lower().split(","):
            rule = part.strip()
            named = _AGENT.fullmatch(rule)
            if named and named[1] not in _RULES_WITH_VALUES:
                agent, rule = named[1], named[2].strip()
            if agent in _OUR_NAMES and rule in REFUSING_RULES:
                return rule
    return None
