"""How much windows count."""

from __future__ import annotations

import pytest

from sidscan.training.windows.sampling_weights import sampling_weights

LABELS = [False, False, False, False, True, True]
REPOS = ["o/a", "o/a", "o/a", "o/b", "o/c", "o/a"]


@pytest.mark.parametrize(
    ("power", "expected"),
    [
        pytest.param(1.0, [0.25, 0.25, 0.25, 0.25, 0.5, 0.5], id="windows"),
        pytest.param(0.0, [1 / 6, 1 / 6, 1 / 6, 0.5, 0.5, 0.5], id="repositories"),
        pytest.param(0.5, [0.2113, 0.2113, 0.2113, 0.366, 0.5, 0.5], id="square root"),
    ],
)
def test_weights_of_windows_and_repositories(power: float, expected: list[float]) -> None:
    assert sampling_weights(LABELS, REPOS, power).tolist() == pytest.approx(expected, abs=1e-4)
