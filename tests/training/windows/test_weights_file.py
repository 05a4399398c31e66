"""Files of weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from sidscan.training.windows.corpus import Window
from sidscan.training.windows.weights_file import training_summary, write_weights

METADATA = {f"key {number}": str(number) for number in range(6)}


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(3.0), "a": torch.ones(2, 2)}
    path, again = tmp_path / "new" / "a.safetensors", tmp_path / "b.safetensors"
    write_weights(path, tensors, METADATA)
    for _ in range(5):  # a random order would differ in at least one of them
        write_weights(again, dict(reversed(tensors.items())), dict(reversed(METADATA.items())))
        assert again.read_bytes() == path.read_bytes()
    read = load_file(path)
    assert {name: tensor.tolist() for name, tensor in read.items()} == {"a": [[1, 1], [1, 1]], "b": [0, 1, 2]}
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == METADATA


def test_a_summary_counts_windows_and_repositories() -> None:
    windows = [Window("f", label, "kind", repo, "MIT") for label, repo in ((True, "o/a"), (False, "o/b"))]
    assert training_summary([*windows, windows[1]]) == (
        "1 synthetic windows and 2 windows of photographs from 2 public repositories; see the model card"
    )
