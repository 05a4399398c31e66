"""Weights in every published layout are read without running code; dishonest files are refused."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sidscan.errors import ExitCode, ModelError
from sidscan.models import state_dicts
from sidscan.models.catalog import CATALOG
from sidscan.models.families import find_family
from sidscan.models.heads.rine import RineHead
from sidscan.models.shapes import EncoderShape, HeadShape, ProbeShape

SHAPE = EncoderShape(2, 16, 14, 5, 8)
HEAD = HeadShape(3, 16, 8, 2)


@pytest.fixture(scope="module")
def clip() -> nn.Module:
    """A CLIP of two blocks with random weights: open_clip's own classes, both towers."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    torch.manual_seed(0)
    vision = CLIPVisionCfg(layers=2, width=16, head_width=8, patch_size=14, image_size=28)
    text = CLIPTextCfg(layers=1, width=16, heads=2, vocab_size=20, context_length=5)
    model: nn.Module = CLIP(embed_dim=8, vision_cfg=vision, text_cfg=text, quick_gelu=True)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


class OpenAI(nn.Module):
    """The attributes of OpenAI's archive: both towers, sizes as integer buffers, plain numbers."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.visual: Any = clip.visual
        self.transformer = clip.transformer
        self.logit_scale = nn.Parameter(torch.ones([]))
        self.register_buffer("input_resolution", torch.tensor(28))
        self.context_length = 77

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.visual(image)
        return features


def as_openai(clip: nn.Module, path: Path) -> None:
    half = OpenAI(clip).half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but traced archives are still in use
        traced = torch.jit.trace(
            half,  # type: ignore[no-untyped-call]
            torch.randn(1, 3, 28, 28).half(),
            check_trace=False,
        )
        traced.save(str(path))
    clip.float()


def as_openai_state_dict(clip: nn.Module, path: Path) -> None:
    torch.save(OpenAI(clip).state_dict(), path)


def as_open_clip(clip: nn.Module, path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in clip.state_dict().items()}, path)


def as_transformers(clip: nn.Module, path: Path) -> None:
    """The names of transformers' CLIPModel, written by hand so that the test is independent of the reader."""
    visual = {k[7:]: v for k, v in clip.state_dict().items() if k.startswith("visual.")}
    model = {
        "logit_scale": torch.ones([]),
        "text_model.final_layer_norm.weight": torch.ones(16),
        "visual_projection.weight": visual["proj"].T,
        "vision_model.embeddings.class_embedding": visual["class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": visual["conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": visual["positional_embedding"],
        "vision_model.embeddings.position_ids": torch.arange(5)[None],
    }
    for part in ("weight", "bias"):
        model[f"vision_model.pre_layrnorm.{part}"] = visual[f"ln_pre.{part}"]
        model[f"vision_model.post_layernorm.{part}"] = visual[f"ln_post.{part}"]
        for i in range(2):
            ours, theirs = f"transformer.resblocks.{i}", f"vision_model.encoder.layers.{i}"
            joined = visual[f"{ours}.attn.in_proj_{part}"]
            for letter, piece in zip("qkv", joined.split(16), strict=True):
                model[f"{theirs}.self_attn.{letter}_proj.{part}"] = piece
            model[f"{theirs}.self_attn.out_proj.{part}"] = visual[f"{ours}.attn.out_proj.{part}"]
            model[f"{theirs}.layer_norm1.{part}"] = visual[f"{ours}.ln_1.{part}"]
            model[f"{theirs}.layer_norm2.{part}"] = visual[f"{ours}.ln_2.{part}"]
            model[f"{theirs}.mlp.fc1.{part}"] = visual[f"{ours}.mlp.c_fc.{part}"]
            model[f"{theirs}.mlp.fc2.{part}"] = visual[f"{ours}.mlp.c_proj.{part}"]
    save_file({name: tensor.contiguous() for name, tensor in model.items()}, path)


@pytest.mark.parametrize(
    ("write", "tolerance"),
    [
        pytest.param(as_openai, 5e-3, id="openai-archive-fp16"),
        pytest.param(as_openai_state_dict, 0.0, id="openai-state-dict"),
        pytest.param(as_open_clip, 0.0, id="open_clip-safetensors"),
        pytest.param(as_transformers, 0.0, id="transformers-safetensors"),
    ],
)
def test_clip_layouts_give_the_same_encoder(
    clip: nn.Module, tmp_path: Path, write: Callable[[nn.Module, Path], None], tolerance: float
) -> None:
    from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer

    images = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    expected = clip.visual(images)  # type: ignore[operator]
    write(clip, tmp_path / "weights")

    visual = find_family("clip").normalise(state_dicts.read_tensors(tmp_path / "weights"))

    assert find_family("clip").shape(visual) == SHAPE
    encoder = VisionTransformer(
        28, 14, 16, 2, 2, 4.0, output_dim=8, act_layer=QuickGELU, norm_layer=LayerNorm
    )
    encoder.load_state_dict({name: tensor.float() for name, tensor in visual.items()}, strict=True)
    torch.testing.assert_close(encoder.eval()(images), expected, rtol=tolerance, atol=tolerance)


def head_state(shape: HeadShape = HEAD) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return RineHead(shape.num_blocks, shape.embed_dim, shape.proj_dim, shape.num_proj_layers).state_dict()


def test_rine_checkpoint_reads_as_torch_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "head.pth"
    torch.save(head_state(), path)

    head = find_family("rine").normalise(state_dicts.read_tensors(path))

    expected = torch.load(path, weights_only=True)
    assert list(head) == list(expected)
    assert all(torch.equal(head[name], expected[name]) for name in expected)
    assert state_dicts.recognise_shape(head) == HEAD


def test_checkpoint_keeps_views_types_and_parameters(tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float64).reshape(4, 6)
    state = {
        "columns": base[:, 1::2],
        "transposed": base.T,
        "shared": base[2],
        "parameter": nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(7),
        "flags": torch.tensor([True, False]),
    }
    torch.save(state, tmp_path / "x.pth")

    read = state_dicts.read_tensors(tmp_path / "x.pth")

    assert read.keys() == state.keys()
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)


def test_scripted_module_with_lists_and_dicts(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.script(_Scripted())
        module.save(str(path))  # type: ignore[no-untyped-call]

    read = state_dicts.read_tensors(path)

    assert {name: tensor.tolist() for name, tensor in read.items()} == {
        name: tensor.tolist() for name, tensor in module.state_dict().items()
    }


class _Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.sizes, self.scales, self.offsets = [1, 2], {"a": 1.5}, [torch.zeros(2)]
        self.mixed = (1, "a", None)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x) * self.sizes[0] * self.scales["a"] + self.offsets[0] + self.mixed[0]
        return out


def without(name: str) -> Callable[[dict[str, Tensor]], None]:
    def edit(state: dict[str, Tensor]) -> None:
        del state[name]

    return edit


def with_(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], None]:
    def edit(state: dict[str, Tensor]) -> None:
        state[name] = tensor

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        pytest.param(without("alpha"), "these weights are not a RINE head: alpha is missing", id="no-alpha"),
        pytest.param(
            without("head.3.bias"), "these weights are not a RINE head: head.3.bias missing", id="missing"
        ),
        pytest.param(
            with_("more\x1b[31m", torch.ones(1)),
            "these weights are not a RINE head: more\\x1b[31m unexpected",
            id="unexpected",
        ),
        pytest.param(
            with_("head.6.weight", torch.ones(2, 8)),
            "these weights are not a RINE head: head.6.weight of another shape",
            id="shape",
        ),
        pytest.param(
            with_("alpha", torch.ones(3, 8)),
            "these weights are not a RINE head: alpha has shape (3, 8)",
            id="rank",
        ),
        pytest.param(
            with_("head.6.bias", torch.ones(1, dtype=torch.int64)),
            "these weights are not a RINE head: head.6.bias not floating point",
            id="integers",
        ),
        pytest.param(
            with_("head.6.bias", torch.tensor([float("nan")])),
            "these weights are not a RINE head: head.6.bias not finite",
            id="nan",
        ),
        pytest.param(
            with_("head.0.weight", torch.ones(8, 8).half().index_fill(1, torch.tensor([3]), float("-inf"))),
            "these weights are not a RINE head: head.0.weight not finite",
            id="infinite-half",
        ),
        pytest.param(
            with_("head.6.bias", torch.zeros(1).to(torch.float8_e5m2)),
            "these weights are not a RINE head: head.6.bias not floating point",
            id="float8",
        ),
    ],
)
def test_wrong_head_is_refused(edit: Callable[[dict[str, Tensor]], None], message: str) -> None:
    state = head_state()
    edit(state)
    with pytest.raises(ModelError) as refused:
        find_family("rine").normalise(state)
    assert refused.value.message == message
    assert refused.value.remedy
    assert refused.value.exit_code == ExitCode.MODEL


