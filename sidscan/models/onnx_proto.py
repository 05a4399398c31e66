"""Reads ONNX files without the onnx package: protocol buffers, as far as names and tensors go.

onnx.proto (github.com/onnx/onnx) numbers the fields; protobuf.dev/programming-guides/encoding says how they
are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

Value = int | memoryview

# Numbers of fields in onnx.proto.
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_OP_TYPE = 1, 2, 3, 4
TENSOR_DIMS, TENSOR_DATA_TYPE, TENSOR_NAME, TENSOR_RAW_DATA, TENSOR_DATA_LOCATION = 1, 2, 8, 9, 14
TENSOR_FLOATS, TENSOR_INT32S, TENSOR_INT64S = 4, 5, 7  # instead of raw data
EXTERNAL = 1  # TensorProto.DataLocation
TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}  # TensorProto.DataType

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MOST_VARINT = 10  # bytes


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a graph."""

    op_type: str
    name: str
    input: tuple[str, ...]
    output: tuple[str, ...]


def fields(message: bytes | memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of every field of a message: an integer, or bytes (fixed numbers are bytes, too).

    Raises:
        ValueError: it is not a message, or cut short.
    """
    message, position = memoryview(message), 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > len(message):
            raise ValueError("cut short")
        yield key >> 3, message[position : position + size]
        position += size


def parts(message: bytes | memoryview, number: int) -> Iterator[memoryview]:
    """The values, all bytes, of one field.

    Raises:
        ValueError: as `fields`; or one is a number.
    """
    for found, value in fields(message):
        if found == number:
            if isinstance(value, int):
                raise ValueError(f"field {number} is a number")
            yield value


def initializer_names(model: bytes) -> list[str]:
    """Names of the tensors in a model's graph.

    Raises:
        ValueError: it is not an ONNX model.
    """
    return [_text(tensor, TENSOR_NAME) for tensor in _of_graph(model, GRAPH_INITIALIZER)]


def initializers(model: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a model's graph by name; views of ``model``.

    Raises:
        ValueError: it is not an ONNX model, or a tensor is of a type that weights are not.
    """
    return {_text(tensor, TENSOR_NAME): _array(tensor) for tensor in _of_graph(model, GRAPH_INITIALIZER)}


def has_external_data(model: bytes) -> bool:
    """Whether tensors of a model's graph lie in other files.

    Raises:
        ValueError: it is not an ONNX model.
    """
    return any(
        (TENSOR_DATA_LOCATION, EXTERNAL) in fields(tensor) for tensor in _of_graph(model, GRAPH_INITIALIZER)
    )


def nodes(model: bytes) -> list[Node]:
    """The operations of a model's graph, in order.

    Raises:
        ValueError: it is not an ONNX model.
    """
    return [
        Node(
            _text(node, NODE_OP_TYPE),
            _text(node, NODE_NAME),
            tuple(str(name, "utf-8") for name in parts(node, NODE_INPUT)),
            tuple(str(name, "utf-8") for name in parts(node, NODE_OUTPUT)),
        )
        for node in _of_graph(model, GRAPH_NODE)
    ]


def _of_graph(model: bytes, number: int) -> Iterator[memoryview]:
    graphs = list(parts(model, MODEL_GRAPH))
    if len(graphs) != 1:
        raise ValueError(f"{len(graphs)} graphs")
    return parts(graphs[0], number)


def _text(message: memoryview, number: int) -> str:
    """A field that is text; the last one counts, none is empty."""
    return str(next(reversed(list(parts(message, number))), b""), "utf-8")


def _array(tensor: memoryview) -> NDArray[Any]:
    import numpy as np

    dims = _integers(tensor, TENSOR_DIMS)
    kind = TYPES.get(next(iter(_integers(tensor, TENSOR_DATA_TYPE)), 0))
    if kind is None:
        raise ValueError("a tensor of an unknown type")
    raw = b"".join(value for number in (TENSOR_RAW_DATA, TENSOR_FLOATS) for value in parts(tensor, number))
    if raw:
        return np.frombuffer(raw, kind).reshape(dims)
    integers = _integers(tensor, TENSOR_INT32S) + _integers(tensor, TENSOR_INT64S)
    return np.array(integers, np.int64).astype(kind).reshape(dims)


def _integers(message: memoryview, number: int) -> list[int]:
    """The values of a field of integers, which stand one by one or packed."""
    found: list[int] = []
    for of_field, value in fields(message):
        if of_field == number and isinstance(value, int):
            found.append(value)
        elif of_field == number and not isinstance(value, int):
            position = 0
            while position < len(value):
                packed, position = _varint(value, position)
                found.append(packed)
    return [value - (1 << 64) if value >> 63 else value for value in found]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = 0
    for index, byte in enumerate(message[position : position + _MOST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise ValueError("a number without an end")
