"""Would int8 products make rine-b16's graph faster, and what would they do to its logits?

    python benchmarks/int8_graph.py FOLDER --images 100 --out FILE

The graph is exported in fp32, and its matrix products quantised by onnxruntime: weights to int8, activations
to uint8 as they come (dynamic quantisation). "7 bits" leaves one bit of the weights unused, so that products
don't saturate on processors without VNNI; "8 bits" does not. Centre crops of images are scored by PyTorch in
fp32 and bf16, by the fp32 graph and by both int8 graphs, one after the other, in this process and on all
cores. The result states crops per second, and how far logits are from PyTorch's in fp32.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from parity import choose
from quantisation import centre_crop
from record import publish, stamp

from sidscan.exporters.onnx import export
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.detectors import load_detectors
from sidscan.util.threads import available_cores

BATCH = 10  # crops
Logits = NDArray[np.float64]
Scorer = Callable[[torch.Tensor], Logits]
"""Crops (b, 3, 224, 224) uint8 -> logits (b,)."""


def of_torch(precision: torch.dtype) -> Scorer:
    """The detector, as PyTorch runs it."""
    (detector,) = load_detectors(["rine-b16"])
    assert isinstance(detector.encoder, ClipEncoder)
    encoder = detector.encoder.to(precision)

    def score(crops: torch.Tensor) -> Logits:
        with torch.inference_mode():
            values: Logits = detector.head(encoder(crops).float()).double().numpy()
        return values

    return score


def of_graph(path: Path) -> Scorer:
    """A graph, as onnxruntime runs it on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def score(crops: torch.Tensor) -> Logits:
        pixels = np.ascontiguousarray(crops.permute(0, 2, 3, 1).numpy())  # a graph takes (b, 224, 224, 3)
        return np.asarray(session.run(None, {name: pixels})[0], np.float64).reshape(-1)

    return score


def quantised(graph: Path, out: Path, reduce_range: bool) -> Path:
    """The graph with int8 weights in its products with matrices, one scale per column."""
    network = onnx.load(graph).graph
    vectors = {tensor.name for tensor in network.initializer if len(tensor.dims) != 2}
    quantize_dynamic(
        graph,
        out,
        op_types_to_quantize=["MatMul", "Gemm"],
        nodes_to_exclude=[node.name for node in network.node if not vectors.isdisjoint(node.input)],
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    return out


def measure(crops: torch.Tensor, scratch: Path) -> dict[str, Any]:
    """Every way of scoring, beside the first."""
    torch.set_num_threads(available_cores())
    graph = export(["rine-b16"], scratch / "fp32.onnx", "fp32")
    scorers = {
        "PyTorch fp32": of_torch(torch.float32),
        "PyTorch bf16": of_torch(torch.bfloat16),
        "graph fp32": of_graph(graph),
        "graph int8, 7 bits": of_graph(quantised(graph, scratch / "7.onnx", reduce_range=True)),
        "graph int8, 8 bits": of_graph(quantised(graph, scratch / "8.onnx", reduce_range=False)),
    }
    figures: dict[str, Any] = {}
    exact: Logits | None = None
    for name, score in scorers.items():
        score(crops[:BATCH])
        start = time.perf_counter()
        logits = np.concatenate([score(part) for part in torch.split(crops, BATCH)])
        rate = len(crops) / (time.perf_counter() - start)
        exact = logits if exact is None else exact
        change = np.abs(logits - exact)
        figures[name] = {
            "crops_per_second": float(f"{rate:.3g}"),
            "logit_change_median": float(f"{np.median(change):.2g}"),
            "logit_change_largest": float(f"{change.max():.2g}"),
        }
    return figures


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    crops = torch.cat([centre_crop(path) for path in choose(options.folder, options.images)])
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(crops, Path(scratch))
    result = stamp("int8_graph", "torch", "onnxruntime", "onnx") | {"images": len(crops)}
    publish(result | figures, options.out)


if __name__ == "__main__":
    main()
