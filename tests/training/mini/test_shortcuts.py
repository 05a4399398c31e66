"""How scores move when a picture is saved again or made smaller."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from sample_images import encoded, photo

from sidscan.training.mini import shortcuts, train
from sidscan.training.mini.card import digest
from sidscan.training.mini.corpus import Window, spread
from sidscan.training.mini.processes import Job, R
from sidscan.training.mini.shortcuts import TREATMENTS, change, table, unseen_by


def windows_of(repo: str, count: int, synthetic: bool) -> list[Window]:
    """Windows of one repository."""
    return [Window(f"{repo}/{number}", synthetic, "kind", repo, "CC0") for number in range(count)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two photographs that stay larger than a view at 0.9, and two synthetic pictures that don't."""
    rows = ["file,label,generator,kind,repo,license"]
    for number, (label, side) in enumerate([("real", 260), ("synthetic", 240)] * 2):
        name = f"{label}-{number}.{'jpg' if number == 0 else 'webp'}"
        kind = {"picture_format": "JPEG"} if number == 0 else {"picture_format": "WEBP", "lossless": True}
        (tmp_path / name).write_bytes(encoded(photo(side, side, number), **kind))
        rows.append(f"{name},{label},some,some,o/r{number},CC0")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score without further processes."""

    def run(job: Job[R], windows: list[Window], workers: int, what: str) -> list[R]:
        return [job(numbered) for numbered in enumerate(windows)]

    monkeypatch.setattr(shortcuts, "in_processes", run)


def test_a_change_is_told_in_medians_and_crossings() -> None:
    before, after = np.array([-1.0, 1.0, -2.0, 2.0]), np.array([1.0, -2.0, -2.0, 2.5])
    found = change(before, after, threshold=0.5)
    assert (found.n, found.above, found.up, found.down, found.crossed) == (4, 0.5, 0.25, 0.25, 0.5)
    assert found.logit == pytest.approx(1.25)
    assert found.shift == pytest.approx(0.25)
    moved = np.abs(1 / (1 + np.exp(-after)) - 1 / (1 + np.exp(-before)))
    assert found.score == pytest.approx(np.median(moved))


def test_a_score_on_the_threshold_counts_as_synthetic() -> None:
    found = change(np.array([0.0]), np.array([-1e-9]), threshold=0.5)
    assert (found.above, found.down) == (1.0, 1.0)


def test_windows_are_spread_over_repositories() -> None:
    pool = [*windows_of("large", 50, False), *windows_of("small", 2, False), *windows_of("other", 9, False)]
    pool += [*windows_of("made", 30, True), *windows_of("large", 1, True)]
    chosen = spread(pool, count=10, at_most=5)
    assert chosen == spread(pool, count=10, at_most=5)
    assert len(set(chosen)) == len(chosen)
    real = Counter(window.repo for window in chosen if not window.synthetic)
    assert real == {"large": 4, "small": 2, "other": 4}
    assert Counter(window.repo for window in chosen if window.synthetic) == {"made": 5, "large": 1}


def test_a_repository_is_scored_by_weights_that_have_not_seen_it() -> None:
    pool = [*windows_of("a", 1, False), *windows_of("b", 1, True)]
    assert unseen_by(pool, [frozenset({"a"}), frozenset({"b"})]) == {"a": 1, "b": 0}
    with pytest.raises(click.UsageError, match="fitted on a"):
        unseen_by(pool, [frozenset({"a"}), frozenset({"a", "b"})])


def test_saving_keeps_the_size_and_png_keeps_the_pixels() -> None:
    pixels = np.asarray(photo(60, 40))
    assert (TREATMENTS["png"](pixels) == pixels).all()
    errors = []
    for name in ("jpeg-95", "jpeg-85", "jpeg-75", "webp-80"):
        changed = TREATMENTS[name](pixels)
        assert changed.shape == pixels.shape
        errors.append(np.abs(changed.astype(int) - pixels).mean())
    assert 0 < errors[0] < errors[1] < errors[2]
    assert TREATMENTS["size-0.7"](pixels).shape == (28, 42, 3)


def test_groups_are_told_apart() -> None:
    pool = [*windows_of("a", 2, False), *windows_of("b", 1, True)]
    logits = np.zeros((3, 1 + len(TREATMENTS)))
    logits[0, -1] = 2.0
    padded = np.zeros((3, len(TREATMENTS)), bool)
    padded[0, -1] = True
    rows = table(pool, logits, {"filled": ~padded, "padded": padded}, threshold=0.5)
    last = rows[rows["treatment"] == list(TREATMENTS)[-1]].set_index(["label", "group"])
    assert set(last.index) == {("real", "filled"), ("real", "padded"), ("synthetic", "filled")}
    assert last.loc[("real", "padded"), "logit"] == 2.0
    assert last.loc[("real", "filled"), "logit"] == 0.0
    assert len(rows) == 2 * len(TREATMENTS) + 1


@pytest.mark.usefixtures("in_this_process")
def test_the_shipped_weights_are_measured_and_said_to_have_seen_all(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    ended = CliRunner().invoke(shortcuts.main, [str(corpus), str(out)])
    assert ended.exit_code == 0, ended.output
    assert "fitted on all repositories" in ended.output
    assert "real: 2 windows of 2 repositories" in ended.output
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["synthetic"] == {"windows": 2, "repositories": 2}
    assert found["held_out"] is False
    rows = {(row["treatment"], row["label"], row["group"]): row for row in found["changes"]}
    assert rows["png", "real", "filled"]["logit"] == 0.0
    assert rows["jpeg-75", "real", "filled"]["logit"] > 0.0
    assert (rows["png", "real", "in-jpeg"]["n"], rows["png", "real", "in-lossless"]["n"]) == (1, 1)
    assert rows["png", "synthetic", "in-lossless"]["n"] == rows["png", "synthetic", "all"]["n"] == 2
    assert ("size-0.9", "real", "filled") in rows
    assert ("size-0.9", "synthetic", "padded") in rows
    assert ("size-0.5", "real", "padded") in rows


@pytest.mark.usefixtures("in_this_process")
def test_fold_weights_score_what_they_have_not_seen(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = tmp_path / "folds"
    folds.mkdir()
    shutil.copy(shortcuts._shipped().path, folds / train.FOLD_FILE.format(0))
    made = digest(folds / train.FOLD_FILE.format(0))
    arguments = [str(corpus), str(tmp_path / "out.json"), "--folds", str(folds)]

    monkeypatch.setattr(shortcuts, "fitted_on", lambda: {made[:16]: frozenset({"c/trained-on"})})
    ended = CliRunner().invoke(shortcuts.main, arguments)
    assert ended.exit_code == 0, ended.output
    assert "fitted on all" not in ended.output
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (found["weights"], found["held_out"]) == ([made], True)

    monkeypatch.setattr(shortcuts, "fitted_on", lambda: {made[:16]: frozenset({"o/r1"})})
    ended = CliRunner().invoke(shortcuts.main, arguments)
    assert (ended.exit_code, "fitted on o/r1" in ended.output) == (2, True)

    monkeypatch.setattr(shortcuts, "fitted_on", dict)
    ended = CliRunner().invoke(shortcuts.main, arguments)
    assert (ended.exit_code, "does not know weights" in ended.output) == (2, True)


def test_a_folder_without_weights_is_refused(corpus: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(
        shortcuts.main, [str(corpus), str(tmp_path / "out.json"), "--folds", str(corpus)]
    )
    assert ended.exit_code == 2
    assert "holds no fold-" in ended.output
