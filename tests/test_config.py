"""The Python API enforces the bounds that the fields of the configuration state."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sidscan import ScanConfig
from sidscan.config import ReadLimits
from sidscan.errors import UsageError
from sidscan.util.option_specs import OptionSpec, option_specs

BOUNDED = {name: spec for name, spec in option_specs(ScanConfig).items() if spec.minimum is not None}


def config(**options: Any) -> ScanConfig:
    return ScanConfig(inputs=("a",), **options)


@pytest.mark.parametrize("name", BOUNDED)
def test_numbers_outside_the_bounds_are_refused(name: str) -> None:
    spec = BOUNDED[name]
    assert spec.minimum is not None
    values = [spec.minimum - 1, -1]
    values += [spec.minimum] if spec.above else []
    values += [spec.maximum + 1] if spec.maximum is not None else []
    for value in values:
        with pytest.raises(UsageError, match=f"{name} must be {spec.bounds()}"):
            config(**{name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", BOUNDED)
def test_numbers_are_finite(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} must be a (whole|finite) number, not {value}"):
        config(**{name: value})


@pytest.mark.parametrize("name", BOUNDED)
def test_numbers_at_the_bounds_are_accepted(name: str) -> None:
    spec = BOUNDED[name]
    assert spec.minimum is not None
    config(**{name: spec.minimum + (0.5 if spec.above else 0)})
    if spec.maximum is not None:
        config(**{name: spec.maximum})


def test_unknown_choices_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        config(crops="nine")
    assert str(error.value) == "crops can't be 'nine'\nChoose one of ten, center."


def test_read_limits_are_part_of_the_configuration() -> None:
    assert config(max_side=9).read_limits() == {**ReadLimits().read_limits(), "max_side": 9}
    assert "item_timeout" in config().limits()
    assert "item_timeout" not in config(isolation=False).limits()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (OptionSpec(help="", minimum=1), "at least 1"),
        (OptionSpec(help="", minimum=0, above=True), "above 0"),
        (OptionSpec(help="", minimum=0.1, maximum=1_000_000), "at least 0.1 and at most 1,000,000"),
        (OptionSpec(help=""), "a finite number"),
    ],
)
def test_bounds_in_words(spec: OptionSpec, words: str) -> None:
    assert spec.bounds() == words
