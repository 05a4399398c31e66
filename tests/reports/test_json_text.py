"""`ijson_text`: its quick way gives the same text as the way that looks at each value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_results import SCORED, strict

from sidscan.reports import json as json_reports
from sidscan.reports.json import ijson_text, result_object

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text("\\ud[ ]{}0123456789,")
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=60
)


def nested(depth: int, kind: type) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


def checked(value: object) -> str:
    return json_reports._checked_text(value)


@given(VALUES)
def test_any_value_has_the_text_that_looking_at_each_part_gives(value: object) -> None:
    assert ijson_text([value]) == checked([value])
    strict(ijson_text([value]))


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("depth", [30, 31, 32, 33, 34, 200])
def test_what_is_nested_too_deep_becomes_text(depth: int, kind: type) -> None:
    value = [[index] for index in range(40)] + [nested(depth, kind)]
    assert ijson_text([value]) == checked([value])


@pytest.mark.parametrize(
    "value",
    [2**53, -(2**53), [[2**53]], [1, -(2**60)], {"a": 10**400}, "\udcff", {"\udcff": 1, "\\udcff": 2},
     "\\ud800", float("nan"), {"a": [float("inf")]}, (1, 2), "1 12345678901234567890,", 1e300, "\U0001f600"],
    ids=ascii,
)  # fmt: skip
def test_what_some_reader_cannot_hold_is_replaced(value: object) -> None:
    assert ijson_text([value]) == checked([value])
    strict(ijson_text([value]))


def test_records_are_written_by_their_fields() -> None:
    value = result_object(SCORED)
    assert ijson_text([value]) == checked([value])
    assert strict(ijson_text(value))["facts"]["exif"]["make"] == "Acme"
