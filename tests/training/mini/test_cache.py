"""Arrays kept from one command to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sidscan.training.mini.cache import kept
from sidscan.training.mini.corpus import Window


def windows(folder: Path) -> list[Window]:
    """Two, and their files."""
    for name in "ab":
        (folder / f"{name}.png").write_text(name)
    return [Window(f"{name}.png", name == "b", "kind", f"o/{name}", "MIT", folder) for name in "ab"]


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> np.ndarray:
        self.asked += 1
        return np.full((2, 3), self.asked, np.float16)


def test_the_same_windows_and_code_are_made_once(tmp_path: Path) -> None:
    make = Maker()
    first = kept(make, tmp_path / "new", "what", windows(tmp_path), (Maker, "2 of each"))
    again = kept(make, tmp_path / "new", "what", windows(tmp_path), (Maker, "2 of each"))
    assert make.asked == 1
    assert np.array_equal(first, again)


@pytest.mark.parametrize("change", ["order", "bytes", "code", "text", "what"])
def test_anything_else_is_made_anew(tmp_path: Path, change: str) -> None:
    make, some = Maker(), windows(tmp_path)
    kept(make, tmp_path, "what", some, (Maker, "2 of each"))
    if change == "bytes":
        (tmp_path / "a.png").write_text("other")
    some = some[::-1] if change == "order" else some
    code = (Window if change == "code" else Maker, "3 of each" if change == "text" else "2 of each")
    found = kept(make, tmp_path, "other" if change == "what" else "what", some, code)
    assert (make.asked, found[0, 0]) == (2, 2)


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    make = Maker()
    kept(make, None, "what", windows(tmp_path), (Maker,))
    kept(make, None, "what", windows(tmp_path), (Maker,))
    assert make.asked == 2
