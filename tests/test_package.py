"""The installed package is complete, has small weights with a card, and states one version everywhere."""

from __future__ import annotations

import ast
import re
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import pytest

import sidscan

REPOSITORY = Path(__file__).parents[1]
FOLDERS = {"sidscan": "sidscan", "training": "sidscan.training", "exporters": "sidscan.exporters"}


def listed_packages() -> list[str]:
    """The packages in pyproject.toml. Python 3.10 has no TOML reader, but the array is also a Python list."""
    listing = re.search(r"^packages = (\[.*?^\])", read("pyproject.toml"), re.M | re.S)
    assert listing is not None
    packages: list[str] = ast.literal_eval(listing[1])
    return packages


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_every_package_is_listed() -> None:
    packages = [
        ".".join((package, *path.parent.relative_to(REPOSITORY / folder).parts))
        for folder, package in FOLDERS.items()
        for path in (REPOSITORY / folder).rglob("__init__.py")
    ]
    assert sorted(listed_packages()) == sorted(packages)


def test_every_folder_of_modules_is_a_package() -> None:
    """A folder without ``__init__.py`` works in a checkout but is missing from the wheel."""
    folders = {path.parent for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_the_version_is_consistent() -> None:
    citation = dict(re.findall(r'^(version|date-released): "?([^"\n]+)', read("CITATION.cff"), re.M))
    assert citation["version"] == sidscan.__version__
    assert f"\n## [{sidscan.__version__}] - {citation['date-released']}\n" in read("CHANGELOG.md")


def test_there_is_one_top_level_package() -> None:
    installed = distribution("sidscan").files
    assert installed is not None
    top = {file.parts[0] for file in installed if not file.parts[0].endswith(".dist-info")} - {
        "..",
        "__pycache__",
    }
    if top != {"sidscan"}:
        pytest.skip(f"not installed from a wheel: {sorted(top)}")
    assert any(file.as_posix() == "sidscan/training/__init__.py" for file in installed)
    assert any(file.as_posix() == "sidscan/exporters/__init__.py" for file in installed)


@pytest.mark.parametrize("name", ["mini", "rine_b16"])
def test_the_weights_are_small_and_have_a_card(name: str) -> None:
    weights = files("sidscan.weights")
    assert len(weights.joinpath(f"{name}.safetensors").read_bytes()) <= 15_000_000
    assert weights.joinpath(f"{name}.md").read_text(encoding="utf-8").startswith("# Model card")
