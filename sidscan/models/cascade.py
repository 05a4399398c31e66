"""When one crop of an image, or five, are enough for a detector: its cascade over the ten crops.

The numbers belong to a detector's weights and card. They are measured so that few images change sides of the
threshold against scores from all ten crops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Cascade:
    """How close to the threshold a logit must lie, so that more crops are computed.

    Attributes:
        centre: logits. The corners follow unless the centre's logit is further than this below the
            threshold's.
        mirrors: logits. The mirror images follow if the mean of the five is no further than this from it.

    Raises:
        ValueError: a value is negative or not finite.
    """

    centre: float
    mirrors: float

    def __post_init__(self) -> None:
        """Refuse what can't be a distance."""
        if not all(math.isfinite(value) and value >= 0 for value in (self.centre, self.mirrors)):
            raise ValueError("cascade")

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Cascade:
        """The inverse of `dataclasses.asdict`, after JSON.

        Raises:
            ValueError: a field is missing or unknown, or a value is not a number that the class takes.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(raw, Mapping) or set(raw) != names:
            raise ValueError("cascade")
        if any(type(value) not in (int, float) for value in raw.values()):
            raise ValueError("cascade")
        return cls(**{name: float(value) for name, value in raw.items()})

    @classmethod
    def from_optional(cls, raw: Mapping[str, Any] | None) -> Cascade | None:
        """The same, but None for None: cards, checkpoints and graphs need not state one.

        Raises:
            ValueError: as `from_dict`.
        """
        return None if raw is None else cls.from_dict(raw)
