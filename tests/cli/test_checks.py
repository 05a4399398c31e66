"""Missing files are reported before torch loads, and pipes that would block are never opened."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import folder

from sidscan.cli import checks
from sidscan.config import ScanConfig
from sidscan.errors import CalibrationError
from sidscan.models.refs import choose_models
from sidscan.scoring import calibration
from sidscan.sources import lists

Run = Callable[..., Any]
SECONDS = 300  # without it, a command that waits for a pipe would never end
PROGRAM = (
    "import sys\n"
    "from sidscan import cli\n"
    "try:\n"
    "    cli.main()\n"
    "finally:\n"
    "    print(*({'torch', 'PIL', 'onnxruntime', 'pandas', 'sklearn'} & set(sys.modules)))\n"
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: images, a pipe, and a folder with a pipe where a checkpoint should be."""
    monkeypatch.chdir(tmp_path)
    folder(Path("images"), count=1)
    for pipe in ("pipe", "pipe.safetensors", "pipe.onnx", "models/head.safetensors"):
        Path(pipe).parent.mkdir(exist_ok=True)
        os.mkfifo(pipe)
    Path("empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["nowhere"], 2, "no such file or directory: nowhere", id="input"),
        pytest.param(["images", "nowhere"], 2, "no such file or directory: nowhere", id="second input"),
        pytest.param(["-"], 2, "To read names from standard input, use --list -", id="dash"),
        pytest.param(["--list", "nowhere"], 2, "can't read the list nowhere", id="list"),
        pytest.param(["--list", "-", "--list", "-"], 2, "Give --list - once", id="standard input twice"),
        pytest.param(["--list", "images"], 2, "can't read the list images", id="folder as a list"),
        pytest.param(["images", "-m", "nope"], 4, "no model is called 'nope'", id="model"),
        pytest.param(["images", "-m", "clip-vit-l14"], 4, "clip-vit-l14 is an encoder", id="no detector"),
        pytest.param(["images", "-m", "rine-4class"], 4, "rine-4class is not installed", id="not installed"),
        pytest.param(["images", "-m", "no.safetensors"], 4, "no.safetensors can't be read", id="checkpoint"),
        pytest.param(["images", "-m", "no.onnx"], 4, "no.onnx can't be read", id="graph"),
        pytest.param(
            ["images", "-m", "empty"], 4, "the folder empty holds no checkpoint", id="no checkpoint"
        ),
        pytest.param(["images", "--encoder", "nowhere"], 2, "'nowhere' does not exist", id="encoder"),
        pytest.param(["images", "--calibration", "no"], 4, "no can't be read", id="calibration"),
        pytest.param(["images", "-m", "pipe"], 4, "pipe can't be read: not a regular file", id="pipe"),
        pytest.param(["images", "-m", "pipe.safetensors"], 4, "not a regular file", id="pipe with suffix"),
        pytest.param(["images", "-m", "pipe.onnx"], 4, "not a regular file", id="pipe as a graph"),
        pytest.param(["images", "-m", "models"], 4, "not a regular file", id="pipe in a folder"),
        pytest.param(["images", "--encoder", "pipe"], 4, "not a regular file", id="pipe as an encoder"),
        pytest.param(["images", "--calibration", "pipe"], 4, "not a regular file", id="calibration pipe"),
    ],
)
@pytest.mark.parametrize("command", ["scan", "calibrate"])
def test_bad_inputs_are_reported_before_torch_loads(
    files: Path, command: str, arguments: list[str], code: int, message: str
) -> None:
    if command == "calibrate" and "--calibration" in arguments:
        pytest.skip("an option of scan")
    _check_refused([command, *arguments], code, message)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["images", "-o", "r.csv", "--format", "json"], 2, "is for standard output", id="format"),
        pytest.param(["images", "-o", "-", "-o", "-"], 2, "takes one report", id="two to standard output"),
        pytest.param(["images", "--hash-file"], 2, "needs a report in a file", id="nothing to hash"),
        pytest.param(["images", "--calibrated"], 4, "no calibration of mini with ten crops", id="default"),
        pytest.param(
            ["images", "-m", "mini", "--calibrated", "--crops", "center"],
            *(4, "`sidscan calibrate FOLDER --model mini --crops center` makes one"),
            id="calibration",
        ),
        pytest.param(
            ["images", "-m", "heads", "--calibrated"],
            *(4, "no calibration of head.safetensors with ten crops is saved"),
            id="calibration of a checkpoint",
        ),
        pytest.param(["images", "--device", "coreml"], 6, "coreml runs exported graphs only", id="device"),
    ],
)
def test_a_scan_reports_as_soon(files: Path, arguments: list[str], code: int, message: str) -> None:
    Path("heads").mkdir()
    Path("heads/head.safetensors").write_bytes(b"")
    _check_refused(["scan", *arguments], code, message)


