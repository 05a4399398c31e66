"""Names of cameras, lenses and programs in EXIF, where some generators write whole graphs and prompts."""

from __future__ import annotations

_LONGEST = 128  # characters of a name
_BEGINNING = 60  # characters that are shown of a longer text


def is_name(stated: str) -> bool:
    """Whether it may be a name: short, and no JSON."""
    return len(stated) <= _LONGEST and "{" not in stated


def shortened(stated: str | None) -> str | None:
    """A name as EXIF states it; of what is too long for one, the beginning and the length."""
    if stated is None or len(stated) <= _LONGEST:
        return stated
    return f"{stated[:_BEGINNING]} ... ({len(stated):,} characters, all of them in JSON)"
