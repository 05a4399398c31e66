"""Kinds of real images that a detector calls synthetic too often, and what tells that an image is one.

A detector's card measures false positives by kind of image. Where one has too many, a score above the
threshold means less, so rows of such images carry the kind's word. Score and evidence stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from sidscan.records import ImageInfo

LOSSLESS = "lossless"


@dataclass(frozen=True, slots=True)
class Caution:
    """A kind of real image with too many false positives, as a detector's card states it.

    Attributes:
        kind: its word in reports, e.g. ``drawn``.
        told_by: ``file`` where what is known of the file tells it (`ImageInfo`); ``probe`` where the head
            does, from what the encoder sees.
        false_positive_rate: share of the card's real images of this kind that reach the threshold.
        images: how many these are.
        threshold: the least mean logit of the probe over the crops; None where the file tells.

    Raises:
        ValueError: a value is of another type or out of its range.
    """

    kind: str
    told_by: Literal["file", "probe"]
    false_positive_rate: float
    images: int
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be told."""
        by_file, by_probe = self.told_by == "file", self.told_by == "probe"
        if by_file and self.kind not in (LOSSLESS,):
            raise ValueError("kind")
        if not self.kind.isidentifier() or by_file is by_probe or by_probe is (self.threshold is None):
            raise ValueError("told_by")
        if not 0 <= self.false_positive_rate <= 1 or not math.isfinite(self.threshold or 0):
            raise ValueError("false_positive_rate or threshold")

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Caution:
        """The inverse of `dataclasses.asdict`, after JSON.

        Raises:
            ValueError: a field is missing or unknown, or a value is not one that the class takes.
        """
        if not isinstance(raw, Mapping) or set(raw) != {field.name for field in fields(cls)}:
            raise ValueError("cautions")
        texts, numbers = (raw["kind"], raw["told_by"]), (raw["false_positive_rate"], raw["threshold"] or 0)
        if not all(type(text) is str for text in texts) or type(raw["images"]) is not int:
            raise ValueError("cautions")
        if any(type(number) not in (int, float) for number in numbers):
            raise ValueError("cautions")
        return cls(**raw)

    @classmethod
    def all_from(cls, raw: object) -> tuple[Caution, ...]:
        """Those of a card or graph, which need not state any: a list after JSON, or None.

        Raises:
            ValueError: as `from_dict`; or it is not a list, or two are of one kind.
        """
        if raw is None:
            return ()
        if not isinstance(raw, list):
            raise ValueError("cautions")
        cautions = tuple(cls.from_dict(each) for each in raw)
        if len({caution.kind for caution in cautions}) < len(cautions):
            raise ValueError("cautions")
        return cautions

    def holds(self, facts: ImageInfo, probes: Mapping[str, float]) -> bool:
        """Whether an image looks like one of this kind.

        Args:
            probes: mean logit over the crops, by kind.
        """
        if self.threshold is None:
            return facts.lossless is True
        return probes[self.kind] >= self.threshold