@pytest.mark.parametrize(
    ("name", "replacement", "message"),
    [
        pytest.param(
            "vision_model.encoder.layers.1.self_attn.k_proj.weight",
            None,
            "vision_model.encoder.layers.1.self_attn.q_proj.weight, "
            "vision_model.encoder.layers.1.self_attn.k_proj.weight, "
            "vision_model.encoder.layers.1.self_attn.v_proj.weight do not fit together",
            id="no-k",
        ),
        pytest.param(
            "vision_model.encoder.layers.1.self_attn.q_proj.bias",
            None,
            "these weights are not a CLIP image encoder: transformer.resblocks.1.attn.in_proj_bias missing",
            id="no-q",
        ),
        pytest.param(
            "vision_model.encoder.layers.0.conv.weight",
            torch.ones(1),
            "vision_model.encoder.layers.0.conv.weight is not part of a CLIP image encoder",
            id="something-else",
        ),
        pytest.param(
            "visual_projection.weight",
            torch.ones(1),
            "these weights are not a CLIP image encoder: proj has shape (1,)",
            id="projection",
        ),
    ],
)
def test_wrong_transformers_file_is_refused(
    clip: nn.Module, tmp_path: Path, name: str, replacement: Tensor | None, message: str
) -> None:
    as_transformers(clip, tmp_path / "model.safetensors")
    tensors = state_dicts.read_tensors(tmp_path / "model.safetensors")
    if replacement is None:
        del tensors[name]
    else:
        tensors[name] = replacement
    with pytest.raises(ModelError) as refused:
        find_family("clip").normalise(tensors)
    assert refused.value.message == message


