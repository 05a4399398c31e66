"""A detector as reports name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.records.views import ImageView


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
        view: what it reads of an image; None for crops of native pixels.
    """

    name: str
    digest: str
    threshold: float
    files: dict[str, str]
    provenance: dict[str, str]
    abstention: Abstention = EVERY_IMAGE
    cascade: Cascade | None = None
    cautions: tuple[Caution, ...] = ()
    view: ImageView | None = None

    @property
    def probed(self) -> tuple[str, ...]:
        """The kinds of its cautions that its head tells, in order."""
        return tuple(caution.kind for caution in self.cautions if caution.told_by == "probe")


def reading_crops(detectors: Sequence[DetectorInfo]) -> tuple[DetectorInfo, ...]:
    """Those that read crops of native pixels, in order: their logits are the first columns of a runtime's."""
    return tuple(detector for detector in detectors if detector.view is None)


def views_of(detectors: Sequence[DetectorInfo]) -> tuple[ImageView, ...]:
    """The different pictures of an image that the others read."""
    return tuple(dict.fromkeys(detector.view for detector in detectors if detector.view is not None))


def probe_columns(detectors: Sequence[DetectorInfo]) -> list[tuple[str, str]]:
    """Detector and kind of every column of `Runtime.logits` after those of the detectors themselves."""
    return [(detector.name, kind) for detector in detectors for kind in detector.probed]
