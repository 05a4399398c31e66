"""Bundled models on a CPU: their graphs compute what PyTorch computes, and no torch is loaded."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_images import folder

from sidscan.config import ScanConfig
from sidscan.errors import ModelError, RuntimeUnavailable
from sidscan.models import graph_templates, onnx_proto
from sidscan.models.catalog import CATALOG
from sidscan.models.graph_templates import WeightedGraph, has_graph, load_graphs, template_of, with_weights
from sidscan.models.origins import Bundled
from sidscan.models.refs import ModelRef
from sidscan.models.store import Store
from sidscan.records import CropSet
from sidscan.runtimes import accelerators, open_runtime
from sidscan.runtimes.onnx_cpu import OnnxCpuRuntime
from sidscan.runtimes.precision_check import natural_crops

Run = Callable[..., Any]
MINI = ModelRef.parse("mini")
WITH_GRAPH = [entry for entry in CATALOG.values() if template_of(entry)]
# A program in which importing what an installation may lack fails, as it does where it is not installed.
WITHOUT_TORCH = """
import sys
sys.modules.update(dict.fromkeys(("torch", "open_clip", "torchvision", "onnx", "onnxscript")))
"""


@pytest.fixture(autouse=True)
def _no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "may_be_there", lambda: False)


def runtime(**options: Any) -> Any:
    models = options.pop("models", ("mini",))
    return open_runtime(
        ScanConfig(inputs=("-",), models=models, **options), list(map(ModelRef.parse, models))
    )


def without_torch(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{**row, "scanned_at": ""} for row in csv.DictReader(file)]


def test_mini_has_the_logits_of_pytorch() -> None:
    crops = CropSet.plain(natural_crops(14))
    graph, torch = runtime(), runtime(runtime="pytorch", device="cpu")
    assert isinstance(graph, OnnxCpuRuntime)
    assert graph.detectors == torch.detectors
    assert np.abs(graph.logits(crops) - torch.logits(crops)).max() < 1e-4


@pytest.mark.parametrize("entry", WITH_GRAPH, ids=lambda entry: entry.name)
def test_graphs_compute_with_any_weights_what_pytorch_does(entry: Any) -> None:
    """Weights that follow from a seed: nothing of other weights is left in the graph."""
    from sidscan.exporters.templates import random_network, template_parity

    path = template_of(entry)
    assert path is not None
    parity = template_parity(path.read_bytes(), *random_network(entry, seed=5))
    assert max(parity.worst.values()) < 1e-4


@pytest.mark.parametrize("entry", WITH_GRAPH, ids=lambda entry: entry.name)
def test_a_graph_holds_no_weights(entry: Any) -> None:
    path = template_of(entry)
    assert path is not None
    assert path.stat().st_size < 400_000
    assert [name for name in onnx_proto.initializer_names(path.read_bytes()) if name.startswith("head/")]


def test_a_report_is_the_same_without_torch_and_onnx(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    code = "from sidscan.cli import main; main()"
    ended = without_torch(code, "scan", images, "--model", "mini", "--out", tmp_path / "without.csv")
    assert ended.returncode == 0, ended.stderr
    assert sidscan("scan", images, "--model", "mini", "--out", tmp_path / "with.csv").code == 0
    assert rows(tmp_path / "without.csv") == rows(tmp_path / "with.csv")


def test_a_program_scores_without_torch(tmp_path: Path) -> None:
    image = sorted(folder(tmp_path / "images").rglob("*.jpg"))[0]
    code = "import sidscan; print(len(sidscan.load('mini').score(sys.argv[1]).scores))"
    ended = without_torch(code, image)
    assert (ended.returncode, ended.stdout) == (0, "1\n"), ended.stderr


def test_what_needs_pytorch_says_so(tmp_path: Path) -> None:
    code = "from sidscan.cli import main; main()"
    ended = without_torch(
        code, "scan", folder(tmp_path / "images"), "--model", "mini", "--runtime", "pytorch"
    )
    assert ended.returncode == RuntimeUnavailable("", "").exit_code
    assert "computing mini by PyTorch needs torch" in ended.stderr
    assert "pip install torch" in ended.stderr


def test_runtime_that_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime().info.runtime.startswith("onnxruntime ")
    assert runtime(device="cpu", runtime="onnx").info.runtime.startswith("onnxruntime ")
    assert runtime(runtime="pytorch", device="cpu").info.runtime.startswith("pytorch ")
    monkeypatch.setattr(accelerators, "may_be_there", lambda: True)
    assert runtime(device="cpu").info.runtime.startswith("onnxruntime ")
    assert runtime().info.runtime.startswith("pytorch ")  # which looks at the devices itself


def test_columns_of_detectors_and_probes() -> None:
    """Two detectors with probes: scores first, then what each detector's probes say."""
    (loaded,) = load_graphs([MINI])
    both = OnnxCpuRuntime([loaded, loaded])
    crops = CropSet(natural_crops(2), ((0, False), (0, True), (1, False)))
    one = OnnxCpuRuntime([loaded]).logits(crops)
    assert np.array_equal(both.logits(crops), np.concatenate([one, one], axis=1))
    assert one[0] == one[1]  # mini is mirror invariant


def test_a_damaged_graph_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = template_of(CATALOG["mini"])
    assert path is not None
    damaged = tmp_path / "mini.onnx"
    shutil.copy(path, damaged)
    content = bytearray(damaged.read_bytes())
    content[1000] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(graph_templates, "template_of", lambda _: damaged)
    with pytest.raises(ModelError, match="the graph of a bundled model is missing or damaged"):
        load_graphs([MINI])
    damaged.unlink()
    with pytest.raises(ModelError, match="the graph of a bundled model is missing or damaged"):
        load_graphs([MINI])


def test_a_graph_that_onnxruntime_refuses() -> None:
    (loaded,) = load_graphs([MINI])
    broken = WeightedGraph(b"\x08\x01", {}, "")
    with pytest.raises(ModelError, match="can't load the graph of mini"):
        OnnxCpuRuntime([replace(loaded, graph=broken)])


def test_a_tensor_that_no_file_has() -> None:
    path = template_of(CATALOG["mini"])
    assert path is not None
    with pytest.raises(ModelError, match=r"needs head/encoder\.\S+, which no file has"):
        with_weights(path.read_bytes(), {})


def test_only_models_of_the_catalog_have_graphs(tmp_path: Path) -> None:
    assert has_graph(MINI)
    assert not has_graph(ModelRef.parse("ufd"))
    assert not has_graph(ModelRef.parse(str(tmp_path / "mini.safetensors")))


def test_weights_are_those_of_the_store() -> None:
    (loaded,) = load_graphs([MINI])
    origin = CATALOG["mini"].origin
    assert isinstance(origin, Bundled)
    assert loaded.info.files == {"mini": Store().require("mini").sha256}
    assert {array.dtype for array in loaded.graph.weights.values()} == {np.dtype(np.float32)}
