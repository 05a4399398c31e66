"""What a sample says of all images of a run: an estimate of the share above the threshold, with an interval.

Each image counts by the inverse of its chance to be in the sample, which follows from the size of its folder
(`journal.turns`; Hajek's estimator). The interval is Wilson's, of the effective size of the sample (Kish: the
square of the sum of the weights, by the sum of their squares). It takes no account of the strata, and none of
a sample that is a large part of the whole; either would make it narrower.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from sidscan.journal import Journal
from sidscan.records import EVIDENCE_WORDS, SampleRecord, ScanResult

_Z = 1.959964  # of a normal distribution, for 95 %
_FEWEST = 30  # images; fewer say too little
_ABOVE = EVIDENCE_WORDS[: EVIDENCE_WORDS.index("weak")]


@dataclass(frozen=True, slots=True)
class SampleEstimate:
    """What was seen of a sample, and what follows for all images.

    Attributes:
        images: images of the sample that have a result.
        above: how many of them have moderate evidence or more.
        rate, low, high: the share of all images, and its 95 % interval; None if there are too few images.
    """

    images: int
    above: int
    rate: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(record: Journal, sample: SampleRecord) -> SampleEstimate:
    """The estimate by the images that had their turn."""
    seen = [(_is_above(result), key, size) for result, key, size in record.sampled()]
    above = sum(is_above for is_above, _, _ in seen)
    if len(seen) < _FEWEST:
        return SampleEstimate(len(seen), above)
    last, average = seen[-1][1], sample.folders / sample.images
    weights = [1 / chance(size, last, average) for _, _, size in seen]
    total = sum(weights)
    rate = sum(weight for weight, (is_above, _, _) in zip(weights, seen, strict=True) if is_above) / total
    return SampleEstimate(len(seen), above, rate, *wilson(rate, total**2 / sum(each**2 for each in weights)))


def chance(size: int, last: float, average: float) -> float:
    """The chance of an image to have a key of at most ``last``.

    Args:
        size: images of its folder.
        average: folders per image of the run.
    """
    first = min(1.0, last / min(1 / size, average))
    return min(1.0, (first + max(0.0, last * size - 1)) / size)


def wilson(rate: float, size: float) -> tuple[float, float]:
    """The 95 % interval of a share that was found in a sample (Wilson 1927)."""
    middle = (rate + _Z**2 / (2 * size)) / (1 + _Z**2 / size)
    half = _Z * sqrt(rate * (1 - rate) / size + _Z**2 / (4 * size**2)) / (1 + _Z**2 / size)
    return max(0.0, middle - half), min(1.0, middle + half)


def _is_above(result: ScanResult) -> bool:
    return result.strongest is not None and result.strongest.evidence in _ABOVE
