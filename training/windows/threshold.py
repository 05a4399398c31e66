"""The threshold of a detector, from logits of photographs whose repositories it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .corpus import Window
from .sampling_weights import repository_weights

FALSE_POSITIVE_RATE = 0.05  # weighted share of photographs above the threshold
THRESHOLD_MADE = (
    "5 % false positives on photographs of repositories left out of the fit (five folds), a repository of n "
    "weighing as the square root of n; ten-crop, as they are"
)


def weighted_threshold(logits: Tensor, photographs: Sequence[Window]) -> float:
    """The score that FALSE_POSITIVE_RATE of the photographs exceed: logits (windows,).

    Photographs weigh as in training, a repository of n by n ** REPOSITORY_POWER. The next archive will be a
    new one, so no large repository of ours may set the threshold alone.
    """
    order = logits.argsort(descending=True)
    above = repository_weights(photographs)[order].cumsum(dim=0)
    first_below = int((above <= FALSE_POSITIVE_RATE * above[-1]).sum())
    return float(logits[order[first_below]].sigmoid())
