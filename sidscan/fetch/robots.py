"""What an X-Robots-Tag header forbids. A scan reads it only with `--respect-robots`."""

from __future__ import annotations

import re
from collections.abc import Iterable

REFUSING_RULES = ("noai", "noimageai", "noindex", "noimageindex", "none")
"""Rules that forbid what a scan does: to use an image by machine, or to list it."""

_OUR_NAMES = ("sidscan", "*")
_RULES_WITH_VALUES = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_AGENT = re.compile(r"([a-z_-]+)\s*:(.*)", re.DOTALL)  # a product token, RFC 9309 section 2.2.1


def refusing_rule(headers: Iterable[str]) -> str | None:
    """The first rule that forbids the image to sidscan, of all X-Robots-Tag headers of a response.

    Commas separate rules. ``name:`` before a rule says that it and the rules after it apply to the robot of
    that name alone. Rules for other robots are ignored.
    """
    for header in headers:
        agent = "*"
        for part in header.lower().split(","):
            rule = part.strip()
            match = _AGENT.fullmatch(rule)
            if match and match[1] not in _RULES_WITH_VALUES:
                agent, rule = match[1], match[2].strip()
            if agent in _OUR_NAMES and rule in REFUSING_RULES:
                return rule
    return None
