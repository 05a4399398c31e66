"""A detector that brings its own network, without CLIP, as an ONNX file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_images import photo
from sample_published import as_training_saves, patch_forensics_state

from sidscan.models.catalog import CATALOG


def test_a_network_without_clip_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]
) -> None:
    """Patch-Forensics' network, as the smallest, on crops: a graph reads those alone."""
    entry = CATALOG["patch-forensics"]
    assert entry.preprocess is not None
    on_crops = replace(entry, preprocess=replace(entry.preprocess, view=None))
    for module in ("sidscan.models.store", "sidscan.exporters.onnx"):
        monkeypatch.setattr(f"{module}.CATALOG", {entry.name: on_crops})
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    published = as_training_saves(tmp_path / "x.pth", patch_forensics_state(), name="state_dict")
    assert sidscan("models", "import", published, "--as", "patch-forensics").code == 0
    graph, image = tmp_path / "patches.onnx", tmp_path / "a.png"
    done = sidscan("export-onnx", "--model", "patch-forensics", "--out", graph)
    assert done.code == 0, done.err
    assert "largest difference of logits over 14 crops: patch-forensics " in done.err
    photo(300, 260).save(image)
    logits = {}
    for name in ("patch-forensics", str(graph)):
        report = tmp_path / "report.csv"
        done = sidscan("scan", image, "--model", name, "--out", report, "--fresh", "--device", "cpu")
        assert done.code == 0, done.err
        with report.open(newline="") as file:
            (row,) = csv.DictReader(file)
        logits[name] = float(row["logit"])
    assert logits[str(graph)] == pytest.approx(logits["patch-forensics"], abs=1e-3)
