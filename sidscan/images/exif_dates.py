"""Dates of EXIF as ISO 8601. What is not written as EXIF prescribes gives no date: a guess may be false."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, time

# EXIF 2.32, section 4.6.5: `YYYY:MM:DD HH:MM:SS`, offsets as `+HH:MM`, sub-seconds as digits.
_DATE = re.compile(r"([0-9]{4}):([0-9]{2}):([0-9]{2})")
_DATE_TIME = re.compile(_DATE.pattern + r" ([0-9]{2}):([0-9]{2}):([0-9]{2})")
_OFFSET = re.compile(r"[+-](?:0[0-9]|1[0-4]):[0-5][0-9]")  # from -12:00 to +14:00 there are places
_FRACTION = re.compile("[0-9]{1,9}")


def iso_date(stated: str | None, fraction: str | None = None, offset: str | None = None) -> str | None:
    """A date and time, e.g. ``2021-03-04T05:06:07.25+01:00``; None unless it is one, e.g. for ``0000:00:00``.

    Args:
        fraction: digits of the second; left out where it holds anything else.
        offset: from UTC, likewise; without one, the time is local time of an unknown zone.
    """
    match = _DATE_TIME.fullmatch(stated or "")
    if match is None:
        return None
    try:
        moment = datetime(*map(int, match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001  (EXIF states no zone)
    except ValueError:
        return None
    digits = f".{fraction}" if fraction and _FRACTION.fullmatch(fraction) else ""
    return moment.isoformat() + digits + (offset if offset and _OFFSET.fullmatch(offset) else "")


def iso_gps_date(stated: str | None, clock: Sequence[float | None]) -> str | None:
    """Date and time of a position, which EXIF states in UTC; None unless both are there and possible.

    Args:
        clock: hours, minutes and seconds.
    """
    match = _DATE.fullmatch(stated or "")
    if match is None or len(clock) != 3:
        return None
    hours, minutes, seconds = clock
    if hours is None or minutes is None or seconds is None or hours % 1 or minutes % 1:
        return None
    try:
        day = date(*map(int, match.groups()))
        moment = time(int(hours), int(minutes), int(seconds))
    except (ValueError, OverflowError):
        return None
    return f"{day.isoformat()}T{moment.isoformat()}+00:00"
