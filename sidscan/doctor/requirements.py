"""What sidscan's own metadata says that it needs, and which distributions are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

_LINE = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?(?:>=\s*([0-9.]+))?[^;]*(?:;\s*(.*))?$")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


class Requirement(NamedTuple):
    """A line of the metadata.

    Attributes:
        least: lowest version, or empty.
        extra: which one asks for it; empty where every installation does.
        marker: the rest of the condition, e.g. ``python_version < "3.11"``; empty where there is none.
    """

    name: str
    least: str
    extra: str
    marker: str


def requirements() -> Iterator[Requirement]:
    """Of the installed sidscan; none where it runs without being installed."""
    try:
        lines = metadata.requires("sidscan") or []
    except metadata.PackageNotFoundError:
        return
    for line in lines:
        if match := _LINE.match(line):
            name, least, marker = match[1], match[2] or "", match[3] or ""
            extra = _EXTRA.search(marker)
            rest = _EXTRA.sub("", marker).strip(" ()").removesuffix("and").removeprefix("and").strip(" ()")
            yield Requirement(name, least, extra[1] if extra else "", rest)


def version_of(distribution: str) -> str | None:
    """The installed version, or None. Nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def is_older(version: str, least: str) -> bool:
    """Whether the numbers of a version are below those of another: ``2.2.1`` is older than ``2.10``."""
    return _numbers(version) < _numbers(least)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:  # 2.0 is 2
        numbers.pop()
    return tuple(numbers)
