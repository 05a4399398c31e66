"""Segments and ends of JPEG: files that state a great many of them are little work."""

from __future__ import annotations

import pytest
from counted_steps import at_most
from hypothesis import given
from hypothesis import strategies as st
from sample_images import encoded, photo

from sidscan.containers.jpeg import COM, MOST_SEGMENTS, end_of_jpeg, jpeg_segments

JPEG = encoded(photo(64, 64), "JPEG")
EMPTY_COMMENT = b"\xff\xfe\x00\x02"


@given(st.integers(0, 99))
def test_fill_bytes_may_precede_a_marker(count: int) -> None:
    data = JPEG[:2] + b"\xff" * count + JPEG[2:]
    plain, leads_on = jpeg_segments(JPEG)
    found, still_leads_on = jpeg_segments(data)
    assert leads_on
    assert still_leads_on
    assert [(each.marker, each.start - count, each.end - count) for each in found] == [
        (each.marker, each.start, each.end) for each in plain
    ]


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_marker_without_a_length_is_none(cut: int) -> None:
    assert jpeg_segments(JPEG[:2] + (b"\xff" * 9 + EMPTY_COMMENT)[:-cut]) == ([], False)


def test_a_million_fill_bytes_are_one_step() -> None:
    data = JPEG[:2] + b"\xff" * 1_000_000 + JPEG[2:]
    with at_most(500):
        assert end_of_jpeg(data + b"more") == len(data)


def test_so_many_segments_are_followed() -> None:
    segments, leads_on = jpeg_segments(JPEG[:2] + EMPTY_COMMENT * (MOST_SEGMENTS + 1) + JPEG[2:])
    assert [each.marker for each in segments] == [COM] * MOST_SEGMENTS
    assert not leads_on


BETWEEN = {
    "markers without a length": (b"\xff\x01", 1_000_000),
    "restarts": (b"\xff\xd0", 1_000_000),
    "escaped bytes": (b"\xff\x00", 1_000_000),
    "a comment": (b"\xff\xfe\x00\x04\xff\xd9", 1),
}


@pytest.mark.parametrize(("part", "count"), BETWEEN.values(), ids=BETWEEN)
def test_what_does_not_end_an_image_is_passed_over(part: bytes, count: int) -> None:
    data = JPEG[:-2] + part * count + JPEG[-2:]
    with at_most(1000):
        assert end_of_jpeg(data + b"\xff\xd9") == len(data)


def test_a_million_segments_between_scans_have_no_known_end() -> None:
    data = JPEG[:-2] + EMPTY_COMMENT * 1_000_000 + JPEG[-2:]
    with at_most(500_000):
        assert end_of_jpeg(data + b"\xff\xd9") is None
