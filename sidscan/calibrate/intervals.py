"""Exact laws of the rate that a conformal threshold delivers. They need only order statistics, not SciPy.

Take n calibration scores without ties; images above the k-th highest of them are flagged. The rate at which
camera images are flagged follows Beta(k, n + 1 - k). The number of flags among N camera images follows the
beta-binomial law (Vovk, "Conditional validity of inductive conformal predictors", 2012; David and Nagaraja,
"Order Statistics", 2.3).
"""

from __future__ import annotations

from math import lgamma

import numpy as np
from numpy.typing import NDArray

_Logs = NDArray[np.float64]


def rate_quantile(probability: float, k: int, n: int) -> float:
    """Quantile of Beta(k, n + 1 - k), 1 <= k <= n, accurate to 1e-12."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if rate_cdf(middle, k, n) < probability:
            low = middle
        else:
            high = middle
    return high


def rate_cdf(rate: float, k: int, n: int) -> float:
    """P(Beta(k, n + 1 - k) <= rate), which is P(Binomial(n, rate) >= k), for 0 < rate < 1."""
    below = np.arange(k)
    logs = _log_choose(n, k) + below * np.log(rate) + (n - below) * np.log1p(-rate)
    return 1 - _sum_of_exp(logs)


def count_quantile(probability: float, k: int, n: int, archive: int) -> int:
    """The smallest m with P(at most m of ``archive`` images exceed the k-th highest) >= ``probability``."""
    low, high = -1, archive
    while high - low > 1:
        middle = (low + high) // 2
        if count_cdf(middle, k, n, archive) < probability:
            low = middle
        else:
            high = middle
    return high


def count_cdf(m: int, k: int, n: int, archive: int) -> float:
    """P(at most m of ``archive`` images exceed the k-th highest of n).

    More than m exceed it where the m + k highest of all n + ``archive`` hold fewer than k calibration images.
    """
    if m >= archive:
        return 1.0
    top = m + k
    log_all = _log_binomial(n + archive, top)
    others = np.array([_log_binomial(archive, top - below) for below in range(k)])
    return 1 - _sum_of_exp(_log_choose(n, k) + others - log_all)


def _log_choose(n: int, k: int) -> _Logs:
    """log C(n, c) for c = 0 .. k - 1."""
    steps = np.arange(1, k)
    return np.concatenate([[0.0], np.cumsum(np.log((n - steps + 1) / steps))])


def _log_binomial(n: int, k: int) -> float:
    if not 0 <= k <= n:
        return -np.inf
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _sum_of_exp(logs: _Logs) -> float:
    return float(min(1.0, np.exp(logs).sum()))
