"""CLIP encoders stored as int8 ONNX graphs: their weights as floating point, in a safetensors file.

The graphs are those that onnxruntime's dynamic quantisation makes of transformers' export. A weight matrix is
int8 with a scale and a zero point per output channel, used by MatMulInteger -> Cast -> Mul(scales) ->
Add(bias); all else is float32. Only the weights are taken. The graph itself is never run: it rounds
activations to eight bits too, and processors without VNNI saturate its products.
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidscan.errors import ModelError
from sidscan.models import onnx_proto
from sidscan.models.families.clip import open_clip_names
from sidscan.models.onnx_proto import Node
from sidscan.util.files import flush_to_disk

Array = NDArray[Any]  # float32

_NOT_READABLE = "this is not an ONNX file of an int8 CLIP encoder"
_REMEDY = "Use the file that the catalog names, unchanged: `sidscan models show NAME`."


class _Quantised(NamedTuple):
    """One weight matrix, (inputs, outputs): (integers - zero point) * scale, per output."""

    integers: NDArray[Any]
    zero_point: NDArray[Any]
    scale: NDArray[np.float32]

    def dequantised(self) -> Array:
        """(outputs, inputs), as torch's Linear has it."""
        centred = self.integers.astype(np.int16) - self.zero_point.astype(np.int16)
        weight: Array = (centred.astype(np.float32) * self.scale).T.copy()
        return weight

    def steps(self) -> Array:
        """(outputs, 1)."""
        scales = np.broadcast_to(self.scale, self.integers.shape[1:])
        steps: Array = scales.reshape(-1, 1).copy()
        return steps


def dequantise(content: bytes) -> dict[str, Array]:
    """All weights of an encoder, float32, under transformers' names.

    Args:
        content: of the ONNX file.

    Raises:
        ModelError: it is not such a file.
    """
    graph = _Graph(content)
    return graph.floats() | {name: matrix.dequantised() for name, matrix in graph.quantised()}


def quantisation_steps(source: Path | bytes) -> dict[str, Array]:
    """How far apart two neighbouring values of each quantised weight lie, under open_clip's names.

    The weight before quantisation lies within half a step of the dequantised one. A step tensor broadcasts
    against its weight: (outputs, 1), for ``proj`` (1, outputs).

    Args:
        source: the ONNX file, or its content.

    Raises:
        ModelError: it is not such a file, or can't be read.
    """
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise ModelError(f"{source!s} can't be read: {error.strerror or error}") from error
    steps = {name: matrix.steps() for name, matrix in _Graph(content).quantised()}
    return open_clip_names(steps)


def write_safetensors(tensors: Mapping[str, Array], origin: str, path: Path) -> None:
    """Write float32 tensors in open_clip's layout (``visual.*``); equal tensors always give equal bytes.

    The safetensors library is not used: the order in which it writes may change from release to release, and
    the digest of the file is pinned.

    Args:
        origin: where the weights come from; the file states it in its metadata.

    Raises:
        OSError: the file can't be written.
    """
    header: dict[str, object] = {"__metadata__": {"origin": origin}}
    start = 0
    for name in sorted(tensors):
        end = start + 4 * tensors[name].size
        header[f"visual.{name}"] = {
            "dtype": "F32",
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data is aligned to eight bytes
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(tensors[name].astype("<f4").tobytes())
        file.flush()
        flush_to_disk(file.fileno())


class _Graph:
    """An ONNX graph, as far as its weights go.

    Raises:
        ModelError: the content is no ONNX file, or points to data outside of it.
    """

    def __init__(self, content: bytes) -> None:
        try:
            if onnx_proto.has_external_data(content):
                raise ModelError(f"{_NOT_READABLE}: its weights lie in other files", _REMEDY)
            self._constants = onnx_proto.initializers(content)
            self._nodes = onnx_proto.nodes(content)
        except ValueError as error:
            raise ModelError(_NOT_READABLE, _REMEDY) from error
        self._readers: dict[str, list[Node]] = defaultdict(list)
        for node in self._nodes:
            for name in node.input:
                self._readers[name].append(node)
        self._writer = {name: node for node in self._nodes for name in node.output}

    def floats(self) -> dict[str, Array]:
        """Weights that were not quantised, by name; anonymous constants are not weights."""
        return {
            name: array.copy()
            for name, array in self._constants.items()
            if name.startswith("vision_model.") and array.dtype == np.float32
        }

    def quantised(self) -> Iterator[tuple[str, _Quantised]]:
        """Weight matrices that were quantised, by transformers' names.

        Raises:
            ModelError: a node is not wired as onnxruntime's dynamic quantisation does it.
        """
        for node in self._nodes:
            if node.op_type != "MatMulInteger":
                continue
            try:
                yield self._name(node), self._matrix(node)
            except (KeyError, IndexError, ValueError) as error:
                raise ModelError(f"{_NOT_READABLE}: {node.name} is wired in another way", _REMEDY) from error

    def _matrix(self, node: Node) -> _Quantised:
        weight = self._constants[node.input[1]]
        zero = self._constants[node.input[3]] if len(node.input) > 3 else np.zeros(1, weight.dtype)
        scale = self._weight_scale(node)
        if weight.ndim != 2 or weight.dtype.itemsize != 1 or {zero.size, scale.size} - {1, weight.shape[1]}:
            raise ValueError(f"{weight.dtype} {weight.shape}, {zero.shape}, {scale.shape}")
        return _Quantised(weight, zero, scale)

    def _weight_scale(self, node: Node) -> NDArray[np.float32]:
        """The constant in Mul(Cast(product), Mul(scale of the activations, scale of the weight))."""
        cast = self._reader(node, "Cast")
        (scales,) = set(self._reader(cast, "Mul").input) - set(cast.output)
        (scale,) = (self._constants[name] for name in self._writer[scales].input if name in self._constants)
        if scale.dtype != np.float32:
            raise ValueError(scale.dtype)
        return scale

    def _name(self, node: Node) -> str:
        """``/vision_model/.../fc1/MatMul_quant`` -> ``vision_model....fc1.weight``, as its bias is called."""
        stem = node.name.strip("/").rpartition("/")[0].replace("/", ".")
        product = self._reader(self._reader(node, "Cast"), "Mul")
        added = {
            name for add in self._readers[product.output[0]] for name in add.input if add.op_type == "Add"
        }
        if added & self._constants.keys() - {f"{stem}.bias"}:
            raise ValueError(f"{stem} with {added}")
        return f"{stem}.weight"

    def _reader(self, node: Node, op_type: str) -> Node:
        (reader,) = (each for each in self._readers[node.output[0]] if each.op_type == op_type)
        return reader
