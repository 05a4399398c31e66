"""How often a detector is right, by its card: synthetic images that it finds, photographs that it flags.

The figures are of images that the weights which scored them were not fitted on, at the card's threshold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

from sidscan.config import Effort
from sidscan.errors import ModelError
from sidscan.models.catalog import CATALOG
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.origins import REINSTALL, Bundled

Condition = Literal["as_is", "jpeg75"]
CONDITIONS: tuple[Condition, ...] = ("as_is", "jpeg75")
"""Images as they are, and saved again as JPEG of quality 75."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Figures of one detector under one effort.

    Attributes:
        images: what was scored, in words, e.g. ``whole images``.
        encoder: the encoder that it was measured with; None where it brings its own.
        threshold: the score at and above which an image counts as found or flagged.
        photographs, synthetic: number of images.
        found: share of the synthetic images, by `CONDITIONS`.
        flagged: share of the photographs, likewise.
        quantiles: logits that 0, 1, ... 100 % of the photographs, as they are, do not exceed; empty where
            nobody measured them.
    """

    images: str
    encoder: str | None
    threshold: float
    photographs: int
    synthetic: int
    found: Mapping[Condition, float]
    flagged: Mapping[Condition, float]
    quantiles: tuple[float, ...] = ()

    def percentile(self, logit: float) -> float | None:
        """Share of the photographs with a lower logit, in percent; None where nobody measured that."""
        if not self.quantiles:
            return None
        above = bisect_right(self.quantiles, logit)
        if above in (0, len(self.quantiles)):
            return 100.0 if above else 0.0
        low, high = self.quantiles[above - 1 : above + 1]
        return round((above - 1 + (logit - low) / (high - low)) * 100 / (len(self.quantiles) - 1), 1)

    @classmethod
    def from_card(cls, card: Mapping[str, Any], effort: Effort) -> Reliability | None:
        """What a card states of an effort; None where it states nothing.

        Raises:
            ValueError: it is not of this form.
        """
        stated = card.get("reliability", {})
        if effort not in stated.get("efforts", {}):
            return None
        figures = stated["efforts"][effort]
        try:
            shares = {name: {key: float(figures[key][name]) for key in CONDITIONS} for name in _SHARES}
            quantiles = tuple(map(float, figures.get("photograph_quantiles", ())))
            made = cls(
                images=str(stated["images"]),
                encoder=stated["encoder"],
                threshold=float(card["threshold"]),
                photographs=int(stated["photographs"]),
                synthetic=int(stated["synthetic"]),
                found=shares["found"],
                flagged=shares["flagged"],
                quantiles=quantiles,
            )
        except (KeyError, TypeError) as error:
            raise ValueError("figures are missing") from error
        if len(quantiles) == 1 or list(quantiles) != sorted(quantiles):
            raise ValueError("quantiles do not rise")
        return made


_SHARES = ("found", "flagged")


def stated_reliability(detector: DetectorInfo, effort: Effort) -> Reliability | None:
    """What the card of a detector says of an effort; None where there is no card of these very weights.

    Raises:
        ModelError: the card can't be read, or its figures are not of the expected form.
    """
    entry = CATALOG.get(detector.name)
    if entry is None or not isinstance(entry.origin, Bundled):
        return None
    card = _read(entry.name, entry.origin)
    weights = detector.files.get(entry.name), detector.threshold
    return card.efforts.get(effort) if weights == (card.sha256, card.threshold) else None


class _Card(NamedTuple):
    """What a card states of its weights, and of the efforts that were measured."""

    sha256: str
    threshold: float
    efforts: Mapping[Effort, Reliability]


@cache  # a scan asks for every batch, and a card is long
def _read(name: str, origin: Bundled) -> _Card:
    try:
        card = origin.facts()
        stated = {effort: Reliability.from_card(card, effort) for effort in get_args(Effort)}
        known = {effort: figures for effort, figures in stated.items() if figures}
        return _Card(str(card["sha256"]), float(card["threshold"]), known)
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"the card of {name} states unusable figures: {error}", REINSTALL) from error


def describe(detector: DetectorInfo, effort: Effort, calibrated: bool = False) -> dict[str, object]:
    """What a report's head says of a detector: figures, and a sentence that a person reads.

    Args:
        calibrated: whether the scan decides at a calibration's threshold instead of the card's.
    """
    figures = stated_reliability(detector, effort)
    measured = figures or stated_reliability(detector, "full")
    if measured is None:
        return {"sentence": _without_card(detector)}
    return {
        "sentence": _sentence(detector, measured, figures is not None, calibrated),
        "images": measured.images,
        "encoder": measured.encoder,
        "effort": effort if figures else "full",
        "threshold": measured.threshold,
        "photographs": measured.photographs,
        "synthetic": measured.synthetic,
        "found": dict(measured.found),
        "flagged": dict(measured.flagged),
        "card": f"sidscan models show {detector.name}",
    }


_UNKNOWN = (
    "{}: nothing is known of how many synthetic images it finds, or of how many photographs it flags: it has "
    "no card with such figures"
)


_BY_AUTHORS = "{0}: not measured by us; its authors' figures: `sidscan models show {0}`"


def _without_card(detector: DetectorInfo) -> str:
    entry = CATALOG.get(detector.name)
    by_authors = entry is not None and not isinstance(entry.origin, Bundled) and entry.metrics is not None
    return (_BY_AUTHORS if by_authors else _UNKNOWN).format(detector.name)


def _sentence(detector: DetectorInfo, measured: Reliability, same_effort: bool, calibrated: bool) -> str:
    found, flagged = (
        [round(100 * share[key]) for key in CONDITIONS] for share in (measured.found, measured.flagged)
    )
    remarks = []
    if not same_effort:
        remarks.append("measured with all ten crops, not with those of this scan")
    if calibrated:
        remarks.append(f"at the card's threshold {measured.threshold:g}, not the calibration's")
    if measured.encoder and measured.encoder not in detector.files:
        remarks.append(f"measured with {measured.encoder}")
    return (
        f"{detector.name}, in the test of its card: finds {found[0]} of 100 synthetic images, misses "
        f"{100 - found[0]}, and flags {flagged[0]} of 100 photographs; saved again as JPEG 75: "
        f"finds {found[1]}, flags {flagged[1]}"
        + "".join(f"; {remark}" for remark in remarks)
        + f" (sidscan models show {detector.name})"
    )
