"""Exported graphs: exporting, checking against PyTorch, scanning with them, and refusing damaged ones."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sample_graphs import ExportedGraphs
from sample_images import folder

from sidscan.errors import DigestMismatch, ModelError, UsageError
from sidscan.exporters import parity
from sidscan.exporters.graph_file import GraphFile
from sidscan.libraries import install_command
from sidscan.models.onnx_graph import SEAL_BYTES, check_seal, graph_path, seal
from sidscan.records import CropSet
from sidscan.runtimes.onnx import OnnxRuntime
from sidscan.runtimes.precision_check import natural_crops

Run = Callable[..., Any]
EXAMPLE = Path(__file__).parents[2] / "examples" / "score_with_onnxruntime.py"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-5), ("fp16", 5e-3)])
def test_rows_equal_those_of_pytorch(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, precision: str, bound: float
) -> None:
    images = folder(tmp_path / "images")
    named = [part for model in graphs.models for part in ("--model", model)]
    ended = sidscan("scan", images, *named, "--encoder", graphs.encoder, "--out", tmp_path / "torch.csv")
    assert ended.code == 0, ended.err
    graph = graphs.fp32 if precision == "fp32" else graphs.fp16
    ended = sidscan("scan", images, "--model", graph, "--out", tmp_path / "onnx.csv")
    assert ended.code == 0, ended.err
    sha256 = hashlib.sha256(graph.read_bytes()).hexdigest()
    assert f"runtime: onnxruntime {_ort_version()}, graph {sha256[:16]}, cpu, {precision}\n" in ended.err
    for torch_row, onnx_row in zip(_rows(tmp_path / "torch.csv"), _rows(tmp_path / "onnx.csv"), strict=True):
        numbers = {
            name
            for name in torch_row
            if name.endswith(("score", "logit", "crop_min", "crop_max", "crop_std"))
        }
        assert len(numbers) == 10
        for name in numbers:
            assert float(torch_row[name]) == pytest.approx(float(onnx_row[name]), abs=bound), name
        expected_to_differ = {"runtime", "precision", "scanned_at", "model_provenance"}
        for name in torch_row.keys() - numbers - expected_to_differ:
            assert torch_row[name] == onnx_row[name], name
        assert (torch_row["precision"], onnx_row["precision"]) == ("fp32", precision)


def test_a_mirror_invariant_graph_does_not_compute_mirrored_crops(
    graphs: ExportedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, computed = OnnxRuntime(graphs.fp32, "cpu"), []
    run = runtime._run

    def counting(crops: Any) -> Any:
        computed.append(len(crops))
        return run(crops)

    monkeypatch.setattr(runtime, "_run", counting)
    crop_set = CropSet(natural_crops(1), ((0, False), (0, True), (0, True)))
    seeing = runtime.logits(crop_set)
    assert (sum(computed), seeing.shape) == (2, (3, 2))
    assert (seeing[1] == seeing[2]).all()
    assert (seeing[0] != seeing[1]).all()
    runtime.graph = replace(runtime.graph, mirror_invariant=True)
    blind = runtime.logits(crop_set)
    assert sum(computed) == 3
    np.testing.assert_allclose(blind, np.repeat(seeing[:1], 3, axis=0), atol=1e-5)


def _ort_version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def test_the_file_describes_itself(graphs: ExportedGraphs) -> None:
    import onnx

    model = onnx.load(graphs.fp32)
    onnx.checker.check_model(model)
    (crops,) = model.graph.input
    dimensions = [d.dim_value or d.dim_param for d in crops.type.tensor_type.shape.dim]
    assert (crops.name, crops.type.tensor_type.elem_type) == ("crops", onnx.TensorProto.UINT8)
    assert dimensions == ["batch", 224, 224, 3]
    assert [output.name for output in model.graph.output] == ["one.safetensors", "two.safetensors"]
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["sidscan"])
    assert [detector["name"] for detector in facts["detectors"]] == ["one.safetensors", "two.safetensors"]
    assert [detector["threshold"] for detector in facts["detectors"]] == [0.4, 0.4]
    assert (facts["precision"], facts["layout"], facts["mirror_invariant"]) == ("fp32", "NHWC", False)
    assert facts["parity"]["worst"].keys() == {"one.safetensors", "two.safetensors"}
    assert all(0 <= worst <= 1e-5 for worst in facts["parity"]["worst"].values())
    exported, optimised = facts["nodes"]["exported"], facts["nodes"]["optimised"]
    assert exported["nodes"] == len(model.graph.node)
    assert exported["Softmax"] == 2, "attention of two blocks; the importance of blocks is folded"
    assert optimised["QuickGelu"] == 2, "sigmoid and product, fused by ONNX Runtime"
    assert sum(optimised.get(kind, 0) for kind in ("LayerNormalization", "SkipLayerNormalization")) == 6
    assert optimised["nodes"] < exported["nodes"]
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    assert len(norms) == 1 + 2 * 2 + 1, "ln_pre, two per block, ln_post for the probe: each one node"


def test_fp16_halves_the_encoder_but_not_normalisation(graphs: ExportedGraphs) -> None:
    import onnx

    model = onnx.load(graphs.fp16)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    halved = {
        node.output[0] for node in model.graph.node if node.op_type == "Cast" and node.attribute[0].i == 10
    }
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Conv", "Gemm")]
    in_half = [node for node in products if set(node.input) & halved]
    assert all(set(node.input) <= halved for node in in_half)
    assert len(in_half) == 15, "patches; in both blocks q, k and v, attention, output projection and MLP"
    assert len(products) - len(in_half) >= 5, "heads stay in fp32"
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    assert {kinds[node.input[1]] for node in norms} == {onnx.TensorProto.FLOAT}
    assert not set(next(iter(norms)).input) & halved
    text = str(model)
    assert str(Path(torch.__file__).parents[1]) not in text, "no path of the exporting machine"
    assert str(Path(parity.__file__).parents[1]) not in text
    assert graphs.fp16.stat().st_size < 0.7 * graphs.fp32.stat().st_size


def test_a_graph_that_is_not_the_model_leaves_no_file(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parity.BOUNDS, "fp32", -1.0)
    out = tmp_path / "x.onnx"
    ended = sidscan("export-onnx", "--model", graphs.models[0], "--encoder", graphs.encoder, "--out", out)
    assert ended.code == 4
    assert "sidscan: the graph is not the model: largest difference of logits over 14 crops: " in ended.err
    assert list(tmp_path.glob("*.onnx")) == []


@pytest.mark.parametrize(
    ("name", "exists", "message"),
    [
        pytest.param("x.bin", False, "is not called .onnx\nName a file that ends in .onnx.\n", id="suffix"),
        pytest.param(
            "x.onnx", True, "exists\nChoose another --out, or replace it with --overwrite.\n", id="exists"
        ),
    ],
)
def test_output_paths_that_are_refused(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, name: str, exists: bool, message: str
) -> None:
    out = tmp_path / name
    if exists:
        out.write_bytes(b"mine")
    ended = sidscan("export-onnx", "--model", graphs.models[0], "--encoder", graphs.encoder, "--out", out)
    assert (ended.code, ended.err) == (2, f"sidscan: {out} {message}")


def test_neither_torch_nor_open_clip_is_loaded(graphs: ExportedGraphs, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    code = (
        "import sys; from sidscan import ScanConfig, scan\n"
        f"results = list(scan(ScanConfig(inputs=({str(images)!r},), models=({str(graphs.fp32)!r},))))\n"
        "assert all(result.scores for result in results)\n"
        "print(sorted({'torch', 'open_clip', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Run before the example: only these packages and Python's standard library can be imported.
ALONE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package not in {"numpy", "PIL", "onnxruntime"} | set(sys.stdlib_module_names):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Refuse())
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_example_needs_fifteen_lines_and_three_packages(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path
) -> None:
    lines = [line for line in EXAMPLE.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 15 + 1, "15 lines and a docstring"
    images = sorted(str(path) for path in folder(tmp_path / "images").rglob("*.jpg"))
    done = _alone(EXAMPLE, graphs.fp32, *images)
    assert done.returncode == 0, done.stderr
    printed = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    ended = sidscan("scan", *images, "--model", graphs.fp32, "--crops", "center", "--out", tmp_path / "r.csv")
    assert ended.code == 0
    rows = {row["path"]: row for row in _rows(tmp_path / "r.csv")}
    assert len(printed) == 2 * len(images)
    for path, model, score in printed:
        column = "score" if model == "one.safetensors" else f"{model}.score"
        assert float(score) == pytest.approx(float(rows[path][column]), abs=1e-6)


@pytest.mark.parametrize("package", ["torch", "onnx", "sidscan", "pandas"])
def test_the_example_runs_without_other_packages(tmp_path: Path, package: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import {package}", encoding="utf-8")
    assert f"{package} is blocked" in _alone(script).stderr


def _alone(script: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ALONE, script, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_provider_that_does_not_start_is_not_replaced_by_the_cpu(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, device: str
) -> None:
    if torch.cuda.is_available():
        pytest.skip("here it may start")
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", graphs.fp32, "--device", device)
    assert ended.code == 6
    name = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[device]
    assert ended.out == "", "onnxruntime's own output must not look like a report"
    assert ended.err.splitlines()[-2] in (
        f"sidscan: {device} was asked for, but onnxruntime can't start its {name}",
        f"sidscan: this build of onnxruntime has no {name}",
    )
    assert "choose --device" in ended.err.splitlines()[-1] or "--device cpu" in ended.err.splitlines()[-1]
    assert "Traceback" not in ended.err


def test_a_provider_of_another_system(sidscan: Run, graphs: ExportedGraphs, tmp_path: Path) -> None:
    device = "directml" if sys.platform != "win32" else "coreml"
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", graphs.fp32, "--device", device)
    assert ended.code == 6
    assert "this build of onnxruntime has no " in ended.err
    ended = sidscan("scan", tmp_path / "i", "--model", "mini", "--device", device)
    assert ended.code == 6
    assert f"{device} runs exported graphs only\nExport with `sidscan export-onnx`" in ended.err


def _changed(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(
            lambda data: data[:1000], "is not a graph that sidscan exported, or not all of it", id="cut"
        ),
        pytest.param(
            lambda data: data[:-1], "is not a graph that sidscan exported, or not all of it", id="last"
        ),
        pytest.param(lambda data: b"", "is not a graph that sidscan exported, or not all of it", id="empty"),
        pytest.param(
            lambda data: data[:-SEAL_BYTES],
            "is not a graph that sidscan exported, or not all of it",
            id="foreign",
        ),
        pytest.param(
            lambda data: _changed(data, len(data) // 2), "was changed after its export", id="one bit"
        ),
        pytest.param(lambda data: _changed(data, len(data) - 3), "was changed after its export", id="seal"),
        pytest.param(lambda data: seal(b"not a model"), "onnxruntime can't load", id="sealed nonsense"),
        pytest.param(lambda data: seal(b""), "onnxruntime can't load", id="sealed nothing"),
    ],
)
def test_damaged_files(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(damage(graphs.fp32.read_bytes()))
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", path)
    assert ended.code == 4, ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err


DETECTOR: dict[str, Any] = {
    "name": "y",
    "digest": "0",
    "threshold": 0.5,
    "files": {},
    "provenance": {"a": "b"},
}
INFO: dict[str, Any] = {
    "format": "sidscan graph 1",
    "detectors": [DETECTOR],
    "precision": "fp32",
    "computes": "fp32",
    "layout": "NHWC",
    "licences": {},
    "parity": {},
    "nodes": {},
    "sidscan": "0",
    "torch": "0",
}


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        (None, "UINT8"),
        (5, "UINT8"),
        ({**INFO, "detectors": [{**DETECTOR, "files": None}]}, "UINT8"),
        ({**INFO, "detectors": [{**DETECTOR, "threshold": "0.5"}]}, "UINT8"),
        ({**INFO, "precision": "int8"}, "UINT8"),
        (INFO, "FLOAT"),
        (INFO, "UINT8"),
    ],
    ids=["silent", "number", "no files", "text", "int8", "takes floats", "gives bytes"],
)
def test_a_foreign_model_with_a_seal(sidscan: Run, tmp_path: Path, facts: Any, kind: str) -> None:
    import onnx
    from onnx import TensorProto, helper

    crops = helper.make_tensor_value_info("crops", getattr(TensorProto, kind), ["batch", 224, 224, 3])
    out = helper.make_tensor_value_info("y", getattr(TensorProto, kind), ["batch", 224, 224, 3])
    graph = helper.make_graph([helper.make_node("Identity", ["crops"], ["y"])], "g", [crops], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if facts is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "sidscan", json.dumps(facts)
    onnx.checker.check_model(model)
    path = tmp_path / "x.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", path)
    assert ended.code == 4, ended.err
    assert f"sidscan: {path} does not say which detectors it holds, or holds something else\n" in ended.err


def test_a_pipe_is_not_a_graph(sidscan: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.onnx")
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", tmp_path / "x.onnx")
    assert ended.code == 4
    assert f"sidscan: {tmp_path / 'x.onnx'} can't be read: not a regular file\n" in ended.err


@pytest.mark.parametrize(
    ("precision", "limit", "remedy"),
    [
        ("fp32", 2_000_000, "Put fewer models into one file, or export with --precision fp16."),
        ("fp16", 1_000_000, "Put fewer models into one file."),
        ("fp16", 2_000_000, ""),
    ],
)
def test_models_too_large_for_an_onnx_file_are_refused(
    graphs: ExportedGraphs, monkeypatch: pytest.MonkeyPatch, precision: str, limit: int, remedy: str
) -> None:
    from sidscan.exporters import graph_file
    from sidscan.exporters.network import ExportNetwork
    from sidscan.models import detectors

    network = ExportNetwork(
        detectors.load_detectors([str(model) for model in graphs.models], encoder=graphs.encoder)
    )
    graph_file._check_size(network, precision)
    monkeypatch.setattr(graph_file, "LARGEST", limit + graph_file._BESIDES)
    if not remedy:
        graph_file._check_size(network, precision)
        return
    with pytest.raises(ModelError, match=rf"bytes in {precision}; an ONNX file holds ") as refused:
        graph_file._check_size(network, precision)
    assert refused.value.remedy == remedy


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_reported_before_weights_are_read(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    ended = sidscan("export-onnx", "--model", tmp_path / "none.safetensors", "--out", tmp_path / "x.onnx")
    needed = f"sidscan: exporting needs {package}, which is not installed\n"
    assert (ended.code, ended.err) == (6, f"{needed}`{install_command(package)}` brings it.\n")


def test_all_missing_packages_are_named_at_once(
    sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    ended = sidscan("export-onnx", "--model", "mini", "--out", tmp_path / "x.onnx")
    needed = "sidscan: exporting needs onnx and onnxscript, which are not installed\n"
    assert (ended.code, ended.err) == (6, f"{needed}`{install_command('onnx', 'onnxscript')}` brings them.\n")


def test_fresh_replaces_a_graph_and_overwrite_anything(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path
) -> None:
    out = tmp_path / "x.onnx"
    out.write_bytes(b"old")
    command = ("export-onnx", "--model", graphs.models[1], "--encoder", graphs.encoder, "--out", out)
    ended = sidscan(*command, "--fresh")
    assert (ended.code, ended.err) == (
        7,
        (
            f"sidscan: {out} does not say that sidscan wrote it; it is left alone\n"
            "Choose another --out, or replace it with --overwrite.\n"
        ),
    )
    assert out.read_bytes() == b"old"
    GraphFile(out, ["two"], "fp32", fresh=False, overwrite=True)  # refuses nothing
    out.write_bytes(graphs.fp32.read_bytes())
    ended = sidscan(*command, "--fresh")
    assert ended.code == 0, ended.err
    assert check_seal(out) != check_seal(graphs.fp32)


def test_the_bundled_detector_from_the_models_folder(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    ended = sidscan("export-onnx", "--model", "mini", "--precision", "fp16")
    assert ended.code == 0, ended.err
    assert "graph as optimised: " in ended.err
    # onnxruntime 1.20 and its CUDA provider have few kernels for bytes: no maximum, no comparison.
    assert _readers_of_bytes(graph_path(["mini"], "fp16")) <= {"Cast", "Transpose", "Shape"}
    ended = sidscan(
        "scan", images, "--model", "mini", "--runtime", "pytorch", "--out", tmp_path / "torch.csv"
    )
    assert ended.code == 0, ended.err
    ended = sidscan("scan", images, "--model", "mini", "--runtime", "onnx", "--out", tmp_path / "onnx.csv")
    assert ended.code == 0, ended.err
    for torch_row, onnx_row in zip(_rows(tmp_path / "torch.csv"), _rows(tmp_path / "onnx.csv"), strict=True):
        assert float(torch_row["logit"]) == pytest.approx(float(onnx_row["logit"]), abs=0.02)
        assert [onnx_row[name] for name in ("model", "model_digest")] == [
            torch_row[name] for name in ("model", "model_digest")
        ]
        assert onnx_row["precision"] == "fp32 (weights stored in fp16)", "the exported precision is used"


def _readers_of_bytes(graph: Path) -> set[str]:
    """Kinds of nodes that take uint8 tensors."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(graph))
    values = (*model.graph.input, *model.graph.value_info)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    assert all(
        name in kinds for node in model.graph.node for name in node.output[:1] if node.op_type == "Cast"
    )
    of_bytes = onnx.TensorProto.UINT8
    return {node.op_type for node in model.graph.node if of_bytes in (kinds.get(name) for name in node.input)}


