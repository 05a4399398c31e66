"""The rates that a conformal threshold delivers, compared with SciPy's distributions and with simulations."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from sample_calibrations import calibration

from sidscan.calibrate.intervals import count_cdf, count_quantile, rate_cdf, rate_quantile
from sidscan.calibrate.run import delivered_rate_interval, expected_false_flags, has_ties_at_threshold

CASES = [(1, 19), (3, 59), (50, 999), (1, 1), (9, 9), (2500, 50_000)]


@pytest.mark.parametrize(("k", "n"), CASES)
def test_rates_follow_the_beta_law(k: int, n: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for probability in (0.025, 0.5, 0.975):
        quantile = rate_quantile(probability, k, n)
        assert quantile == pytest.approx(stats.beta(k, n + 1 - k).ppf(probability), rel=1e-6, abs=1e-11)
        assert rate_cdf(quantile, k, n) == pytest.approx(probability, abs=1e-6)


@pytest.mark.parametrize(("k", "n"), CASES[:-1])
@pytest.mark.parametrize("archive", [1, 7, 5000])
def test_counts_follow_the_beta_binomial_law(k: int, n: int, archive: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    law = stats.betabinom(archive, k, n + 1 - k)
    for m in {0, archive // 3, archive - 1, archive}:
        assert count_cdf(m, k, n, archive) == pytest.approx(law.cdf(m), abs=1e-8)
    for probability in (0.025, 0.975):
        m = count_quantile(probability, k, n, archive)
        assert law.cdf(m) >= probability - 1e-8
        assert m == 0 or law.cdf(m - 1) < probability + 1e-8


def test_counts_equal_an_enumeration_of_all_orders() -> None:
    """Of 3 calibration and 4 other images, all 35 orders are equally likely."""
    # If the second highest calibration image is the r-th highest of all, r - 2 other images are above it.
    orders = {r - 2: (r - 1) * (7 - r) for r in range(2, 7)}
    assert sum(orders.values()) == comb(7, 3)
    for m in range(5):
        assert count_cdf(m, 2, 3, 4) == pytest.approx(sum(orders[i] for i in range(m + 1)) / 35)


def test_the_largest_archive_gets_an_answer() -> None:
    low, high = (count_quantile(p, 500, 10_000, 10**9) / 10**9 for p in (0.025, 0.975))
    assert low == pytest.approx(rate_quantile(0.025, 500, 10_000), rel=1e-3)
    assert high == pytest.approx(rate_quantile(0.975, 500, 10_000), rel=1e-3)


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_of_the_delivered_rate_covers_it(ties: bool) -> None:
    rng = np.random.default_rng(11)
    trials, covered = 600, 0
    for _ in range(trials):
        draws = rng.uniform(size=100)
        drawn = calibration(np.floor(draws * 12) if ties else draws, 0.2)
        top = drawn.logits[-drawn.rank]
        rate = 1 - (top + 1) / 12 if ties else 1 - top
        low, high = delivered_rate_interval(drawn)
        covered += low - 1e-12 <= rate <= high
    assert covered / trials >= 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5


def test_false_flags_of_an_archive() -> None:
    of_999 = calibration(range(999), 0.05)
    flags = expected_false_flags(of_999, 10_000)
    assert (flags.archive, flags.expected) == (10_000, 500.0)
    assert flags.low < 380 < 500 < 630 < flags.high + 20
    assert not has_ties_at_threshold(of_999)


def test_a_threshold_above_a_plateau_may_flag_nothing() -> None:
    tied = calibration([0.0] * 10 + [1.0] * 29, 0.05)
    assert has_ties_at_threshold(tied)
    assert delivered_rate_interval(tied)[0] == 0.0
    assert expected_false_flags(tied, 100).low == 0
