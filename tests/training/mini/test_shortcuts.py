"""How scores change when an image is saved again or made smaller."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from sample_images import encoded, photo

from sidscan.training.mini import shortcuts
from sidscan.training.mini.audit import bundled_weights
from sidscan.training.mini.shortcuts import TREATMENTS, change_table, held_out_weights, score_change
from sidscan.training.windows.corpus import Window
from sidscan.training.windows.parallel import TaskResult, WindowTask
from sidscan.training.windows.weights_file import file_sha256, fold_files


def windows_of(repo: str, count: int, synthetic: bool) -> list[Window]:
    """Windows of one repository."""
    return [Window(f"{repo}/{number}", synthetic, "kind", repo, "CC0") for number in range(count)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two photographs that stay larger than a crop at 0.9, and two synthetic images that don't."""
    rows = ["file,label,generator,kind,repo,license"]
    for number, (label, side) in enumerate([("real", 260), ("synthetic", 240)] * 2):
        name = f"{label}-{number}.{'jpg' if number == 0 else 'webp'}"
        image = photo(side, side, number)
        data = encoded(image, "JPEG") if number == 0 else encoded(image, "WEBP", lossless=True)
        (tmp_path / name).write_bytes(data)
        rows.append(f"{name},{label},some,some,o/r{number},CC0")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score in this process."""

    def run(
        task: WindowTask[TaskResult], windows: list[Window], workers: int, title: str
    ) -> list[TaskResult]:
        return [task(numbered) for numbered in enumerate(windows)]

    monkeypatch.setattr(shortcuts, "map_windows", run)


def test_a_change_is_measured_by_medians_and_threshold_crossings() -> None:
    before, after = np.array([-1.0, 1.0, -2.0, 2.0]), np.array([1.0, -2.0, -2.0, 2.5])
    change = score_change(before, after, threshold=0.5)
    assert (change.n, change.above, change.up, change.down, change.crossed) == (4, 0.5, 0.25, 0.25, 0.5)
    assert change.logit == pytest.approx(1.25)
    assert change.shift == pytest.approx(0.25)
    moved = np.abs(1 / (1 + np.exp(-after)) - 1 / (1 + np.exp(-before)))
    assert change.score == pytest.approx(np.median(moved))


def test_a_score_at_the_threshold_counts_as_synthetic() -> None:
    change = score_change(np.array([0.0]), np.array([-1e-9]), threshold=0.5)
    assert (change.above, change.down) == (1.0, 1.0)


def test_a_repository_is_scored_by_weights_fitted_without_it() -> None:
    pool = [*windows_of("a", 1, False), *windows_of("b", 1, True)]
    assert held_out_weights(pool, [frozenset({"a"}), frozenset({"b"})]) == {"a": 1, "b": 0}
    with pytest.raises(click.UsageError, match="fitted on a"):
        held_out_weights(pool, [frozenset({"a"}), frozenset({"a", "b"})])


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


def test_groups_are_reported_separately() -> None:
    pool = [*windows_of("a", 2, False), *windows_of("b", 1, True)]
    logits = np.zeros((3, 1 + len(TREATMENTS)))
    logits[0, -1] = 2.0
    padded = np.zeros((3, len(TREATMENTS)), bool)
    padded[0, -1] = True
    rows = change_table(pool, logits, {"filled": ~padded, "padded": padded}, threshold=0.5)
    last = rows[rows["treatment"] == list(TREATMENTS)[-1]].set_index(["label", "group"])
    assert set(last.index) == {("real", "filled"), ("real", "padded"), ("synthetic", "filled")}
    assert last.loc[("real", "padded"), "logit"] == 2.0
    assert last.loc[("real", "filled"), "logit"] == 0.0
    assert len(rows) == 2 * len(TREATMENTS) + 1


@pytest.mark.usefixtures("in_this_process")
def test_shipped_weights_are_measured_and_reported_as_fitted_on_everything(
    corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    result = CliRunner().invoke(shortcuts.shortcuts_command, [str(corpus), str(out)])
    assert result.exit_code == 0, result.output
    assert "fitted on all repositories" in result.output
    assert "real: 2 windows of 2 repositories" in result.output
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["synthetic"] == {"windows": 2, "repositories": 2}
    assert document["held_out"] is False
    rows = {(row["treatment"], row["label"], row["group"]): row for row in document["changes"]}
    assert rows["png", "real", "filled"]["logit"] == 0.0
    assert rows["jpeg-75", "real", "filled"]["logit"] > 0.0
    assert (rows["png", "real", "in-jpeg"]["n"], rows["png", "real", "in-lossless"]["n"]) == (1, 1)
    assert rows["png", "synthetic", "in-lossless"]["n"] == rows["png", "synthetic", "all"]["n"] == 2
    assert ("size-0.9", "real", "filled") in rows
    assert ("size-0.9", "synthetic", "padded") in rows
    assert ("size-0.5", "real", "padded") in rows


@pytest.mark.usefixtures("in_this_process")
def test_fold_weights_score_their_held_out_repositories(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = tmp_path / "folds"
    folds.mkdir()
    file = fold_files(folds)[0]
    shutil.copy(bundled_weights().path, file)
    digest = file_sha256(file)
    arguments = [str(corpus), str(tmp_path / "out.json"), "--folds", str(folds)]

    monkeypatch.setattr(shortcuts, "fitted_on", lambda: {digest[:16]: frozenset({"c/trained-on"})})
    result = CliRunner().invoke(shortcuts.shortcuts_command, arguments)
    assert result.exit_code == 0, result.output
    assert "fitted on all" not in result.output
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (document["weights"], document["held_out"]) == ([digest], True)

    monkeypatch.setattr(shortcuts, "fitted_on", lambda: {digest[:16]: frozenset({"o/r1"})})
    result = CliRunner().invoke(shortcuts.shortcuts_command, arguments)
    assert (result.exit_code, "fitted on o/r1" in result.output) == (2, True)

    monkeypatch.setattr(shortcuts, "fitted_on", dict)
    result = CliRunner().invoke(shortcuts.shortcuts_command, arguments)
    assert (result.exit_code, "does not know weights" in result.output) == (2, True)


def test_a_folder_without_weights_is_refused(corpus: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        shortcuts.shortcuts_command, [str(corpus), str(tmp_path / "out.json"), "--folds", str(corpus)]
    )
    assert result.exit_code == 2
    assert "holds no fold-" in result.output