def _keep(graph: Path, names: list[str], precision: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Put a graph into the models folder as the export of catalog models; report these as installed."""
    import onnx

    from sidscan.models import detectors
    from sidscan.models.onnx_graph import GraphInfo

    model = onnx.load(graph)
    info = GraphInfo.from_json(model.metadata_props[0].value)
    by_name = {}
    for detector, output, name in zip(info.detectors, model.graph.output, names, strict=True):
        node = next(node for node in model.graph.node if output.name in node.output)
        node.output[list(node.output).index(output.name)] = output.name = name
        by_name[name] = replace(detector, name=name)
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = "sidscan", replace(info, detectors=tuple(by_name.values())).to_json()
    path = graph_path(names, precision)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(model.SerializeToString()))
    monkeypatch.setattr(
        detectors, "installed_detectors", lambda models: [by_name[model.name] for model in models]
    )
    return list(by_name.values())


@pytest.mark.parametrize("order", [("rine-4class", "ufd"), ("ufd", "rine-4class")])
def test_a_graph_in_the_models_folder_is_found_in_any_order(
    sidscan: Run,
    graphs: ExportedGraphs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    order: tuple[str, str],
) -> None:
    _keep(graphs.fp32, ["rine-4class", "ufd"], "fp32", monkeypatch)
    images = folder(tmp_path / "images")
    named = [part for name in order for part in ("--model", name)]
    ended = sidscan("scan", images, *named, "--runtime", "onnx", "--out", tmp_path / "kept.csv")
    assert ended.code == 0, ended.err
    ended = sidscan("scan", images, "--model", graphs.fp32, "--out", tmp_path / "file.csv")
    assert ended.code == 0, ended.err
    expected = {"rine-4class": "logit", "ufd": "two.safetensors.logit"}
    for folder_row, file_row in zip(_rows(tmp_path / "kept.csv"), _rows(tmp_path / "file.csv"), strict=True):
        assert folder_row["model"] == order[0], "the first model on the command line"
        assert folder_row["logit"] == file_row[expected[order[0]]]
        assert folder_row[f"{order[1]}.logit"] == file_row[expected[order[1]]]


@pytest.mark.parametrize(
    ("exported", "asked", "code", "message"),
    [
        (["fp16"], [], 0, "cpu, fp16\n"),
        (["fp16", "fp32"], [], 0, "cpu, fp32\n"),
        (["fp16", "fp32"], ["--precision", "fp16"], 0, "cpu, fp16\n"),
        (["fp16"], ["--precision", "fp32"], 4, "; --precision fp16 takes the one that is there.\n"),
        (["fp32"], ["--precision", "fp16"], 4, "; --precision fp32 takes the one that is there.\n"),
    ],
)
def test_which_precision_of_the_models_folder_is_used(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    exported: list[str], asked: list[str], code: int, message: str,
) -> None:  # fmt: skip
    for precision in exported:
        _keep(getattr(graphs, precision), ["rine-4class", "ufd"], precision, monkeypatch)
    named = ["--model", "rine-4class", "--model", "ufd", "--runtime", "onnx", *asked]
    ended = sidscan("scan", folder(tmp_path / "i"), *named)
    assert ended.code == code
    assert message in ended.err


def test_a_graph_of_other_weights_is_refused(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidscan.models import detectors

    exported = _keep(graphs.fp32, ["rine-4class", "ufd"], "fp32", monkeypatch)
    installed = [exported[0], replace(exported[1], files=dict.fromkeys(exported[1].files, "0" * 64))]
    monkeypatch.setattr(detectors, "installed_detectors", lambda models: installed)
    named = ["--model", "rine-4class", "--model", "ufd", "--runtime", "onnx"]
    ended = sidscan("scan", folder(tmp_path / "i"), *named)
    assert ended.code == 4
    assert "was exported from other weights than those that are installed\nExport again with" in ended.err


def test_renaming_a_graph_keeps_earlier_results(sidscan: Run, graphs: ExportedGraphs, tmp_path: Path) -> None:
    images = folder(tmp_path / "images")
    out = tmp_path / "report.json"
    for name in ("one.onnx", "two.ONNX", "three.bin"):
        graph = tmp_path / name
        graph.write_bytes(graphs.fp32.read_bytes())
        ended = sidscan("scan", images, "--model", graph, "--out", out)
        assert ended.code == 0, ended.err
        assert ("results kept from an earlier run" in ended.err) == (name != "one.onnx")
        assert "dropped" not in ended.err
    run = json.loads(out.read_text(encoding="utf-8"))["run"]
    assert run["graph"] == hashlib.sha256(graphs.fp32.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("none.onnx", False, "none.onnx can't be read: No such file or directory\nCheck the path.\n"),
        ("none.bin", False, "none.bin can't be read: No such file or directory\nCheck the path.\n"),
        ("\udce9.onnx", True, "whose name is not UTF-8\nRename the file or its folder.\n"),
    ],
)
def test_graphs_that_cannot_be_opened(
    sidscan: Run, graphs: ExportedGraphs, tmp_path: Path, name: str, written: bool, message: str
) -> None:
    path = tmp_path / name
    if written:
        try:
            path.write_bytes(graphs.fp32.read_bytes())
        except OSError:
            pytest.skip("this file system takes no such name")
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", path)
    assert ended.code == 4
    assert ended.err.endswith(message)


def test_the_output_folder_is_tried_before_exporting(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    ended = sidscan("export-onnx", "--model", "mini", "--out", tmp_path / "file" / "x.onnx")
    assert ended.code == 7
    assert "exporting" not in ended.err


def test_graphs_do_not_support_bf16(sidscan: Run, graphs: ExportedGraphs, tmp_path: Path) -> None:
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", graphs.fp32, "--precision", "bf16")
    assert ended.code == 6
    assert "exported graphs are fp32 or fp16\nLeave --precision out." in ended.err


def test_seals(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(seal(b"body"))
    assert check_seal(path) == hashlib.sha256(seal(b"body")).hexdigest()
    path.write_bytes(seal(b"body") + b" ")
    with pytest.raises(ModelError):
        check_seal(path)
    path.write_bytes(b"Body" + seal(b"body")[4:])
    with pytest.raises(DigestMismatch):
        check_seal(path)


def test_a_graph_is_used_alone(sidscan: Run, graphs: ExportedGraphs, tmp_path: Path) -> None:
    images = folder(tmp_path / "i")
    ended = sidscan("scan", images, "--model", graphs.fp32, "--model", "mini")
    assert (ended.code, ended.err) == (
        2, "sidscan: an exported graph is used alone\nExport all detectors into one file.\n"
    )  # fmt: skip
    ended = sidscan("scan", images, "--model", graphs.fp32, "--runtime", "pytorch")
    assert ended.code == 2
    ended = sidscan("scan", images, "--model", graphs.fp32, "--encoder", graphs.encoder)
    assert (ended.code, ended.err) == (
        2, "sidscan: an exported graph holds its encoder\nLeave --encoder out.\n"
    )  # fmt: skip
    ended = sidscan("scan", images, "--model", graphs.fp32, "--precision", "fp16")
    assert (ended.code, ended.err) == (
        6,
        (
            "sidscan: fp32.onnx was exported in fp32, not fp16\n"
            "Leave --precision out, or export with --precision fp16.\n"
        ),
    )


def test_without_an_export_the_error_names_the_command(sidscan: Run, tmp_path: Path) -> None:
    asked = ("--model", "mini", "--runtime", "onnx", "--precision", "fp16")  # its own graph is in fp32
    ended = sidscan("scan", folder(tmp_path / "i"), *asked)
    assert (ended.code, ended.err) == (
        4,
        (
            "sidscan: no exported graph of mini in fp16 is in the models folder\n"
            "`sidscan export-onnx --model mini --precision fp16` makes it.\n"
        ),
    )


def test_a_checkpoint_needs_an_output_file(sidscan: Run, graphs: ExportedGraphs, tmp_path: Path) -> None:
    ended = sidscan("export-onnx", "--model", graphs.models[0], "--encoder", graphs.encoder)
    assert ended.code == 2
    assert ended.err == (
        "sidscan: the models folder keeps graphs of the catalog's models alone\nName a file with --out.\n"
    )
    images = folder(tmp_path / "i")
    ended = sidscan(
        "scan", images, "--model", graphs.models[0], "--encoder", graphs.encoder, "--runtime", "onnx"
    )
    assert ended.code == 2
    assert "--runtime onnx looks for models of the catalog\nName the exported FILE.onnx itself" in ended.err


def test_the_search_for_pairs_of_slices_is_left_out_for_a_while() -> None:
    rule = pytest.importorskip("onnxscript.rewriter.rules.common").slice_split_rule
    from sidscan.exporters.graph_file import _no_pairs_of_slices

    search = rule.try_rewrite
    with _no_pairs_of_slices():
        assert rule.try_rewrite(None, None, None) is None
    assert rule.try_rewrite == search


def test_two_kinds_of_half_precision_do_not_share_a_file(graphs: ExportedGraphs) -> None:
    from sidscan.exporters.onnx import _halved
    from sidscan.models import detectors

    loaded = detectors.load_detectors([str(graphs.models[0]), "mini"], encoder=graphs.encoder)
    with pytest.raises(UsageError) as refused:
        _halved(None, loaded)
    assert refused.value.remedy == "Export them apart, or together in fp32."


def test_weights_stored_in_fp16_are_not_computed_in_fp16(graphs: ExportedGraphs) -> None:
    from sidscan.exporters.onnx import _computes
    from sidscan.models import detectors

    mini = detectors.load_detectors(["mini"])
    clip = detectors.load_detectors([str(graphs.models[0])], encoder=graphs.encoder)
    assert [_computes("fp16", loaded) for loaded in (mini, clip)] == ["fp32 (weights stored in fp16)", "fp16"]
    assert _computes("fp32", mini) == "fp32"


def test_natural_crops_are_seeded_and_differ() -> None:
    first, again = natural_crops(14), natural_crops(14)
    assert np.array_equal(first, again)
    assert len({crop.tobytes() for crop in first}) == 14
