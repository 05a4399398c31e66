"""Outcomes of trials of a faster precision are kept until weights, libraries or the processor change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidscan.runtimes import kept_trials, precision_check
from sidscan.runtimes.kept_trials import keep_trial, read_trial, trial_file
from sidscan.runtimes.precision_check import Differences

FOUND = Differences(0.026, 0.0009)


def _file(weights: tuple[str, ...] = ("a+b",), libraries: tuple[str, ...] = ("torch 2.6.0",)) -> Path:
    path = trial_file(weights, libraries)
    assert path is not None
    return path


def test_an_outcome_is_found_again() -> None:
    assert read_trial(_file()) is None
    keep_trial(_file(), FOUND)
    kept = read_trial(_file())
    assert kept is not None
    assert kept.differences == FOUND


def test_an_infinite_difference_is_kept() -> None:
    keep_trial(_file(), Differences(float("inf"), float("inf")))
    kept = read_trial(_file())
    assert kept is not None
    assert kept.differences.score == float("inf")


def test_what_an_outcome_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("model name : one\nflags : avx\ncpu MHz : 1\n\nmodel name : one\n")
    monkeypatch.setattr(precision_check, "CPU_FACTS", tmp_path / "cpuinfo")
    first = _file()
    (tmp_path / "cpuinfo").write_text("model name : one\nflags : avx\ncpu MHz : 2\n\nmodel name : one\n")
    assert _file() == first, "the clock of the moment is no property of a processor"
    (tmp_path / "cpuinfo").write_text("model name : two\nflags : avx\n")
    processor = _file()
    monkeypatch.setattr(precision_check, "CROPS", 5)
    others = {
        processor,
        _file(),
        _file(weights=("b+a",)),
        _file(weights=("a", "b")),
        _file(libraries=("torch 3",)),
    }
    monkeypatch.setattr(kept_trials, "__version__", "0")
    assert len({first, *others, _file()}) == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({"logit": -1, "score": 0, "tried": "2026-11-29"}),
        json.dumps({"logit": 0, "score": float("nan"), "tried": "2026-11-29"}),
        json.dumps({"logit": 0, "score": 0, "tried": "\x1b[31m"}),
        json.dumps({"logit": 0, "score": None, "tried": "2026-11-29"}),
    ],
    ids=["empty", "list", "nothing", "negative", "NaN", "no date", "no number"],
)
def test_a_damaged_outcome_is_tried_again(text: str) -> None:
    _file().parent.mkdir(parents=True)
    _file().write_text(text)
    assert read_trial(_file()) is None


def test_nothing_is_kept_where_nothing_can_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    keep_trial(_file(), FOUND)
    assert read_trial(_file()) is None
    keep_trial(None, FOUND)
    assert read_trial(None) is None
