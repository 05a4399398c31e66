"""A file without what its pixels don't need, and what was left out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

METADATA, FRAMES = "metadata_skipped", "first_frame"  # flags


@dataclass(frozen=True)
class PixelsOnly:
    """A file without what its pixels don't need.

    Attributes:
        flags: what was left out, `METADATA` or `FRAMES` or both.
        info: EXIF that was left out and is not damaged, under Pillow's names.
    """

    data: bytes
    flags: tuple[str, ...] = ()
    info: Mapping[str, bytes | str] = field(default_factory=dict)
