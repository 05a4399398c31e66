"""Installations that are broken on purpose, and what `sidscan doctor` says of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from sidscan.cli.doctor import _line
from sidscan.doctor import CheckResult, run_checks
from sidscan.doctor.workers import worker_access
from sidscan.errors import ExitCode

OPTIONS = {"models": ["mini"], "encoder": None, "runtime": "auto", "device": "auto", "precision": "auto"}
LITTLE = 500_000  # bytes of the largest file
# PyTorch takes seconds to load, and most tests are not about it.
QUICK_TORCH = """
class version:
    cuda = None

class cuda:
    is_available = staticmethod(lambda: False)

__version__ = "2.99.0"
"""


class Doctor:
    """What ``sidscan doctor --json`` printed."""

    def __init__(self, ended: subprocess.CompletedProcess[str]) -> None:
        assert "Traceback" not in ended.stderr, ended.stderr
        self.code, self.answer = ended.returncode, json.loads(ended.stdout)
        assert self.answer["exit_code"] == self.code

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The only result of that name."""
        (found,) = (result for result in self.answer["checks"] if result["name"] == name)
        return dict(found)

    def problems(self) -> list[str]:
        """Names of what is wrong."""
        return [result["name"] for result in self.answer["checks"] if result["level"] == "problem"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a PyTorch that loads at once, and computes nothing."""
    folder = tmp_path_factory.mktemp("quick")
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text(QUICK_TORCH)
    (folder / "torchvision.py").write_text("")
    return folder


def doctor(
    *arguments: str, modules: Sequence[Path] = (), limit: Callable[[], None] | None = None, **variables: str
) -> Doctor:
    """Run it with modules before all others, and with a limit of its process."""
    command = [sys.executable, "-m", "sidscan", "doctor", "--json", *arguments]
    paths = list(map(str, modules))
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)}
    return Doctor(
        subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, preexec_fn=limit
        )
    )


def distribution(folder: Path, name: str, version: str) -> None:
    """What pip leaves of a distribution beside its modules."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_nothing_is_wrong(tmp_path: Path) -> None:
    found = doctor("--model", "mini")
    assert (found.code, found.problems(), found.answer["scan_would_run"]) == (0, [], True)
    scan = found["scan"]
    assert scan["level"] == "ok"
    assert scan["facts"]["models"] == ["mini"]
    assert (scan["facts"]["device"], scan["facts"]["precision"]) == ("cpu", "fp32")
    assert found["worker"]["text"] == "a process of its own reads a generated image"


def test_the_default_says_why_mini_stands_in(quick: Path) -> None:
    scan = doctor(modules=[quick])["scan"]
    assert scan["level"] == "note"
    assert "mini (fallback: clip-vit-b16, which rine-b16 reads, is not installed)" in scan["text"]
    assert scan["remedy"] == "`sidscan models pull rine-b16` installs it; rine-b16 finds more."


def test_a_torch_that_lacks_a_library(tmp_path: Path) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    lost = "libcudart.so.13: cannot open shared object file: No such file or directory"
    (package / "__init__.py").write_text(f"raise OSError({lost!r})\n")
    found = doctor("--model", "mini", "--runtime", "pytorch", modules=[tmp_path])
    assert found.code == 6
    assert found.problems() == ["torch", "scan"]
    assert f"can't be loaded: OSError: {lost}" in found["torch"]["text"]
    assert "uninstall --yes torch && " in found["torch"]["remedy"]
    assert lost in found["scan"]["text"]


def test_a_torchvision_of_another_index(tmp_path: Path, quick: Path) -> None:
    """A torchvision from the package index beside a torch for CPUs."""
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    found = doctor("--model", "mini", modules=[tmp_path, quick])
    assert (found.code, found.problems()) == (0, ["torchvision"])
    assert found["torchvision"]["text"] == (
        "can't be loaded: RuntimeError: operator torchvision::nms does not exist; "
        "it must come from the same index as torch"
    )


def test_both_distributions_of_onnxruntime(tmp_path: Path, quick: Path) -> None:
    distribution(tmp_path, "onnxruntime", "1.20.0")
    distribution(tmp_path, "onnxruntime-gpu", "1.20.1")
    result = doctor("--model", "mini", modules=[tmp_path, quick])["onnxruntime"]
    assert result["level"] == "problem"
    assert result["text"] == (
        "onnxruntime 1.20.0 and onnxruntime-gpu 1.20.1 are both installed; they overwrite one another's "
        "files, so what runs is a mixture"
    )
    assert "uninstall --yes onnxruntime onnxruntime-gpu && " in result["remedy"]
    assert "install onnxruntime-gpu`" in result["remedy"]  # PyTorch is there, so this is a whole installation


def test_a_models_folder_that_can_not_be_made(tmp_path: Path, quick: Path) -> None:
    blocker = tmp_path / "taken"
    blocker.write_text("a file, not a folder")
    folder = blocker / "models"
    found = doctor("--model", "mini", modules=[quick], SIDSCAN_MODELS=str(folder))
    assert found.code == 0  # mini needs no folder
    assert found["models folder"]["text"] == f"{folder} can't be written: {blocker} is not a folder"
    assert found["models folder"]["remedy"] == "SIDSCAN_MODELS names another folder for models."


def test_a_models_folder_that_is_misspelt(tmp_path: Path, quick: Path) -> None:
    folder = tmp_path / "modles"
    result = doctor("--model", "mini", modules=[quick], SIDSCAN_MODELS=str(folder))["models folder"]
    assert result["level"] == "note"
    assert result["text"].startswith(f"SIDSCAN_MODELS names {folder}: not made yet, and can be made, ")
    assert result["remedy"].startswith("If models are elsewhere, mend SIDSCAN_MODELS")
    assert not folder.exists()


def test_a_model_that_is_unknown(quick: Path) -> None:
    """Also where PyTorch is broken or not there, which a scan would notice later."""
    found = doctor("--model", "nope", modules=[quick])
    assert found.code == 4
    assert found["scan"]["text"] == "no model is called 'nope'"


def test_a_long_name_stays_apart_from_its_text() -> None:
    line = _line(CheckResult("model clip-vit-b16-q8", "problem", "has changed"))
    assert line == "problem  model clip-vit-b16-q8 has changed"


def test_a_model_with_wrong_bytes(tmp_path: Path, quick: Path) -> None:
    folder = tmp_path / "clip-vit-b16"
    folder.mkdir()
    content = b"not the weights that were installed"
    (folder / "ViT-B-16.pt").write_bytes(content)
    record = {
        "file": "ViT-B-16.pt",
        "bytes": len(content),
        "sha256": 64 * "0",
        "verified_by": "published sha256",
        "origin": "imported",
    }
    (folder / "record.json").write_text(json.dumps(record))
    found = doctor("--runtime", "onnx", modules=[quick], SIDSCAN_MODELS=str(tmp_path))
    assert found.code == 4
    assert found.problems() == ["model clip-vit-b16", "scan"]
    assert "has changed since it was installed" in found["model clip-vit-b16"]["text"]
    assert found["scan"]["remedy"] == "`sidscan models pull clip-vit-b16` fetches it again."
    installed = found["models"]["facts"]["installed"]  # all that comes with sidscan
    assert {"mini", "rine-b16"} <= set(installed)
    assert "clip-vit-b16" not in installed


def test_a_disk_without_room(quick: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    found = doctor(
        *("--model", "mini"),
        modules=[quick],
        limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LITTLE, LITTLE)),
    )
    assert found.code == 0
    assert found.problems() == ["models folder", "kept results", "temporary files"]
    assert found["temporary files"]["text"].endswith(" can't be written: File too large")
    assert found["limits"]["text"] == f"this shell sets low ones: RLIMIT_FSIZE {LITTLE} (ulimit -f)"


