"""Dates of EXIF as ISO 8601, and what is not a date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sample_images import encoded, photo

from sidscan.images.decode import decode
from sidscan.images.exif import read_exif
from sidscan.images.exif_dates import iso_date, iso_gps_date
from sidscan.records import Exif

STATED, ISO = "2021:03:04 05:06:07", "2021-03-04T05:06:07"


@pytest.mark.parametrize(
    ("stated", "fraction", "offset", "expected"),
    [
        pytest.param(STATED, None, None, ISO, id="local time"),
        pytest.param(STATED, None, "+01:00", f"{ISO}+01:00", id="offset"),
        pytest.param(STATED, "25", "-09:30", f"{ISO}.25-09:30", id="fraction and offset"),
        pytest.param(STATED, "007", None, f"{ISO}.007", id="fraction"),
        pytest.param(STATED, "2 5", None, ISO, id="fraction that is not digits"),
        pytest.param(STATED, "", "", ISO, id="empty fraction and offset"),
        pytest.param(STATED, None, "   :  ", ISO, id="unknown offset, as EXIF writes it"),
        pytest.param(STATED, None, "+15:00", ISO, id="offset of no place"),
        pytest.param(STATED, None, "+01:60", ISO, id="offset with 60 minutes"),
        pytest.param(STATED, None, "+0100", ISO, id="offset without a colon"),
        pytest.param("2024:02:29 00:00:00", None, None, "2024-02-29T00:00:00", id="leap day"),
        pytest.param("2023:02:29 00:00:00", None, None, None, id="no leap year"),
        pytest.param("0000:00:00 00:00:00", None, "+01:00", None, id="zeros"),
        pytest.param("    :  :     :  :  ", None, None, None, id="blanks, as EXIF writes an unknown date"),
        pytest.param("2021:13:04 05:06:07", None, None, None, id="month 13"),
        pytest.param("2021:03:04 24:00:00", None, None, None, id="24 o'clock"),
        pytest.param("2021:03:04 05:06:60", None, None, None, id="second 60"),
        pytest.param("2021-03-04 05:06:07", None, None, None, id="other separators"),
        pytest.param("2021/03/04 05:06:07", None, None, None, id="slashes"),
        pytest.param("2021-03-04T05:06:07Z", None, None, None, id="ISO 8601 where EXIF does not have it"),
        pytest.param("03:04:2021 05:06:07", None, None, None, id="another order"),
        pytest.param("2021:3:4 5:6:7", None, None, None, id="single digits"),
        pytest.param("2021:03:04", None, None, None, id="no time"),
        pytest.param("2021:03:04 05:06:07 PM", None, None, None, id="more text"),
        pytest.param("٢٠٢١:03:04 05:06:07", None, None, None, id="other digits"),
        pytest.param("", None, None, None, id="empty"),
        pytest.param(None, None, "+01:00", None, id="missing"),
    ],
)
def test_a_date_is_what_exif_prescribes_and_nothing_else(
    stated: str | None, fraction: str | None, offset: str | None, expected: str | None
) -> None:
    assert iso_date(stated, fraction, offset) == expected


@given(st.datetimes())
def test_every_date_comes_out_as_itself(date: datetime) -> None:
    stated = f"{date.year:04}:{date:%m:%d %H:%M:%S}"
    assert datetime.fromisoformat(str(iso_date(stated))) == date.replace(microsecond=0)


@given(st.text(max_size=25))
def test_any_text_is_a_date_or_none(text: str) -> None:
    if (date := iso_date(text, text, text)) is not None:
        assert f"{datetime.fromisoformat(date[:19]):%Y:%m:%d %H:%M:%S}".zfill(19) == text


@pytest.mark.parametrize(
    ("stated", "clock", "expected"),
    [
        pytest.param("2021:03:04", (5, 6, 7.9), "2021-03-04T05:06:07+00:00", id="UTC"),
        pytest.param("2021:03:04", (5, 6), None, id="no seconds"),
        pytest.param("2021:03:04", (5.5, 0, 0), None, id="half an hour"),
        pytest.param("2021:03:04", (25, 0, 0), None, id="25 o'clock"),
        pytest.param("2021:03:04", (5, 6, None), None, id="0/0"),
        pytest.param("2021:03:04", (5, 6, float("inf")), None, id="infinite"),
        pytest.param("0000:00:00", (5, 6, 7), None, id="zeros"),
        pytest.param("2021-03-04", (5, 6, 7), None, id="other separators"),
        pytest.param(None, (5, 6, 7), None, id="no date"),
    ],
)
def test_a_position_has_a_date_only_if_it_is_whole(
    stated: str | None, clock: Sequence[float | None], expected: str | None
) -> None:
    assert iso_gps_date(stated, clock) == expected


def read(
    details: dict[int, str], first: dict[int, str] | None = None, gps: dict[int, object] | None = None
) -> Exif:
    """EXIF as a scan reads it from an image with these tags."""
    block = Image.Exif()
    block.update(first or {})
    block.get_ifd(0x8769).update(details)
    if gps:
        block.get_ifd(0x8825).update(gps)
    data = encoded(photo(64, 64), "JPEG", exif=block.tobytes())
    return read_exif(decode(data), data)[0]


ORIGINAL, DIGITIZED, OFFSET, OFFSET_ORIGINAL, OFFSET_DIGITIZED, SUBSEC = (
    0x9003,
    0x9004,
    0x9010,
    0x9011,
    0x9012,
    0x9291,
)
MODIFIED = 0x0132  # DateTime, of the first directory


@pytest.mark.parametrize(
    ("details", "first", "expected"),
    [
        pytest.param({ORIGINAL: STATED}, {}, ISO, id="no offset"),
        pytest.param(
            {ORIGINAL: STATED, OFFSET_ORIGINAL: "+01:00", SUBSEC: "25 "}, {}, f"{ISO}.25+01:00", id="all"
        ),
        pytest.param(
            {ORIGINAL: STATED, OFFSET: "+01:00"},
            {MODIFIED: STATED},
            f"{ISO}+01:00",
            id="same moment modified",
        ),
        pytest.param(
            {ORIGINAL: STATED, OFFSET: "+01:00"},
            {MODIFIED: "2022:01:01 00:00:00"},
            ISO,
            id="modified elsewhere",
        ),
        pytest.param({ORIGINAL: STATED, OFFSET: "+01:00"}, {}, ISO, id="an offset of no date"),
        pytest.param(
            {ORIGINAL: STATED, DIGITIZED: STATED, OFFSET_DIGITIZED: "+02:00"},
            {},
            f"{ISO}+02:00",
            id="digitised",
        ),
        pytest.param(
            {ORIGINAL: STATED, OFFSET_ORIGINAL: "+03:00", OFFSET: "+01:00"},
            {MODIFIED: STATED},
            f"{ISO}+03:00",
            id="its own offset first",
        ),
    ],
)
def test_an_offset_belongs_to_its_date(details: dict[int, str], first: dict[int, str], expected: str) -> None:
    exif = read(details, first)
    assert (exif.original_date, exif.original_date_iso) == (STATED, expected)


def test_a_date_in_the_first_directory_counts() -> None:
    exif = read({}, {ORIGINAL: STATED})
    assert (exif.original_date, exif.original_date_iso) == (STATED, ISO)


def test_what_is_not_a_date_stays_text() -> None:
    exif = read({ORIGINAL: "0000:00:00 00:00:00"})
    assert (exif.original_date, exif.original_date_iso) == ("0000:00:00 00:00:00", None)


def test_a_position_has_a_time_in_utc() -> None:
    exif = read({}, gps={7: (5.0, 6.0, 7.0), 29: "2021:03:04"})
    assert (exif.gps_date_iso, exif.latitude) == ("2021-03-04T05:06:07+00:00", None)
