"""Protocol buffers are read as the onnx package reads them; what is cut short is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from sidscan.models import onnx_proto


def model(names: list[str]) -> bytes:
    tensors = [helper.make_tensor(name, TensorProto.FLOAT, [2], [1.0, 2.0]) for name in names]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "graph", [], [], tensors)
    content: bytes = helper.make_model(graph).SerializeToString()
    return content


@given(st.lists(st.text(max_size=300), max_size=5))
def test_names_of_tensors(names: list[str]) -> None:
    content = model(names)
    parsed = onnx.load_model_from_string(content)
    assert onnx_proto.initializer_names(content) == [tensor.name for tensor in parsed.graph.initializer]


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_numbers(value: int) -> None:
    tensor = TensorProto(dims=[value])
    assert (1, value) in [
        (number, found if isinstance(found, int) else _varint(found))
        for number, found in onnx_proto.fields(tensor.SerializeToString())
    ]


def _varint(packed: memoryview) -> int:
    """The only number of a packed list."""
    return sum((byte & 0x7F) << (7 * index) for index, byte in enumerate(packed))


@pytest.mark.parametrize("content", [b"\x0a\x05abc", b"\x08", b"\x0b", b"\x0a" + b"\xff" * 11, b"\x0d\0\0"])
def test_what_is_no_message(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut short|wire type|without an end"):
        list(onnx_proto.fields(content))


@given(st.binary(max_size=200))
def test_any_bytes_end(content: bytes) -> None:
    try:
        found = list(onnx_proto.fields(content))
    except ValueError:
        return
    assert len(found) <= len(content)


def test_a_field_of_another_kind() -> None:
    with pytest.raises(ValueError, match="field 7 is a number"):
        onnx_proto.initializer_names(b"\x38\x01")


def test_tensors_and_nodes() -> None:
    arrays: dict[str, NDArray[Any]] = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "bytes": np.array([-3, 7], np.int8),
        "scalar": np.array(2.5, np.float32),
        "none": np.zeros((0, 4), np.float16),
    }
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    written = [
        helper.make_node("Add", ["x", "matrix"], ["y"], name="sum"),
        helper.make_node("Cast", ["y"], ["z"]),
    ]
    content = helper.make_model(helper.make_graph(written, "graph", [], [], tensors)).SerializeToString()
    read = onnx_proto.initializers(content)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(read[name], array)
    assert onnx_proto.nodes(content) == [
        onnx_proto.Node("Add", "sum", ("x", "matrix"), ("y",)),
        onnx_proto.Node("Cast", "", ("y",), ("z",)),
    ]
    assert not onnx_proto.has_external_data(content)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.FLOAT, [1.5, -2.0]),
        (TensorProto.INT8, [-128, 127]),
        (TensorProto.UINT8, [0, 255]),
        (TensorProto.INT64, [-(2**62), 3]),
    ],
)
def test_tensors_that_are_not_raw(kind: int, values: list[float]) -> None:
    tensor = helper.make_tensor("t", kind, [2], values)
    assert not tensor.raw_data
    content = helper.make_model(helper.make_graph([], "graph", [], [], [tensor])).SerializeToString()
    read = onnx_proto.initializers(content)["t"]
    assert read.tolist() == values
    assert read.dtype == onnx.numpy_helper.to_array(tensor).dtype


@pytest.mark.parametrize(
    "tensor",
    [
        pytest.param(TensorProto(name="t", dims=[2], data_type=99, raw_data=bytes(8)), id="type"),
        pytest.param(TensorProto(name="t", dims=[3], data_type=1, raw_data=bytes(8)), id="shape"),
        pytest.param(TensorProto(name="t", dims=[2], data_type=1, raw_data=bytes(7)), id="cut short"),
        pytest.param(TensorProto(name="t", dims=[2**62, 8], data_type=1, raw_data=bytes(8)), id="huge"),
    ],
)
def test_tensors_of_another_form(tensor: TensorProto) -> None:
    content = helper.make_model(helper.make_graph([], "graph", [], [], [tensor])).SerializeToString()
    with pytest.raises(ValueError):  # noqa: PT011  (NumPy's words, or ours)
        onnx_proto.initializers(content)
