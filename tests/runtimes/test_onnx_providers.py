"""Accelerators that tests do not have: the options that ONNX Runtime gets, and how its answers are handled.

A fake onnxruntime records its calls and computes on the CPU what it claims to compute elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from sample_graphs import ExportedGraphs

from sidscan.errors import RuntimeUnavailable
from sidscan.records import CropSet
from sidscan.runtimes import onnx_providers
from sidscan.runtimes.onnx import OnnxRuntime
from sidscan.runtimes.precision_check import natural_crops

NAMES = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
CPU = "CPUExecutionProvider"
STRICT = "session.disable_cpu_ep_fallback"


class FakeOnnxRuntime:
    """A replacement for the module onnxruntime.

    Attributes:
        asked: (providers, options) of each session, in order; "libraries" where these were loaded.
        left: nodes that the provider does not take, as (provider, kinds); it takes ``taken`` nodes.
        strict: the setting of each session that set whether nodes may fall back to the CPU.
        spoil: called before each run of a session, with its provider's options.
    """

    __version__ = ort.__version__

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.left: list[tuple[str, list[str]]] = []
        self.taken = 5
        self.strict: list[str] = []
        self.spoil: Callable[[dict[str, str], int], None] = lambda options, run: None
        self.OrtValue = SimpleNamespace(
            ortvalue_from_numpy=lambda values, device, _: self._value(
                ort.OrtValue.ortvalue_from_numpy(values), device
            ),
            ortvalue_from_shape_and_type=lambda shape, kind, device, _: self._value(
                ort.OrtValue.ortvalue_from_shape_and_type(shape, kind), device
            ),
        )
        fake_ort = self

        class InferenceSession:
            def __init__(
                self, path: str, options: Any, providers: list[Any], enable_fallback: int = 1
            ) -> None:
                assert enable_fallback == 0, "onnxruntime would go on with another provider"
                named = [provider if isinstance(provider, str) else provider[0] for provider in providers]
                fake_ort.asked.append((providers, options))
                self.asked = providers[0][1]
                self.named = named
                self.runs = 0
                with suppress(RuntimeError):  # if the entry is not set
                    fake_ort.strict.append(options.get_session_config_entry(STRICT))
                    options.add_session_config_entry(
                        STRICT, "0"
                    )  # otherwise the CPU could not replace the provider
                self.session = ort.InferenceSession(path, options, providers=[CPU])

            def get_providers(self) -> list[str]:
                return [*self.named, CPU]

            def run_with_iobinding(self, binding: Any) -> None:
                self.runs += 1
                fake_ort.spoil(self.asked, self.runs)
                self.session.run_with_iobinding(binding)

            def __getattr__(self, name: str) -> Any:
                if name == "get_provider_graph_assignment_info":
                    raise AttributeError(name)
                return getattr(self.session, name)

        InferenceSession.get_provider_graph_assignment_info = lambda session: [  # type: ignore[attr-defined]
            SimpleNamespace(
                ep_name=name, get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=k) for k in kinds]
            )
            for name, kinds in [(session.named[0], ["MatMul"] * fake_ort.taken), *fake_ort.left]
            if kinds
        ]
        self.InferenceSession = InferenceSession

    SessionOptions = ort.SessionOptions

    @staticmethod
    def _value(value: Any, device: str) -> Any:
        assert device in ("cuda", "cpu")
        return value

    def get_available_providers(self) -> list[str]:
        return [*NAMES.values(), CPU]

    def set_default_logger_severity(self, level: int) -> None:
        pass

    def preload_dlls(self, directory: str) -> None:
        assert directory == "", "the libraries of pip's packages"
        self.asked.append("libraries")


@pytest.fixture
def fake_ort(monkeypatch: pytest.MonkeyPatch) -> FakeOnnxRuntime:
    fake_ort = FakeOnnxRuntime()
    monkeypatch.setattr(onnx_providers, "ort", fake_ort)
    monkeypatch.setattr(onnx_providers, "FIXED_BATCH", 4)  # as good as 40, and faster
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    return fake_ort


CUDA = {"use_tf32": "0", "enable_cuda_graph": "0"}
TENSORRT = {
    "trt_fp16_enable": "0",
    "trt_layer_norm_fp32_fallback": "1",
    "trt_engine_cache_enable": "1",
    "trt_cuda_graph_enable": "0",
}


@pytest.mark.parametrize(
    ("device", "precision", "asked"),
    [
        ("cuda", "fp32", [("cuda", CUDA)]),
        ("cuda", "fp16", [("cuda", CUDA)]),
        ("tensorrt", "fp32", [("tensorrt", TENSORRT), ("cuda", CUDA)]),
        ("tensorrt", "fp16", [("tensorrt", TENSORRT | {"trt_fp16_enable": "1"}), ("cuda", CUDA)]),
        ("coreml", "fp32", [("coreml", {})]),
        ("directml", "fp32", [("directml", {})]),
    ],
)
def test_sessions_get_the_providers_and_options_of_the_device(
    fake_ort: FakeOnnxRuntime,
    graphs: ExportedGraphs,
    device: Any,
    precision: str,
    asked: list[tuple[str, dict[str, str]]],
) -> None:
    runtime = OnnxRuntime(graphs.fp32 if precision == "fp32" else graphs.fp16, device)
    sessions = [entry for entry in fake_ort.asked if entry != "libraries" and entry[0][0][0] != CPU]
    given, options = sessions[0]
    cached = given[0][1].pop("trt_engine_cache_path", "")
    assert given == [(NAMES[name], wanted) for name, wanted in asked]
    assert Path(cached).name == (runtime.sha256 if device == "tensorrt" else ""), "one folder per graph"
    assert options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
    if device in ("cuda", "tensorrt"):
        assert fake_ort.asked.index("libraries") < fake_ort.asked.index(sessions[0])
    tf32 = "0" if device == "tensorrt" else "1"
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == tf32, "TensorRT's provider has no option for it"
    assert runtime.info.device == device
    suffix = " (or more of it, as TensorRT sees fit)" if (device, precision) == ("tensorrt", "fp16") else ""
    assert runtime.info.precision == precision + suffix


@pytest.mark.parametrize("device", NAMES)
@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_fixed_batches_give_the_same_logits(
    fake_ort: FakeOnnxRuntime, graphs: ExportedGraphs, device: Any, count: int
) -> None:
    crops = natural_crops(count)
    expected = OnnxRuntime(graphs.fp32, "cpu").logits(CropSet.plain(crops))
    logits = OnnxRuntime(graphs.fp32, device).logits(CropSet.plain(crops))
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert expected.shape == (count, 2)


def test_with_the_batch_fixed_no_node_computes_shapes(
    fake_ort: FakeOnnxRuntime, graphs: ExportedGraphs, tmp_path: Path
) -> None:
    import onnx

    kinds = {}
    for device in ("cpu", "cuda"):
        options = onnx_providers._options(device)
        options.optimized_model_filepath = str(tmp_path / f"{device}.onnx")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        ort.InferenceSession(str(graphs.fp32), options, providers=[CPU])
        kinds[device] = {node.op_type for node in onnx.load(tmp_path / f"{device}.onnx").graph.node}
    assert "Shape" in kinds["cpu"]
    assert not {"Shape", "Range", "ConstantOfShape", "Expand"} & kinds["cuda"]


@pytest.mark.parametrize(
    ("device", "taken", "left", "expected"),
    [
        ("cuda", 5, [], "cuda"),
        (
            "cuda",
            5,
            [(CPU, ["Shape", "NonZero", "Shape"])],
            "takes 5 of 8 nodes of {}; left to the CPU: 2 Shape",
        ),
        ("cuda", 0, [(CPU, ["MatMul"])], "takes 0 of 1 nodes of {}; left to the CPU: 1 MatMul"),
        (
            "tensorrt",
            5,
            [(NAMES["cuda"], ["Einsum", "CumSum"])],
            "tensorrt (of 7 nodes 2 by CUDAExecutionProvider)",
        ),
        ("tensorrt", 0, [(NAMES["cuda"], ["MatMul"])], "takes 0 of 1 nodes of {}"),
        ("tensorrt", 5, [(CPU, ["Shape"])], "takes 5 of 6 nodes of {}; left to the CPU: 1 Shape"),
        ("coreml", 5, [(CPU, ["Cast"] * 3)], "coreml (of 8 nodes 3 by CPUExecutionProvider)"),
        ("coreml", 0, [(CPU, ["Cast"])], "takes 0 of 1 nodes of {}; left to the CPU: 1 Cast"),
        ("directml", 5, [], "directml"),
    ],
)
def test_nodes_that_a_provider_does_not_take(
    fake_ort: FakeOnnxRuntime,
    graphs: ExportedGraphs,
    device: Any,
    taken: int,
    left: list[tuple[str, list[str]]],
    expected: str,
) -> None:
    fake_ort.taken, fake_ort.left = taken, left
    if not expected.startswith("takes"):
        assert OnnxRuntime(graphs.fp32, device).info.device == expected
        return
    with pytest.raises(RuntimeUnavailable) as refused:
        OnnxRuntime(graphs.fp32, device)
    assert f"{device} was asked for, but {expected.format(graphs.fp32)}" in refused.value.message
    assert refused.value.remedy == "Export the graph again, update onnxruntime, or choose another --device."


@pytest.mark.parametrize(
    ("device", "strict", "expected"),
    [
        ("cuda", ["1", "1"], "cuda"),
        ("tensorrt", ["1"], "tensorrt"),
        ("coreml", [], "coreml (this onnxruntime can't tell which nodes)"),
    ],
)
def test_an_onnxruntime_without_node_assignment_info(
    fake_ort: FakeOnnxRuntime, graphs: ExportedGraphs, device: Any, strict: list[str], expected: str
) -> None:
    del fake_ort.InferenceSession.get_provider_graph_assignment_info  # type: ignore[attr-defined]
    assert OnnxRuntime(graphs.fp32, device).info.device == expected
    assert fake_ort.strict == strict, (
        "sessions in which ONNX Runtime itself refuses to leave nodes to the CPU"
    )


def _fails(options: dict[str, str], run: int) -> None:
    if options.get("enable_cuda_graph") == "1" and run > 1:
        raise ValueError("capture")


def _dies(options: dict[str, str], run: int) -> None:
    raise ValueError("out of memory\nat length")


@pytest.mark.parametrize(("spoil", "enabled"), [(None, "1"), (_fails, "0")], ids=["recorded", "refused"])
def test_cuda_graphs_are_used_where_they_work(
    fake_ort: FakeOnnxRuntime, graphs: ExportedGraphs, spoil: Any, enabled: str
) -> None:
    fake_ort.spoil = spoil or fake_ort.spoil
    runtime = OnnxRuntime(graphs.fp32, "cuda")
    assert [entry[0][0][1]["enable_cuda_graph"] for entry in fake_ort.asked if entry != "libraries"] == [
        "0",
        "1",
    ]
    assert runtime._fixed._session.asked["enable_cuda_graph"] == enabled


def test_a_cuda_graph_with_other_results_is_not_used(
    fake_ort: FakeOnnxRuntime, graphs: ExportedGraphs, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = onnx_providers.FixedBatchSession.logits
    runs = []

    def stale(self: Any, crops: Any) -> Any:
        runs.append(self._session.asked["enable_cuda_graph"])
        return logits(self, crops) + (len(runs) if runs[-1] == "1" else 0)

    monkeypatch.setattr(onnx_providers.FixedBatchSession, "logits", stale)
    runtime = OnnxRuntime(graphs.fp32, "cuda")
    assert "1" in runs
    assert runtime._fixed._session.asked["enable_cuda_graph"] == "0"


@pytest.mark.parametrize("device", NAMES)
def test_a_failure_of_the_first_batch_is_reported_before_the_scan(
    fake_ort: FakeOnnxRuntime, graphs: ExportedGraphs, device: Any
) -> None:
    fake_ort.spoil = _dies
    with pytest.raises(RuntimeUnavailable) as refused:
        OnnxRuntime(graphs.fp32, device)
    assert refused.value.message == f"onnxruntime can't run {graphs.fp32} on {device}: out of memory"
    assert "--device" in refused.value.remedy