def test_layouts_are_distinguished() -> None:
    probe = {"weight": torch.ones(1, 768), "bias": torch.ones(1)}
    assert state_dicts.recognise_shape(probe) == ProbeShape(768)
    assert state_dicts.recognise_shape(probe | {"scale": torch.ones(1)}) is None
    assert state_dicts.recognise_shape({"weight": torch.ones(2, 768), "bias": torch.ones(2)}) is None


# --- dishonest files ---


class _Hostile:
    """Creates a folder if Python unpickles it."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.witness),)


def zipped(path: Path, **members: bytes) -> None:
    """A PyTorch-like archive; ``__`` in a member's name stands for ``/``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"x/{name.replace('__', '/')}", content)


def pickled(length: int = 4, offset: int = 0, size: int = 4, stride: int = 1, tail: bytes = b"") -> bytes:
    """data.pkl of {'w': a tensor} as torch.save writes it, with these numbers."""
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpu" + _int(length) + b"tQ"
    numbers = _int(offset) + b"(" + _int(size) + b"t(" + _int(stride) + b"t"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + numbers + b"\x89ccollections\nOrderedDict\n)RtR"
    )
    return b"\x80\2}(X\1\0\0\0w" + tensor + b"u" + tail + b"."


def _int(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def test_the_forged_pickle_is_well_formed(tmp_path: Path) -> None:
    """Otherwise the cases below would be refused for another reason than the one under test."""
    zipped(tmp_path / "x.pth", data__0=bytes(16), **{"data.pkl": pickled()})
    assert state_dicts.read_tensors(tmp_path / "x.pth")["w"].tolist() == [0, 0, 0, 0]


CYCLE = b"\x80\2c__torch__\nM\n)\x81q\0}X\1\0\0\0ah\0sb."
LAUGHS = b"\x80\2)" + b"q\0h\0\x86" * 2000 + b")R."
LIES: dict[str, tuple[bytes, str]] = {
    "storage-too-short": (pickled(length=400, size=400), "16 bytes, but 400 x float32 were declared"),
    "offset": (pickled(offset=1), "the tensor w reaches outside its storage"),
    "negative-offset": (pickled(offset=-1), "the tensor w has an impossible shape"),
    "stride": (pickled(stride=2), "the tensor w reaches outside its storage"),
    "unfolding": (pickled(size=2**31 - 1, stride=0), "the tensor w reaches outside its storage"),
    "cut-short": (pickled()[:-20], "its pickle is damaged"),
    "opcode": (b"\x80\2\x8c\1a.", "its pickle uses SHORT_BINUNICODE, which weights have no use for"),
    "number": (b"\x80\2K\1.", "the archive holds neither a state dict nor a TorchScript module"),
    "no-tensor": (
        b"\x80\2}X\1\0\0\0aK\1s.",
        "the entry 'a' is not a tensor: this is a checkpoint, not a plain",
    ),
    "underflow": (b"\x80\2R.", "its pickle is damaged: stack underflow"),
    "huge-pickle": (bytes(1 << 23), "x/data.pkl declares 8388608 bytes, more than 4194304"),
    "set-on-class": (
        pickled(tail=b"c__torch__\nX\n}b"),
        "its pickle sets attributes of something that is not a module",
    ),
    "cycle": (CYCLE, "is not described as TorchScript does"),
    "billion-laughs": (LAUGHS, "its pickle calls (("),
}


@pytest.mark.parametrize(("content", "reason"), LIES.values(), ids=LIES)
def test_dishonest_pickle_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    zipped(tmp_path / "x.pth", data__0=bytes(16), **{"data.pkl": content})
    with pytest.raises(ModelError) as refused:
        state_dicts.read_tensors(tmp_path / "x.pth")
    assert refused.value.message.startswith("x.pth can't be read as weights: ")
    assert reason in refused.value.message
    assert (
        refused.value.remedy == "Get the file again from its publisher, or with `sidscan models pull NAME`."
    )


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        pytest.param({"data.pkl": pickled()}, "There is no item named 'x/data/0'", id="storage-missing"),
        pytest.param(
            {"data.pkl": pickled(), "byteorder": b"big"}, "byte order b'big' is not", id="byte-order"
        ),
        pytest.param({"version": b"3"}, "is not a PyTorch file: <root>/data.pkl is missing", id="no-pickle"),
    ],
)
def test_incomplete_archive_is_refused(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    zipped(tmp_path / "x.pth", **members)
    with pytest.raises(ModelError) as refused:
        state_dicts.read_tensors(tmp_path / "x.pth")
    assert reason in refused.value.message


@pytest.mark.parametrize("write", [as_openai, as_openai_state_dict, as_open_clip, as_transformers])
def test_arrays_are_the_tensors(
    clip: nn.Module, tmp_path: Path, write: Callable[[nn.Module, Path], None]
) -> None:
    write(clip, tmp_path / "weights")
    tensors = state_dicts.read_tensors(tmp_path / "weights")
    arrays = state_dicts.read_arrays(tmp_path / "weights")
    assert arrays.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (arrays[name] == tensor.numpy()).all(), name
        assert str(tensor.dtype) == f"torch.{arrays[name].dtype}"
    normal = find_family("clip").normalise(tensors)
    entry = replace(CATALOG["clip-vit-b16"], shape=SHAPE)
    for name, array in state_dicts.normalise_arrays(entry, arrays).items():
        assert (array == normal[name].numpy()).all(), name


def test_arrays_of_bfloat16_are_widened(tmp_path: Path) -> None:
    values = torch.tensor([[1.5, -2.0], [3e38, 1e-38]]).to(torch.bfloat16)
    torch.save({"w": values.t()}, tmp_path / "x.pth")  # strides that are not those of a row
    read = state_dicts.read_tensors(tmp_path / "x.pth")["w"]
    assert read.dtype == torch.bfloat16
    assert torch.equal(read, values.t())
    array = state_dicts.read_arrays(tmp_path / "x.pth")["w"]
    assert array.dtype == "float32"
    assert array.tolist() == values.t().float().tolist()


def test_compressed_storage_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickled())
        archive.writestr("x/data/0", bytes(16))
    with pytest.raises(ModelError, match="x/data/0 is compressed, which PyTorch never does"):
        state_dicts.read_tensors(tmp_path / "x.pth")


