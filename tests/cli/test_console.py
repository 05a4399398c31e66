"""Plural forms and progress bars."""

from __future__ import annotations

import io
import sys

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


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [
        pytest.param(Terminal(), False, True, id="terminal"),
        pytest.param(Terminal(), True, False, id="quiet"),
        pytest.param(io.StringIO(), False, False, id="file"),
    ],
)
def test_a_bar_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, quiet: bool, shown: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with console.progress(3, "image", done=1, quiet=quiet) as bar:
        bar.update()
        bar.clear()
        bar.update()
    assert ("3/3" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown
