"""The schedule of the learning rate, against traces that were worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidscan.training.localization.plateau import Plateaus
from sidscan.training.localization.recipe import LocalizerRecipe

RECIPE = LocalizerRecipe()


def trace(scores: Sequence[float]) -> list[float]:
    """The learning rate after each epoch, until the end."""
    plateaus, rates = Plateaus(RECIPE, RECIPE.lr), []
    for score in scores:
        plateaus.add(score)
        rates.append(plateaus.lr)
        if plateaus.ended:
            break
    return rates


@pytest.mark.parametrize(
    ("scores", "drop_after"),
    [
        pytest.param([10, *[10] * 5], 6, id="five epochs without a rise"),
        pytest.param([10, 9, 9, 9, 9, 11, *[11] * 5], 11, id="a rise starts the count anew"),
        pytest.param([10, *[10.0009] * 5], 6, id="a rise by less than 0.001 is none"),
        pytest.param([10, *[10.0011] * 5, *[10.0011] * 1], 7, id="a rise by more is one"),
        pytest.param([10, *[float("nan")] * 5], 6, id="no number is no rise"),
        pytest.param([-1, *[-1] * 5], 6, id="the first score counts, whatever it is"),
    ],
)
def test_the_rate_falls_after_idle_epochs(scores: list[float], drop_after: int) -> None:
    rates = trace(scores)
    assert rates[: drop_after - 1] == [1e-3] * (drop_after - 1)
    assert rates[drop_after - 1] == 1e-4


def test_after_a_drop_the_best_is_forgotten_and_the_score_must_rise_by_more() -> None:
    plateaus = Plateaus(RECIPE, RECIPE.lr)
    for score in [50, *[1] * RECIPE.patience]:
        plateaus.add(score)
    assert (plateaus.lr, plateaus.drops) == (1e-4, 1)
    plateaus.add(2)  # far below 50, but the first at this rate
    assert (plateaus.best, plateaus.idle) == (2, 0)
    plateaus.add(2.0015)  # enough before a drop, too little after
    assert (plateaus.best, plateaus.idle) == (2, 1)
    plateaus.add(2.0021)
    assert (plateaus.best, plateaus.idle) == (2.0021, 0)


def test_four_rates_and_then_the_end() -> None:
    rates = trace([5.0] * 100)
    stage = 1 + RECIPE.patience  # the first epoch of each stage is its best
    assert len(rates) == 4 * stage
    assert [rates[stage * number - 2] for number in range(1, 5)] == pytest.approx([1e-3, 1e-4, 1e-5, 1e-6])
    assert rates[-1] < 1e-6 < rates[-2]  # rounding leaves a little more than 1e-6, which is kept


def test_a_schedule_goes_on_from_its_state() -> None:
    scores = [10, 11, 11, 11, 12, 12, 12, 12, 12, 12, 12, 13]
    whole = Plateaus(RECIPE, RECIPE.lr)
    for number, score in enumerate(scores):
        whole = Plateaus(RECIPE, **whole.state()) if number % 2 else whole
        whole.add(score)
    assert trace(scores)[-1] == whole.lr
