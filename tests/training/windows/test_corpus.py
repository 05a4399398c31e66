"""The folds: by repository, fixed, and independent of results."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sidscan.training.windows.corpus import (
    Window,
    decode_window,
    fold_of_repo,
    read_manifest,
    sample_by_repository,
    sample_windows,
)

HEADER = "file,label,generator,kind,repo,license\n"


def windows_of(counts: dict[tuple[str, bool], int]) -> list[Window]:
    return [
        Window(f"{repo}-{number}.png", synthetic, "source", repo, "MIT")
        for (repo, synthetic), count in counts.items()
        for number in range(count)
    ]


def test_repositories_are_dealt_serpentine_by_size_then_name() -> None:
    sizes = {"b": 9, "a": 9, "c": 8, "d": 7, "e": 6, "f": 5, "g": 4}
    folds = fold_of_repo(windows_of({(repo, True): size for repo, size in sizes.items()}))
    assert folds == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 4, "g": 3}


def test_a_repository_with_both_labels_is_dealt_once_as_synthetic() -> None:
    counts = {("both", True): 3, ("both", False): 8, ("other", True): 9} | {
        (f"real{number}", False): number + 1 for number in range(12)
    }
    folds = fold_of_repo(windows_of(counts))
    assert (folds["other"], folds["both"]) == (0, 1)
    assert len(folds) == 14
    assert [folds[f"real{number}"] for number in reversed(range(12))] == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1]


def test_another_corpus_does_not_change_earlier_folds(tmp_path: Path) -> None:
    first = windows_of({(f"r{number}", number % 2 == 0): number + 1 for number in range(9)})
    more = [replace(window, corpus=tmp_path) for window in windows_of({("big", True): 99, ("r3", True): 199})]
    folds = fold_of_repo([*first, *more])
    assert folds["big"] == 0  # r3 is larger, but has a fold already
    assert {repo: fold for repo, fold in folds.items() if repo != "big"} == fold_of_repo(first)


def test_folds_do_not_depend_on_the_order_of_the_manifest() -> None:
    windows = windows_of({(f"r{number}", number % 2 == 0): number % 7 + 1 for number in range(20)})
    assert fold_of_repo(windows) == fold_of_repo(windows[::-1])


def test_windows_are_sampled_evenly_over_repositories() -> None:
    pool = windows_of(
        {("large", False): 50, ("small", False): 2, ("other", False): 9, ("made", True): 30}
        | {("large", True): 1}
    )
    chosen = sample_windows(pool, count=10, per_repository=5)
    assert chosen == sample_windows(pool, count=10, per_repository=5)
    assert len(set(chosen)) == len(chosen)
    real = Counter(window.repo for window in chosen if not window.synthetic)
    assert real == {"large": 4, "small": 2, "other": 4}
    assert Counter(window.repo for window in chosen if window.synthetic) == {"made": 5, "large": 1}


def test_manifest_and_pixels_are_read(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png")
    rows = "a.png,real,,camera_original,o/n,CC0\nb.png,synthetic,flux1,,o/m,MIT\n"
    (tmp_path / "manifest.csv").write_text(HEADER + rows, encoding="utf-8")
    real, synthetic = read_manifest(tmp_path)
    assert real == Window("a.png", False, "camera_original", "o/n", "CC0")
    assert (synthetic.synthetic, synthetic.category) == (True, "flux1")
    assert np.array_equal(decode_window(real), np.full((2, 3, 3), 7, dtype=np.uint8))


def test_an_unknown_label_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(HEADER + "a.png,maybe,,,o/n,MIT\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.png.*maybe"):
        read_manifest(tmp_path)


def test_some_windows_of_each_repository_and_label_are_chosen_by_name() -> None:
    windows = windows_of({("a", True): 5, ("a", False): 3, ("b", False): 1})
    chosen = sample_by_repository(windows, 2)
    assert Counter((window.repo, window.synthetic) for window in chosen) == {
        ("a", True): 2,
        ("a", False): 2,
        ("b", False): 1,
    }
    assert [window for window in windows if window in chosen] == chosen, "in order"
    more = windows_of({("c", True): 4})
    assert sample_by_repository([*more, *windows], 2)[2:] == chosen