def test_truncated_archive_is_refused(tmp_path: Path) -> None:
    torch.save(head_state(), tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    for length in (4, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "x.pth").write_bytes(content[:length])
        with pytest.raises(ModelError, match=r"x\.pth can't be read as weights: the zip archive is damaged"):
            state_dicts.read_tensors(tmp_path / "x.pth")


def test_changed_byte_of_a_storage_is_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "x.pth", data__0=b"\x11" * 16, **{"data.pkl": pickled()})
    content = (tmp_path / "x.pth").read_bytes().replace(b"\x11" * 16, b"\x11" * 15 + b"\x12")
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(ModelError, match="Bad CRC-32"):
        state_dicts.read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("protocol", [2, 4], ids="protocol-{}".format)
@pytest.mark.parametrize("kind", ["checkpoint", "torchscript", "bare"])
def test_hostile_pickle_is_not_run(tmp_path: Path, kind: str, protocol: int) -> None:
    witness = tmp_path / "was-run"
    path = tmp_path / "model.pth"
    content = pickle.dumps({"w": _Hostile(witness)}, protocol)
    pickle.loads(content)
    witness.rmdir()  # proves that the attack works with pickle
    if kind == "bare":
        path.write_bytes(content)
    elif kind == "checkpoint":
        zipped(path, **{"data.pkl": content}, version=b"3")
    else:
        zipped(path, **{"data.pkl": content, "constants.pkl": content}, version=b"3", code____torch__=b"")
    with pytest.raises(ModelError) as refused:
        state_dicts.read_tensors(path)
    assert not witness.exists()
    if kind == "bare":
        assert refused.value.message == "model.pth is a bare pickle, which could run code; it was not opened"
    elif protocol == 2:
        assert f"its pickle asks for {os.mkdir.__module__}.mkdir, which weights" in refused.value.message
    else:
        assert "which weights have no use for" in refused.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "x is not a weights file", id="empty"),
        pytest.param(b"<html>404</html>", "x is not a weights file", id="html"),
        pytest.param(struct.pack("<Q", 20) + b'{"a":', "x is a damaged safetensors file: ", id="header-cut"),
        pytest.param(struct.pack("<Q", 2**62) + b"{}", "x is a damaged safetensors file: ", id="header-size"),
        pytest.param(
            struct.pack("<Q", 58) + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}    ',
            "x is a damaged safetensors file: ",
            id="data-missing",
        ),
    ],
)
def test_not_a_weights_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ModelError) as refused:
        state_dicts.read_tensors(tmp_path / "x")
    assert refused.value.message.startswith(message)


def test_missing_file() -> None:
    with pytest.raises(ModelError, match="gone can't be read: No such file or directory"):
        state_dicts.read_tensors(Path("gone"))


def test_random_damage_raises_only_the_documented_error(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(3)}, buffer)
    whole = buffer.getvalue()
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(3):
            at, value = torch.randint(0, 2**31, (2,), generator=generator).tolist()
            content[at % len(content)] = value % 256
        (tmp_path / "x").write_bytes(content)
        with contextlib.suppress(ModelError):
            state_dicts.read_tensors(tmp_path / "x")
