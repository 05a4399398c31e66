"""Everything that the scores of an evaluation depend on besides test sets and models."""

from __future__ import annotations

from dataclasses import dataclass

from sidscan.config import Crops, Device, Precision
from sidscan.errors import UsageError
from sidscan.training.common.degradations import Degradation, find_degradation
from sidscan.training.common.extras import import_extra

from . import perturbations


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """Everything that scores depend on besides test sets and models.

    Attributes:
        crops: the centre crop, as published for the 20 sets, or ten crops, as published for Synthbuster.
        perturbation: a name in `perturbations.PERTURBATIONS`, that of a `Degradation`, or empty.
        seed: of the perturbations.
        device, precision, workers, batch: as for a scan.
        skip_unreadable: record an image that can't be read as a row with an error, instead of stopping.
    """

    crops: Crops = "center"
    perturbation: str = ""
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "auto"
    workers: int | None = None
    batch: int | None = None
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        """Checks the perturbation.

        Raises:
            UsageError: the perturbation is unknown, or is one of the paper and combined with ten crops.
            RuntimeUnavailable: OpenCV is not installed.
        """
        if self.perturbation and self.degradation is None:
            if self.perturbation not in perturbations.PERTURBATIONS:
                known = ", ".join(perturbations.PERTURBATIONS)
                raise UsageError(f"no perturbation is called {self.perturbation}", f"Choose among {known}.")
            if self.crops == "ten":
                raise UsageError("perturbed images have a centre crop only", "Add --crops center.")
        if self.perturbation:
            import_extra("cv2")

    @property
    def degradation(self) -> Degradation | None:
        """What happens to every image alike; None where nothing does, or perturbations are drawn."""
        return find_degradation(self.perturbation)

    @property
    def is_drawn(self) -> bool:
        """Whether images with equal bytes are perturbed differently."""
        return bool(self.perturbation) and self.degradation is None

    @property
    def is_random(self) -> bool:
        """Whether scores depend on the seed."""
        return self.is_drawn or (self.degradation is not None and self.degradation.is_random)
