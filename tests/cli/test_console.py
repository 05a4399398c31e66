"""Plural forms."""

from __future__ import annotations

import pytest

from sidscan.cli import console


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2, ("image",), "2 images"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_plural(count: int, words: tuple[str, ...], expected: str) -> None:
    assert console.plural(count, *words) == expected
