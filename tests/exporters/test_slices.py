"""Slices of slices read what the first one reads, and give the same."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from sidscan.exporters.slices import merge_slices

SIDES = (12, 17)
ENDS = np.iinfo(np.int64).max
# Of each slice: starts, ends, axes, steps.
CHAINS: dict[str, list[tuple[list[int], list[int], list[int], list[int]]]] = {
    "other axes": [([1], [9], [1], [1]), ([2], [ENDS], [2], [1])],
    "one axis": [([1], [11], [2], [2]), ([1], [-1], [-1], [2])],
    "both axes at once": [([1, 2], [ENDS, ENDS], [1, 2], [1, 3]), ([2], [4], [1], [1]), ([1], [3], [2], [1])],
    "nothing left": [([5], [5], [1], [1]), ([0], [1], [1], [1])],
    "turned": [([1], [9], [1], [1]), ([-1], [-ENDS], [1], [-1]), ([1], [3], [1], [1])],
    "of the batch": [([1], [ENDS], [0], [1]), ([1], [3], [0], [1]), ([1], [3], [1], [1])],
}


def model(chain: list[tuple[list[int], list[int], list[int], list[int]]]) -> Any:
    constants: list[Any] = []
    nodes: list[Any] = []
    names = ["crops", *map(str, range(len(chain) - 1)), "sliced"]
    for number, (each, (source, target)) in enumerate(zip(chain, itertools.pairwise(names), strict=True)):
        arguments = [f"{number} {what}" for what in ("starts", "ends", "axes", "steps")]
        for name, values in zip(arguments, each, strict=True):
            constants.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        nodes.append(helper.make_node("Slice", [source, *arguments], [target]))
    ends: list[Any] = [
        helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["b", *SIDES]),
        helper.make_tensor_value_info("sliced", TensorProto.FLOAT, ["c", "h", "w"]),
    ]
    graph = helper.make_graph(nodes, "slices", ends[:1], ends[1:], constants)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])


def run(graph: Any, crops: Any) -> Any:
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"crops": crops})[0]


@pytest.mark.parametrize("name", CHAINS)
def test_merged_slices_give_the_same(name: str) -> None:
    merged = model(CHAINS[name])
    crops = np.random.default_rng(0).normal(size=(5, *SIDES)).astype(np.float32)
    expected = run(merged, crops)
    merge_slices(merged)
    assert np.array_equal(run(merged, crops), expected)
    onnx.checker.check_model(merged)
    assert len(merged.graph.node) == {"turned": 3, "of the batch": 3}.get(name, 1)
