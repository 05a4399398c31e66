"""`sidscan evaluate run --speed`: time and memory of each detector alone."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sample_images import encoded, photo

from sidscan.training.datasets.rows import LabelledImage
from sidscan.training.evaluation import speed
from sidscan.training.evaluation.config import EvaluationConfig
from sidscan.training.evaluation.testsets import TestSet, TestSetCollection

Run = Callable[..., Any]
Command = tuple[str, ...]


@pytest.fixture
def arguments(tmp_path: Path) -> tuple[object, ...]:
    """A run on four images, one of which is damaged."""
    for number in range(4):
        data = encoded(photo(230, 230, number), "PNG")
        (tmp_path / f"{number}.png").write_bytes(data[: 500 if number == 3 else None])
    lines = [f"{number}.png,{'real' if number < 2 else 'synthetic'}" for number in range(4)]
    (tmp_path / "m.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    out = ("--out", tmp_path / "o", "--no-plots", "--bootstrap", "0", "--skip-unreadable")
    return ("evaluate", "run", "--manifest", tmp_path / "m.csv", "--model", "mini", *out)


def test_each_detector_is_measured_and_stands_beside_its_accuracy(
    sidscan: Run, arguments: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_this_process(command: Command, **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[-2].count("sidscan.training.evaluation.speed") == 1
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "stdin", io.StringIO(options["input"]))
            patched.setattr(sys, "stdout", answer := io.StringIO())
            speed.main()
        return subprocess.CompletedProcess(command, 0, answer.getvalue(), "")

    monkeypatch.setattr("sidscan.training.evaluation.speed.subprocess.run", in_this_process)
    ended = sidscan(*arguments, "--speed", "3")
    assert ended.code == 3, ended.err
    assert "mini: time and memory of 3 images\n" in ended.err
    with (tmp_path / "o/speed.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["model"], row["images"], row["parameters"], row["gpu_mib"]) == ("mini", "3", "2240637", "0")
    assert float(row["weights_mib"]) == pytest.approx(4 * 2240637 / (1 << 20), rel=1e-4)
    assert float(row["images_per_second"]) > 0
    assert float(row["cpu_seconds"]) > 0
    assert float(row["peak_mib"]) > 50
    table = ended.out.split("## Time and memory")[1].splitlines()
    line = next(line for line in table if line.startswith("| mini |"))
    accuracy = ended.out.split("## Accuracy")[1].split("| mini | - | ")[1].split(" |")[0]
    assert line.startswith(f"| mini | {accuracy} | ")
    again = sidscan(
        "evaluate", "report", tmp_path / "o/scores.csv", "--out", tmp_path / "again", "--no-plots"
    )
    assert line in again.out


def test_a_process_that_fails_is_named_and_nothing_is_lost(
    sidscan: Run, arguments: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(command: Command, **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, -9, "", "")

    monkeypatch.setattr("sidscan.training.evaluation.speed.subprocess.run", killed)
    ended = sidscan(*arguments, "--speed")
    assert ended.code == 3
    assert "mini: time and memory were not measured: its process was ended by SIGKILL\n" in ended.err
    assert "## Time and memory" not in ended.out
    assert (tmp_path / "o/results.csv").exists()
    (tmp_path / "o/speed.csv").write_text("of an earlier run", encoding="utf-8")
    assert sidscan(*arguments, "--speed", "--overwrite").code == 3
    assert not (tmp_path / "o/speed.csv").exists()
    assert speed.read_speed(tmp_path / "o/speed.csv") == []


@pytest.mark.parametrize(("count", "chosen"), [(4, [0, 1, 3, 4]), (1, [0]), (9, list(range(6)))])
def test_the_sample_is_even(count: int, chosen: list[int]) -> None:
    images = [LabelledImage(Path(str(number)), str(number), number > 2) for number in range(6)]
    sets = TestSetCollection("x", (TestSet("a", tuple(images[:3])), TestSet("b", tuple(images[2:]))), ())
    assert [int(image.name) for image in speed.sample(sets, count)] == chosen


def test_images_that_have_no_score_are_not_counted(tmp_path: Path) -> None:
    """They take no time: a detector would seem faster than it is."""
    (damaged := tmp_path / "x.png").write_bytes(encoded(photo(230, 230, 0), "PNG")[:500])
    (whole := tmp_path / "y.png").write_bytes(encoded(photo(230, 230, 1), "PNG"))
    images = [LabelledImage(path, path.name, False) for path in (damaged, whole)]
    config = EvaluationConfig(skip_unreadable=True)
    assert speed._measure("mini", images, config, None).images == 1
    with pytest.raises(SystemExit, match="none of 1 images can be read"):
        speed._measure("mini", images[:1], config, None)


def test_memory_where_the_system_does_not_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no module `resource`."""
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=FileNotFoundError))
    assert speed._peak_memory() == 0
