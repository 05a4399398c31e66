"""Users without a home folder, and signals: as a shell or a container sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sample_images import folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="users and signals of POSIX")

# A container's user: no HOME, and no entry in the list of users.
_HOMELESS = """
import pwd
def nobody(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = nobody
from sidscan.cli import main
main()
"""
_NO_FOLDER = (
    "sidscan: there is no models folder: this user has no home folder\n"
    "Set SIDSCAN_MODELS to a folder for models and calibrations. The bundled `mini` needs none.\n"
)


def _homeless(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-c", _HOMELESS, *map(str, arguments)),
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [("--model", "mini"), ()], ids=["named", "fallback"])
def test_the_bundled_detector_needs_no_home(tmp_path: Path, options: tuple[str, ...]) -> None:
    images = folder(tmp_path / "images", count=1)
    ended = _homeless("scan", images, "--out", tmp_path / "r.csv", *options)
    assert ended.returncode == 0, ended.stderr
    assert "1 input = 1 scored + 0 failed + 0 skipped" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("scan", "images", "--out", "-", "--model", "rine-4class"), id="a model"),
        pytest.param(("scan", "images", "--out", "-", "--model", "mini", "--calibrated"), id="a calibration"),
        pytest.param(("calibrate", "images", "--model", "mini", "--fpr", "0.3"), id="calibrate"),
    ],
)
def test_what_needs_a_folder_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder(Path("images"))
    ended = _homeless(*arguments)
    assert (ended.returncode, ended.stderr[-len(_NO_FOLDER) :]) == (4, _NO_FOLDER)


def test_a_list_of_models_and_the_variable_need_no_home(tmp_path: Path) -> None:
    listed = _homeless("models", "list")
    assert listed.returncode == 0
    assert listed.stderr.startswith(_NO_FOLDER.removeprefix("sidscan: "))
    assert f"models folder: {tmp_path}\n" in _homeless("models", "list", SIDSCAN_MODELS=str(tmp_path)).stderr


def test_results_of_a_scan_without_a_report_stay_in_memory(tmp_path: Path) -> None:
    ended = _homeless("scan", folder(tmp_path, count=1), "--model", "mini")
    assert ended.returncode == 0, ended.stderr
    assert "results are kept in memory only: this user has no home folder\n" in ended.stderr
