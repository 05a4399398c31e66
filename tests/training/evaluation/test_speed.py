"""`sidscan evaluate run --speed`: time and memory of each detector alone."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sample_images import encoded, photo

from sidscan.training.evaluation import speed

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
    assert speed.read_speed(tmp_path / "o/speed.csv") == []
