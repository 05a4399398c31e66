"""What is installed: one package, small weights, and their card."""

from __future__ import annotations

from importlib.metadata import distribution
from importlib.resources import files

import pytest


def test_one_top_level_package() -> None:
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


def test_the_weights_are_small_and_have_a_card() -> None:
    weights = files("sidscan.weights")
    assert len(weights.joinpath("mini.safetensors").read_bytes()) <= 15_000_000
    assert weights.joinpath("mini.md").read_text(encoding="utf-8").startswith("# Model card")
