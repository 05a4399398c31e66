"""Short memory ends a command in words, and what was scored stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidscan.scoring import crop_parts
from sidscan.scoring.scorer import Scorer

Run = Callable[..., Any]
IMAGES = Path(__file__).parents[2] / "examples" / "images"
SCAN = ("scan", "images", "--model", "mini", "--out", "r.csv", "--batch", "1")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(IMAGES, tmp_path / "images")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("images")
def test_a_scan_goes_on_where_memory_was_short(sidscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(crop_parts, "or_memory_error", short)
        ended = sidscan(*SCAN)
    assert (ended.code, "Traceback" in ended.err) == (6, False), ended.err
    assert "scoring takes more memory than there is, even one crop or image at a time\n" in ended.err
    assert sidscan(*SCAN).code == 0


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried 2 GiB."), MemoryError()])
def test_other_places_say_it_too(sidscan: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def score(*_: object) -> None:
        raise error

    monkeypatch.setattr(Scorer, "score", score)
    ended = sidscan(*SCAN)
    assert (ended.code, "Traceback" in ended.err) == (6, False), ended.err
    assert f"sidscan: memory is short: {str(error) or 'MemoryError'}\n" in ended.err
