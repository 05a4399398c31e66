"""The installation without PyTorch needs what pyproject.toml says, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sidscan import __version__

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"torch", "open_clip_torch", "onnxruntime-gpu"}


def dependencies() -> list[str]:
    """Of pyproject.toml. Python 3.10 has no TOML reader, but the array is also a Python list."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listing = re.search(r"^dependencies = (\[.*?^\])", text, re.M | re.S)
    assert listing is not None
    lines: list[str] = ast.literal_eval(listing[1])
    return lines


def lines(name: str) -> list[str]:
    """Of a file of requirements, without comments."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def name_of(requirement: str) -> str:
    return re.split(r"[<>=;\[ ]", requirement)[0]


def plain(requirement: str) -> str:
    """Without the condition by which a system gets one of the two distributions of ONNX Runtime."""
    return requirement.partition(";")[0] if name_of(requirement).startswith("onnxruntime") else requirement


def test_all_is_there_but_torch() -> None:
    expected = [plain(each) for each in dependencies() if name_of(each) not in LEFT_OUT]
    assert lines("no-torch.txt") == sorted(expected)


def test_uv_leaves_out_the_same() -> None:
    needed = [plain(each) for each in dependencies() if name_of(each) in LEFT_OUT]
    assert lines("no-torch-overrides.txt") == [f"{each}; sys_platform == 'never'" for each in sorted(needed)]


def test_the_conda_recipe_has_the_same_dependencies_and_version() -> None:
    recipe = (ROOT / "deploy" / "conda" / "recipe.yaml").read_text(encoding="utf-8")
    run = re.findall(r"^    - (\S+) (>=\S+)$", recipe.partition("  run:\n")[2], re.M)
    names = {"open-clip-torch": "open_clip_torch", "pytorch": "torch"}
    found = {names.get(name, name) + bound for name, bound in run if name != "python"}
    expected = {plain(each).partition(";")[0] for each in dependencies()}
    assert found == {each for each in expected if name_of(each) != "onnxruntime-gpu"}
    assert f'version: "{__version__}"' in recipe
