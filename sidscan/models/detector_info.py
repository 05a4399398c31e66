"""A detector as reports name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution


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
        cautions: kinds of real images that it calls synthetic too often, and that a row can tell.
    """

    name: str
    digest: str
    threshold: float
    files: dict[str, str]
    provenance: dict[str, str]
    abstention: Abstention = EVERY_IMAGE
    cascade: Cascade | None = None
    cautions: tuple[Caution, ...] = ()

    @property
    def probed(self) -> tuple[str, ...]:
        """The kinds of its cautions that its head tells, in order."""
        return tuple(caution.kind for caution in self.cautions if caution.told_by == "probe")


def probe_columns(detectors: Sequence[DetectorInfo]) -> list[tuple[str, str]]:
    """Detector and kind of every column of `Runtime.logits` after those of the detectors themselves."""
    return [(detector.name, kind) for detector in detectors for kind in detector.probed]