def test_a_temporary_folder_that_is_gone(tmp_path: Path, quick: Path) -> None:
    found = doctor("--model", "mini", modules=[quick], TMPDIR=str(tmp_path / "gone"))
    result = found["temporary files"]
    assert result["level"] == "problem"
    assert result["text"].startswith(f"TMPDIR names {tmp_path / 'gone'}, which can't be written; ")


def test_a_python_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As after an upgrade below a virtual environment: no process can be started any more."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3.9"))
    results = {result.name: result for result in run_checks(OPTIONS)}
    assert results["worker"].exit_code is ExitCode.RUNTIME
    assert results["worker"].text == (
        "no image can be read in a process of its own: no process to read it could be started: "
        "No such file or directory"
    )
    assert results["worker limits"].level == "note"
    assert results["scan"].exit_code is ExitCode.RUNTIME


@pytest.mark.parametrize(("confines", "level"), [(True, "ok"), (False, "note")])
def test_a_system_that_confines_no_worker(
    confines: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.doctor.workers.can_confine", lambda: confines)
    (found,) = worker_access(cast(Any, None))
    assert (found.level, found.facts, bool(found.remedy)) == (level, {"confined": confines}, not confines)


def test_an_extra_that_is_missing(tmp_path: Path, quick: Path) -> None:
    blocked = """
import importlib.metadata as metadata
found = metadata.version
def version(name):
    if name == "pillow-heif":
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.version = version
"""
    (tmp_path / "sitecustomize.py").write_text(blocked)
    result = doctor("--model", "mini", modules=[tmp_path, quick])["extra heic"]
    assert (result["level"], result["text"]) == ("note", "HEIC images: not installed")
    assert result["remedy"].endswith(" install 'pillow-heif>=1.1'` brings it.")


def test_passwords_of_proxies_are_never_shown(quick: Path) -> None:
    found = doctor(
        *("--model", "mini"),
        modules=[quick],
        https_proxy="http://me:secret@proxy.example:3128",
        HTTP_PROXY="me:secret@proxy.example:3128",
        PIP_INDEX_URL="https://token:secret@index.example/simple?key=secret",
    )
    assert "secret" not in json.dumps(found.answer)
    assert "https_proxy=http://***@proxy.example:3128" in found["network"]["text"]
    assert "HTTP_PROXY=***@proxy.example:3128" in found["network"]["text"]


def test_a_device_that_is_not_there(sidscan: Callable[..., Any]) -> None:
    ended = sidscan("doctor", "--model", "mini", "--device", "cuda", "--runtime", "pytorch")
    if "sees no CUDA device" not in ended.out:
        pytest.skip("there is a CUDA device")
    assert ended.code == 6
    lines = ended.out.splitlines()
    assert lines[-1] == "a scan would not run (exit code 6)"
    at = lines.index("1 problem:")
    assert lines[at + 1] == "  scan: CUDA was asked for, but torch finds no usable CUDA device"


def test_options_come_from_the_file_of_a_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sidscan.toml").write_text('model = ["mini"]\nmax-bytes = "10MB"\n')
    assert doctor(modules=[quick])["scan"]["facts"]["model_choice"] == "asked for"


def test_an_error_of_a_check_is_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("sidscan.doctor.machine.meminfo", broken)
    results = [result for result in run_checks(OPTIONS) if result.name == "memory"]
    assert [(result.level, result.text) for result in results] == [
        ("problem", "can't be checked: RuntimeError: first line")
    ]
