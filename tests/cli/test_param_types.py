"""Numbers, sizes and durations as typed on the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidscan.cli.param_types import Duration, Moment, Number, Sha256, Size, WholeNumber
from sidscan.config import ScanConfig
from sidscan.util.option_specs import OptionSpec, option_specs

Run = Callable[..., Any]
SIZE = Size(OptionSpec(help="", minimum=1))
MEMORY = Size(OptionSpec(help="", minimum=64, maximum=1 << 30), unit=1 << 20)
MOMENT = Moment()
DURATION = Duration(OptionSpec(help="", minimum=0.1, maximum=1_000_000))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2048", 2048),
        ("10MB", 10_000_000),
        ("1GiB", 1 << 30),
        ("1 gib", 1 << 30),
        ("0.5kB", 500),
        (".5KiB", 512),
        ("1TB", 10**12),
        ("7b", 7),
        ("100_000", 100_000),
        ("+5", 5),
        ("1.5kB", 1500),
        ("3.0", 3),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("2048", 2048), ("2GiB", 2048), ("100MB", 95), ("512MiB", 512)],
    ids=["plain is MiB", "GiB", "fraction", "MiB"],
)
def test_sizes_of_memory(text: str, mebibytes: int) -> None:
    assert MEMORY.convert(text, None, None) == mebibytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("30s", 30),
        ("2m", 120),
        ("2 min", 120),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
        ("1h", 3600),
        ("1d", 86400),
        ("1e2", 100),
        ("5e-1s", 0.5),
        ("1_000", 1000),
        ("5.", 5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (WholeNumber(min=1), "10MP", "'10MP' is not a whole number. Write, for example, 20 or 1_000_000."),
        (WholeNumber(min=1), "0.5", "'0.5' is not a whole number."),
        (WholeNumber(min=1), "0", "0 is not in the range x>=1."),
        (Number(min=0, max=1), "5%", "'5%' is not a number. Write, for example, 0.05 (5 %)."),
        (Number(min=0, max=1), "2", "2 does not lie between 0 and 1. Write 2 % as 0.02."),
        (Number(min=0, max=1), "-1", "-1.0 is not in the range 0<=x<=1."),
        (Sha256(), "zz", "zz is not a sha256, which has 64 hexadecimal digits."),
        (Number(min=0, max=1), "nan", "'nan' is not a number."),
        (Number(min=0), "inf", "'inf' is not a number."),
        (SIZE, "10XB", "'10XB' is not a size. Write, for example, 10MB, 1GiB or 2048 (bytes)."),
        (MEMORY, "much", "'much' is not a size. Write, for example, 10MB, 1GiB or 2048 (MiB)."),
        (SIZE, "-1", "'-1' is not a size."),
        (SIZE, "1e9", "'1e9' is not a size."),
        (SIZE, "1.5", "'1.5' is not a whole number of bytes."),
        (SIZE, "1.5b", "'1.5b' is not a whole number of bytes."),
        (MEMORY, "2048.5", "'2048.5' is not a whole number of MiB."),
        (SIZE, "_1", "'_1' is not a size."),
        (SIZE, "0", "it must be at least 1B, not 0."),
        (MEMORY, "1MiB", "it must be at least 64MiB and at most 1024TiB, not 1MiB."),
        (
            DURATION,
            "5 years",
            "'5 years' is not a duration. Write, for example, 30s, 2m, 1h or 0.5 (seconds).",
        ),
        (DURATION, "inf", "'inf' is not a duration."),
        (DURATION, "1e", "'1e' is not a duration."),
        (DURATION, "1e999", "it must be at least 0.1s and at most 1000000s, not 1e999."),
        (DURATION, "nan", "'nan' is not a duration."),
        (DURATION, "0", "it must be at least 0.1s and at most 1000000s, not 0."),
        (DURATION, "1000h", "not 1000h."),
    ],
)
def test_invalid_values_are_refused(kind: click.ParamType[Any], text: str, message: str) -> None:
    with pytest.raises(click.BadParameter) as error:
        kind.convert(text, None, None)
    assert message in error.value.message


@given(st.integers(min_value=1, max_value=1 << 50))
def test_a_displayed_size_parses_to_the_same_size(size: int) -> None:
    assert SIZE.convert(SIZE.notation(size), None, None) == size


@given(st.integers(min_value=64, max_value=1 << 30))
def test_a_displayed_memory_size_parses_to_the_same_size(mebibytes: int) -> None:
    assert MEMORY.convert(MEMORY.notation(mebibytes), None, None) == mebibytes


@given(st.integers(min_value=1, max_value=1_000_000))
def test_a_displayed_duration_parses_to_the_same_duration(seconds: int) -> None:
    assert DURATION.convert(DURATION.notation(seconds), None, None) == seconds


UNITS = {name: spec for name, spec in option_specs(ScanConfig).items() if spec.unit}


@pytest.mark.parametrize("name", UNITS)
def test_options_for_sizes_and_durations_accept_units(sidscan: Run, name: str) -> None:
    unit = {"bytes": "200MB", "MiB": "200MB", "seconds": "2m"}[UNITS[name].unit]
    ended = sidscan("scan", "nowhere", UNITS[name].flag_of(name), unit)
    assert ended.err.startswith("sidscan: no such file or directory: nowhere")


@pytest.mark.parametrize("text", ["30m1h", "1h1h", "1h30", "1h 30x"], ids=str)
def test_parts_of_a_duration_go_from_the_largest_unit_down(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        DURATION.convert(text, None, None)


def test_a_time_of_day_is_the_next_one() -> None:
    now = datetime.now().astimezone()
    for moment in (now - timedelta(minutes=2), now + timedelta(minutes=2)):
        found = MOMENT.convert(f"{moment:%H:%M}", None, None)
        assert (found.hour, found.minute, found.second) == (moment.hour, moment.minute, 0)
        assert timedelta(0) < found - now < timedelta(hours=25)
        assert found.utcoffset() is not None


def test_a_date_with_a_time_may_have_a_zone() -> None:
    assert MOMENT.convert("2999-12-31T18:00Z", None, None) == datetime(2999, 12, 31, 18, tzinfo=timezone.utc)
    local = MOMENT.convert("2999-12-31 18:00", None, None)
    assert local == datetime(2999, 12, 31, 18).astimezone()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("noon", "'noon' is not a time. Write, for example, 18:00 or 2026-12-31T18:00."),
        ("25:00", "'25:00' is not a time. Write, for example, 18:00 or 2026-12-31T18:00."),
        ("2020-01-01T00:00", "2020-01-01T00:00 has passed. Write a time to come."),
    ],
    ids=["word", "hour", "past"],
)
def test_a_time_that_is_none_or_has_passed(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter) as error:
        MOMENT.convert(text, None, None)
    assert error.value.message == message
