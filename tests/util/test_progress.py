"""Progress bars are shown on a terminal only, and one module makes all of them."""

from __future__ import annotations

import io
import sys

import pytest

from sidscan.util.progress import progress, track


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

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
    with progress(3, "image", done=1, quiet=quiet) as bar:
        bar.update()
        bar.clear()
        bar.update()
    assert ("3/3" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown


def test_a_tracked_loop_counts_what_was_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track(iter("abc"), 3, "letter", title="spelling")) == ["a", "b", "c"]
    assert "spelling: 100%" in terminal.getvalue()
    assert "letter/s" in terminal.getvalue()


def test_a_tracked_loop_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(2), 2, "window")) == [0, 1]
    assert capsys.readouterr().err == ""
