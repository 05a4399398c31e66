"""Slices of slices become one: PyTorch's are views, which cost nothing; those of a graph are copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Ranges = dict[int, range]  # what a slice keeps, by axis
_PARTS = ("starts", "ends", "axes", "steps")


def merge_slices(model: Any) -> None:
    """Have each slice of an `onnx.ModelProto` read what no other slice made; drop those that nothing reads.

    Axes whose length depends on the batch are left alone.
    """
    from onnx import helper

    constants = _constants(model)
    lengths = _lengths(model)
    kept: dict[str, tuple[str, Ranges]] = {}  # output of a slice -> what it reads, and what it keeps of that
    merged: list[Any] = []
    arguments: dict[str, Any] = {}  # by name; slices share them
    for node in model.graph.node:
        ranges = _ranges(node, constants, lengths)
        if ranges is None:
            merged.append(node)
            continue
        source, inner = kept.get(node.input[0], (node.input[0], {}))
        both = inner | {axis: _compose(inner.get(axis), ranges[axis]) for axis in ranges}
        kept[node.output[0]] = source, both
        if source == node.input[0]:
            merged.append(node)
            continue
        its = _arguments(both)
        arguments |= its
        merged.append(helper.make_node("Slice", [source, *its], list(node.output), name=node.name))
    read = _read_nodes(merged, {value.name for value in model.graph.output})
    del model.graph.node[:]
    model.graph.node.extend(read)
    used = {name for node in read for name in node.input}
    initialisers = [each for each in (*model.graph.initializer, *arguments.values()) if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(initialisers)


def _ranges(
    node: Any, constants: Mapping[str, Any], lengths: Mapping[str, list[int | None]]
) -> Ranges | None:
    """What a slice keeps of its input; None of another node, or where it turns, or depends on the batch."""
    known = list(node.input[1:])
    if node.op_type != "Slice" or len(known) < 3 or not all(name in constants for name in known if name):
        return None
    starts, ends, axes = (constants[name].ravel().tolist() for name in known[:3])
    steps = constants[known[3]].ravel().tolist() if len(known) > 3 and known[3] else [1] * len(axes)
    sides = lengths.get(node.input[0], [])
    if not sides or any(sides[axis] is None for axis in axes) or min(steps) < 0:
        return None
    return {
        axis % len(sides): range(sides[axis] or 0)[start:end:step]
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }


def _compose(inner: range | None, outer: range) -> range:
    return outer if inner is None else inner[outer.start : outer.stop : outer.step]


def _arguments(ranges: Ranges) -> dict[str, Any]:
    """Starts, ends, axes and steps as ONNX's Slice takes them, by names that say what they hold."""
    from onnx import numpy_helper

    parts = [(kept.start, kept.stop, axis, kept.step) for axis, kept in sorted(ranges.items())]
    named = {
        f"{what} {values}": values for what, values in zip(_PARTS, zip(*parts, strict=True), strict=True)
    }
    return {name: numpy_helper.from_array(np.array(values, np.int64), name) for name, values in named.items()}


def _constants(model: Any) -> dict[str, Any]:
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == 7}  # int64
    constants |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    return {name: numpy_helper.to_array(tensor) for name, tensor in constants.items()}


def _lengths(model: Any) -> dict[str, list[int | None]]:
    """The sides of every value, as far as they are known; None where one depends on the batch."""
    from onnx import shape_inference

    graph = shape_inference.infer_shapes(model).graph
    return {
        value.name: [
            side.dim_value if side.HasField("dim_value") else None
            for side in value.type.tensor_type.shape.dim
        ]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }


def _read_nodes(nodes: list[Any], wanted: set[str]) -> list[Any]:
    """The nodes of a sorted graph whose outputs something reads."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted = wanted | set(node.input)
    return kept[::-1]