def test_the_calibration_of_other_crops_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path))
    (tmp_path / "calibrations").mkdir()
    (tmp_path / "calibrations/mini-0123-ten.json").touch()
    (tmp_path / "a.safetensors.ten.calibration.json").touch()
    config = ScanConfig(inputs=(".",), models=("mini", str(tmp_path / "a.safetensors")))
    models = choose_models(config.models).models
    calibration.check_calibrations_saved(config, models)  # whether they fit is found out later
    with pytest.raises(CalibrationError, match="no calibration of mini with center crops"):
        calibration.check_calibrations_saved(replace(config, crops="center"), models)


TRAINING_SETS = ("train", "data"), ("study", "grid", "data")


@pytest.mark.parametrize("command", TRAINING_SETS, ids=["train", "study"])
@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        pytest.param(["--encoder", "nosuch"], 4, "nosuch can't be read: No such file", id="encoder"),
        pytest.param(["--encoder", "pipe"], 4, "pipe can't be read: not a regular file", id="pipe"),
        pytest.param(["--encoder", "clip-vit-l14"], 4, "clip-vit-l14 is not installed", id="not installed"),
        pytest.param(["--classes", "cat"], 2, "data/train/cat/0_real does not exist", id="layout"),
        pytest.param(["--classes", "car"], 2, "data/train/car/1_fake contains no images", id="no images"),
        pytest.param(
            ["--preset", "ldm"], 2, "data/latent_diffusion_trainingset/train does not exist", id="ldm"
        ),
    ],
)
def test_training_is_refused_as_soon(
    files: Path, command: tuple[str, ...], options: list[str], code: int, message: str
) -> None:
    for folder_name in ("horse/0_real", "horse/1_fake", "car/0_real"):
        Path("data/train", folder_name).mkdir(parents=True)
        Path("data/train", folder_name, "0.png").touch()
    Path("data/train/car/1_fake").mkdir()
    _check_refused([*command, "--preset", "progan-1class", *options, "--out", "out"], code, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["run", "nowhere", "-m", "mini"], "no such data set: nowhere", id="folder"),
        pytest.param(
            ["run", "empty", "-m", "mini"], "empty looks like no layout; it holds no folder", id="layout"
        ),
        pytest.param(
            ["run", "--real", "images", "--synthetic", "empty", "-m", "mini"],
            "the synthetic images are missing",
            id="pair",
        ),
        pytest.param(["report", "nowhere.csv"], "can't read the scores in nowhere.csv", id="scores"),
        pytest.param(["report", "pipe"], "not a regular file", id="pipe"),
    ],
)
def test_an_evaluation_is_refused_as_soon(files: Path, arguments: list[str], message: str) -> None:
    _check_refused(["evaluate", *arguments, "--out", "out"], 2, message)


def _check_refused(arguments: list[str], code: int, message: str) -> None:
    """The command ends with this code and message, before it loads what takes seconds, and writes nothing."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert ended.stdout == "\n", "these modules were loaded"
    assert not Path("out").exists()


@pytest.mark.parametrize("model", ["nope", "pipe", "no.safetensors"])
def test_an_export_is_refused_before_torch_loads(files: Path, model: str) -> None:
    command = [sys.executable, "-c", PROGRAM, "export-onnx", "-m", model, "-o", "x.onnx"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ended.returncode, ended.stdout) == (4, "\n"), ended.stderr
    assert model in ended.stderr


def test_a_pipe_is_not_imported(files: Path) -> None:
    command = [sys.executable, "-m", "sidscan", "models", "import", "pipe"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 4
    assert ended.stderr == "sidscan: pipe can't be read: not a regular file\nCheck the path.\n"


def test_a_list_may_be_a_pipe(files: Path) -> None:
    """``--list <(find ...)`` of a shell. The list can be read only once."""
    script = f"{sys.executable} -m sidscan scan --list <(find images -name photo-0.jpg) -m mini -o r.csv"
    ended = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "1 input = 1 scored" in ended.stderr


@pytest.mark.parametrize("source", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/dev/../dev/stdin"])
def test_a_list_that_is_open_already_is_not_read_beforehand(
    files: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    read: list[str] = []

    def record_name(name: str, *_: object) -> Iterator[str]:
        read.append(name)
        return iter(())

    monkeypatch.setattr(lists, "read_names", record_name)
    Path("names.txt").write_text("images/photo-0.jpg\n")
    with Path("names.txt").open() as file:
        saved = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            checks.check_named(ScanConfig(lists=(source, "names.txt"), models=("mini",)))
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    assert read == ["names.txt"]


@pytest.mark.parametrize("source", ["/dev/stdin", "/dev/fd/0", "-"])
def test_a_list_on_standard_input_keeps_every_line(files: Path, source: str) -> None:
    names = "images/nested/photo-0.jpg\nimages/nowhere.jpg\nimages/nobody.jpg\n"
    Path("names.txt").write_text(names)
    command = [sys.executable, "-m", "sidscan", "scan", "--list", source, "-m", "mini", "-o", "r.csv"]
    with Path("names.txt").open() as file:
        ended = subprocess.run(
            command, stdin=file, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert ended.returncode == 3, ended.stderr
    assert "3 inputs = 1 scored + 2 failed" in ended.stderr
