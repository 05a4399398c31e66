"""Libraries that are missing or broken: the sentence, and the command that mends it."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from sidscan import libraries
from sidscan.errors import ExitCode, RuntimeUnavailable
from sidscan.libraries import install_command, require, uninstall_command


def broken(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


def test_what_is_there_is_no_error() -> None:
    require("this", "json", "sqlite3")


def test_a_library_that_is_not_installed() -> None:
    with pytest.raises(RuntimeUnavailable) as raised:
        require("training a head", "json", "sidscan_lacks_this")
    assert raised.value.message == "training a head needs sidscan_lacks_this, which is not installed"
    assert raised.value.remedy == f"`{install_command('sidscan_lacks_this')}` brings it."
    assert raised.value.exit_code is ExitCode.RUNTIME


def test_all_that_are_missing_come_by_one_command() -> None:
    with pytest.raises(RuntimeUnavailable) as raised:
        require("training", "sidscan_lacks_this", "json", "sidscan_lacks_that")
    assert raised.value.message == (
        "training needs sidscan_lacks_this and sidscan_lacks_that, which are not installed"
    )
    command = install_command("sidscan_lacks_this", "sidscan_lacks_that")
    assert raised.value.remedy == f"`{command}` brings them."


def test_what_a_library_itself_imports_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, "half_installed", "import sidscan_lacks_this.inside", monkeypatch)
    with pytest.raises(RuntimeUnavailable, match="needs sidscan_lacks_this, which is not installed"):
        require("training", "half_installed")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise OSError('libcudart.so.13: cannot open shared object file')", "libcudart.so.13: cannot open"),
        ("raise ImportError('DLL load failed\\nmore')", "DLL load failed$"),
        ("raise AttributeError", "AttributeError$"),
        ("import json.lacks_this", "No module named 'json.lacks_this'"),
    ],
)
def test_a_library_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    broken(tmp_path, "broken_library", code, monkeypatch)
    with pytest.raises(RuntimeUnavailable) as raised:
        require("training", "broken_library")
    assert raised.match(f"training needs broken_library, which can't be loaded: {said}".removesuffix("$"))
    assert "\n" not in raised.value.message
    assert "install --force-reinstall broken_library" in raised.value.remedy
    monkeypatch.delitem(sys.modules, "broken_library", raising=False)


@pytest.mark.parametrize(
    ("module", "name"),
    [("sklearn", "scikit-learn"), ("open_clip", "open_clip_torch"), ("pyarrow.parquet", "pyarrow")],
)
def test_pips_names(module: str, name: str) -> None:
    error = ModuleNotFoundError("gone", name=f"sidscan_lacks_{module}")
    assert libraries.distribution(module) == name
    assert "which is not installed" in libraries.library_error("this", module, error).message


def environment(prefix: Path, monkeypatch: pytest.MonkeyPatch, has_pip: bool, uv: bool = False) -> None:
    """A virtual environment that a shell has not activated."""
    find, which = importlib.util.find_spec, shutil.which
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find("json") if has_pip else None)
    programs = {"uv": "/usr/bin/uv" if uv else None, "pip": "/usr/bin/pip"}
    monkeypatch.setattr(shutil, "which", lambda name: programs.get(name, which(name)))


@pytest.mark.parametrize(
    ("has_pip", "uv", "install", "uninstall"),
    [
        pytest.param(
            *(True, False, "{}/bin/python -m pip install 'a>=1' b", "{}/bin/python -m pip uninstall --yes a"),
            id="pip",
        ),
        pytest.param(
            *(False, True, "uv pip install --python {}/bin/python 'a>=1' b"),
            "uv pip uninstall --python {}/bin/python a",
            id="uv",
        ),
        pytest.param(
            *(False, False, "{0}/bin/python -m ensurepip && {0}/bin/python -m pip install 'a>=1' b"),
            "{0}/bin/python -m ensurepip && {0}/bin/python -m pip uninstall --yes a",
            id="neither",
        ),
    ],
)
def test_the_command_changes_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_pip: bool, uv: bool, install: str, uninstall: str
) -> None:
    environment(tmp_path, monkeypatch, has_pip, uv)
    assert install_command("a>=1", "b") == install.format(tmp_path)
    assert uninstall_command("a") == uninstall.format(tmp_path)


def test_the_command_of_pipx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(prefix := tmp_path / "sidscan", monkeypatch, has_pip=True)
    prefix.mkdir()
    (prefix / "pipx_metadata.json").write_text("{}")
    assert install_command("torch") == "pipx runpip sidscan install torch"


def test_an_activated_environment_needs_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(tmp_path, monkeypatch, has_pip=True)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "bin" / name))
    assert install_command("torch") == "pip install torch"
