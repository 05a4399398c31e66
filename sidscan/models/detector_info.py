"""A detector as reports name it."""

from __future__ import annotations

from dataclasses import dataclass

from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """What a report says of a detector.

    Attributes:
        digest: first 16 hex digits of the sha256 of each weights file, head before encoder, joined by ``+``.
        threshold: score at which evidence stops being weak.
        files: full sha256 per weights file, by catalog name.
        provenance: how each file was verified, by catalog name.
        abstention: which images its evidence has no word for.
        cascade: when fewer than ten crops are enough; None where nobody measured that.
    """

    name: str
    digest: str
    threshold: float
    files: dict[str, str]
    provenance: dict[str, str]
    abstention: Abstention = EVERY_IMAGE
    cascade: Cascade | None = None
