"""Arrays that are cached between commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sidscan.training.windows.cache import cached
from sidscan.training.windows.corpus import Window


def windows(folder: Path) -> list[Window]:
    """Two windows and their files."""
    for name in "ab":
        (folder / f"{name}.png").write_text(name)
    return [Window(f"{name}.png", name == "b", "kind", f"o/{name}", "MIT", folder) for name in "ab"]


class Computation:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> np.ndarray:
        self.calls += 1
        return np.full((2, 3), self.calls, np.float16)


def test_equal_windows_and_code_are_computed_once(tmp_path: Path) -> None:
    compute = Computation()
    first = cached(compute, tmp_path / "new", "what", windows(tmp_path), (Computation, "2 of each"))
    again = cached(compute, tmp_path / "new", "what", windows(tmp_path), (Computation, "2 of each"))
    assert compute.calls == 1
    assert np.array_equal(first, again)


@pytest.mark.parametrize("change", ["order", "bytes", "code", "text", "what"])
def test_other_windows_or_code_are_computed_again(tmp_path: Path, change: str) -> None:
    compute, listed = Computation(), windows(tmp_path)
    cached(compute, tmp_path, "what", listed, (Computation, "2 of each"))
    if change == "bytes":
        (tmp_path / "a.png").write_text("other")
    listed = listed[::-1] if change == "order" else listed
    code = (Window if change == "code" else Computation, "3 of each" if change == "text" else "2 of each")
    array = cached(compute, tmp_path, "other" if change == "what" else "what", listed, code)
    assert (compute.calls, array[0, 0]) == (2, 2)


def test_without_a_folder_nothing_is_cached(tmp_path: Path) -> None:
    compute = Computation()
    cached(compute, None, "what", windows(tmp_path), (Computation,))
    cached(compute, None, "what", windows(tmp_path), (Computation,))
    assert compute.calls == 2
