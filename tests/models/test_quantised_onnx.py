"""int8 encoders: dequantised weights and steps equal numpy's, files are the same bytes, faults are named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from safetensors import safe_open
from sample_wheels import SHAPE, Int8Encoder, int8_encoder

from sidscan.errors import ModelError
from sidscan.models import quantised_onnx, state_dicts
from sidscan.models.catalog import CATALOG
from sidscan.models.families import find_family
from sidscan.models.families.clip import open_clip_names
from sidscan.models.origins import IndexedWheel

CLIP = find_family("clip")


def normalised(content: bytes) -> dict[str, Any]:
    """The weights in an ONNX file, under open_clip's names, as numpy's arrays."""
    arrays: Any = quantised_onnx.dequantise(content)
    return dict(CLIP.normalise(arrays))


@pytest.mark.parametrize("zero_points", [False, True], ids=["symmetric", "zero-points"])
def test_weights_equal_those_that_numpy_computes(zero_points: bool) -> None:
    encoder = int8_encoder(zero_points=zero_points)
    weights = normalised(encoder.content)
    assert CLIP.shape(weights) == SHAPE
    assert weights.keys() == encoder.weights.keys()
    for name, expected in encoder.weights.items():
        assert weights[name].dtype == np.dtype("f4")
        np.testing.assert_array_equal(weights[name], expected, err_msg=name)


def test_weights_are_whole_steps_away_from_zero(tmp_path: Path) -> None:
    encoder = int8_encoder()
    weights = normalised(encoder.content)
    (tmp_path / "encoder.onnx").write_bytes(encoder.content)
    steps = quantised_onnx.quantisation_steps(tmp_path / "encoder.onnx")
    assert steps.keys() == encoder.steps.keys()
    for name, step in steps.items():
        np.testing.assert_array_equal(step, encoder.steps[name], err_msg=name)
        whole = weights[name] / step
        assert np.allclose(whole, whole.round(), atol=1e-4), name
    assert quantised_onnx.quantisation_steps(encoder.content).keys() == steps.keys()


def test_a_file_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    weights = {"b": np.array([[1, 2]], "f4"), "a": np.array([3], "f4")}
    quantised_onnx.write_safetensors(weights, "somewhere", tmp_path / "one")
    quantised_onnx.write_safetensors(dict(reversed(weights.items())), "somewhere", tmp_path / "two")
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "two").read_bytes()
    header = {
        "__metadata__": {"origin": "somewhere"},
        "visual.a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "visual.b": {"dtype": "F32", "shape": [1, 2], "data_offsets": [4, 12]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    assert content == len(text).to_bytes(8, "little") + text + np.array([3, 1, 2], "<f4").tobytes()


def test_the_safetensors_library_reads_the_file(tmp_path: Path) -> None:
    encoder = int8_encoder()
    weights = open_clip_names(quantised_onnx.dequantise(encoder.content))
    quantised_onnx.write_safetensors(weights, "a wheel", tmp_path / "e.safetensors")
    with safe_open(tmp_path / "e.safetensors", "pt") as file:
        assert file.metadata() == {"origin": "a wheel"}
    read = CLIP.normalise(state_dicts.read_tensors(tmp_path / "e.safetensors"))
    assert all(np.array_equal(read[name], weight) for name, weight in weights.items())


def _no_scale(model: onnx.ModelProto) -> None:
    scale = next(each for each in model.graph.initializer if each.name.endswith("_scale"))
    model.graph.initializer.remove(scale)


def _another_bias(model: onnx.ModelProto) -> None:
    adds = [node for node in model.graph.node if node.op_type == "Add"]
    adds[0].input[0], adds[1].input[0] = adds[1].input[0], adds[0].input[0]


def _no_cast(model: onnx.ModelProto) -> None:
    model.graph.node.remove(next(node for node in model.graph.node if node.op_type == "Cast"))


def _other_length(model: onnx.ModelProto) -> None:
    scale = next(each for each in model.graph.initializer if each.name.endswith("_scale"))
    scale.CopyFrom(onnx.numpy_helper.from_array(np.ones(3, np.float32), scale.name))


def _external(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (_no_scale, "is wired in another way"),
        (_another_bias, "is wired in another way"),
        (_no_cast, "is wired in another way"),
        (_other_length, "is wired in another way"),
        (_external, "its weights lie in other files"),
    ],
)
def test_a_graph_that_is_wired_otherwise_is_refused(
    break_: Callable[[onnx.ModelProto], None], message: str
) -> None:
    model = onnx.load_model_from_string(int8_encoder().content)
    break_(model)
    with pytest.raises(ModelError, match=message):
        quantised_onnx.dequantise(model.SerializeToString())


def test_something_else_than_onnx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="this is not an ONNX file of an int8 CLIP encoder"):
        quantised_onnx.dequantise(b"PK\x03\x04 no graph")
    with pytest.raises(ModelError, match="can't be read"):
        quantised_onnx.quantisation_steps(tmp_path / "nothing")


def test_an_encoder_without_quantised_weights_is_refused() -> None:
    model = onnx.load_model_from_string(int8_encoder().content)
    for node in [node for node in model.graph.node if node.op_type == "MatMulInteger"]:
        model.graph.node.remove(node)
    with pytest.raises(ModelError):
        normalised(model.SerializeToString())


def test_the_catalog_states_whole_digests() -> None:
    wheels = [entry for entry in CATALOG.values() if isinstance(entry.origin, IndexedWheel)]
    assert [entry.name for entry in wheels] == ["clip-vit-b16-q8"]
    for entry in wheels:
        assert isinstance(entry.origin, IndexedWheel)
        for digest in (entry.origin.wheel_sha256, entry.origin.member_sha256, entry.pin.digest):
            assert len(bytes.fromhex(digest)) == hashlib.sha256().digest_size


def test_steps_of_an_encoder_are_named_as_its_weights() -> None:
    encoder: Int8Encoder = int8_encoder()
    assert set(quantised_onnx.quantisation_steps(encoder.content)) < set(encoder.weights)
