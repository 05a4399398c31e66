"""What only a person can say of a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """What a person says of a data set; empty where nobody said it.

    Attributes:
        licence: its address, or its name in SPDX's list.
        creator: an organisation, or a group.
        published: a date, YYYY-MM-DD.
    """

    name: str
    description: str = ""
    licence: str = ""
    creator: str = ""
    url: str = ""
    published: str = ""

    def missing(self) -> list[str]:
        """Names of options of what nobody said, and Croissant requires."""
        asked = ("description", "licence", "creator", "url", "published")
        return [f"--{name}" for name in asked if not getattr(self, name)]
