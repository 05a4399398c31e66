"""Reads weights in the layouts in which they are published, without running anything a file holds.

read_tensors    file -> tensors by name: safetensors, PyTorch checkpoints, TorchScript archives
rine_head       names and shapes of a published RINE head, checked
linear_probe    the same of a linear probe as UFD's
clip_visual     CLIP's image encoder under one set of names, from any of three layouts, checked
load            an installed model's tensors, checked against its catalog entry
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sidscan.errors import ModelError
from sidscan.models import torch_archive
from sidscan.models.catalog import CatalogEntry, EncoderShape, HeadShape, ProbeShape, Shape

Tensors = Mapping[str, Tensor]
Size = tuple[int, ...]

_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_ANOTHER_FILE = "Get the file again from its publisher, or with `sidscan models pull NAME`."
_READABLE = "sidscan reads safetensors, PyTorch's zip checkpoints and OpenAI's TorchScript archives."


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor in a weights file, by name, on the CPU, in the stored precision.

    The format is told from the content, not from the name.

    Raises:
        ModelError: the file can't be read, is damaged, or holds something other than tensors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if start.startswith(b"PK\x03\x04"):
            return torch_archive.read(path)
        if start[8:] == b"{":  # after eight bytes of header length, a JSON object
            return load_file(path, device="cpu")
    except torch_archive.MalformedError as error:
        raise ModelError(f"{path.name} can't be read as weights: {error}", _ANOTHER_FILE) from error
    except OSError as error:
        raise ModelError(f"{path.name} can't be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path.name} is a damaged safetensors file: {error}", _ANOTHER_FILE) from error
    if start[:1] == b"\x80":
        raise ModelError(f"{path.name} is a bare pickle, which could run code; it was not opened", _READABLE)
    raise ModelError(f"{path.name} is not a weights file", _READABLE)


def load(entry: CatalogEntry, path: Path) -> dict[str, Tensor]:
    """The tensors of a model's file: a RINE head's, an encoder's, or the bundled model's as stored.

    Raises:
        ModelError: the file is damaged or isn't of the shape that the catalog states.
    """
    return normalise(entry, read_tensors(path))


def normalise(entry: CatalogEntry, tensors: Tensors) -> dict[str, Tensor]:
    """``tensors`` under the names that sidscan uses for this kind of model.

    Raises:
        ModelError: they are not of the layout or shape that the catalog states for ``entry``.
    """
    shape: Shape
    if isinstance(entry.shape, HeadShape):
        normal, shape = rine_head(tensors), rine_shape(tensors)
    elif isinstance(entry.shape, EncoderShape):
        normal = clip_visual(tensors)
        shape = clip_shape(normal)
    elif isinstance(entry.shape, ProbeShape):
        normal, shape = linear_probe(tensors), probe_shape(tensors)
    else:
        return dict(tensors)
    if shape != entry.shape:
        raise ModelError(f"these weights are not those of {entry.name}: {shape} instead of {entry.shape}")
    return normal


def describe(tensors: Tensors) -> Shape | None:
    """Which layout, and of which shape, ``tensors`` are; None where it is none that sidscan knows."""
    readers: tuple[Callable[[], Shape], ...] = (
        lambda: rine_shape(rine_head(tensors)),
        lambda: clip_shape(clip_visual(tensors)),
        lambda: probe_shape(linear_probe(tensors)),
    )
    for reader in readers:
        try:
            return reader()
        except ModelError:
            continue
    return None


# --- RINE ---


def rine_head(tensors: Tensors) -> dict[str, Tensor]:
    """A RINE head under its published names (heads.RineHead), nothing missing, nothing besides.

    Raises:
        ModelError: names, shapes, types or values are not those of a RINE head.
    """
    _check(tensors, _rine_sizes(rine_shape(tensors)), "RINE head")
    return dict(tensors)


def rine_shape(tensors: Tensors) -> HeadShape:
    """The shape that a RINE head's tensors have.

    Raises:
        ModelError: ``alpha`` or ``proj1.1.weight`` is missing or not of the right rank.
    """
    _, blocks, projected = _size(tensors, "alpha", 3, "RINE head")
    _, width = _size(tensors, "proj1.1.weight", 2, "RINE head")
    layers = sum(1 for name in tensors if re.fullmatch(r"proj1\.\d+\.weight", name))
    return HeadShape(blocks=blocks, width=width, projected=projected, layers=layers)


def _rine_sizes(shape: HeadShape) -> dict[str, Size]:
    d, p = shape.width, shape.projected
    sizes: dict[str, Size] = {"alpha": (1, shape.blocks, p)}
    linear = {f"proj1.{1 + 3 * i}": (p, p if i else d) for i in range(shape.layers)}
    linear |= {f"proj2.{1 + 3 * i}": (p, p) for i in range(shape.layers)}
    linear |= {"head.0": (p, p), "head.3": (p, p), "head.6": (1, p)}
    for name, (outputs, inputs) in linear.items():
        sizes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
    return sizes


# --- linear probe ---


def linear_probe(tensors: Tensors) -> dict[str, Tensor]:
    """A linear probe under its published names, ``weight`` (1, e) and ``bias`` (1,), nothing besides.

    Raises:
        ModelError: names, shapes, types or values are others.
    """
    width = probe_shape(tensors).width
    _check(tensors, {"weight": (1, width), "bias": (1,)}, "linear probe")
    return dict(tensors)


def probe_shape(tensors: Tensors) -> ProbeShape:
    """The shape that a linear probe's tensors have.

    Raises:
        ModelError: ``weight`` is missing or not of rank 2.
    """
    _, width = _size(tensors, "weight", 2, "linear probe")
    return ProbeShape(width=width)


# --- CLIP ---

# transformers' name -> open_clip's, of the parts that are only called otherwise; {i} is the block
_TOP = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm": "ln_pre",  # sic
    "vision_model.post_layernorm": "ln_post",
}
_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def clip_visual(tensors: Tensors) -> dict[str, Tensor]:
    """CLIP's image encoder under open_clip's `VisionTransformer` names, without the ``visual.`` prefix.

    Reads OpenAI's archive and open_clip's hub file (``visual.*``; a text tower beside it is left out) and
    transformers' hub file (``vision_model.*``; q, k and v are joined, the projection is transposed). The
    activation function is not part of weights: OpenAI's is QuickGELU.

    Raises:
        ModelError: names, shapes, types or values are not those of a CLIP vision transformer.
    """
    if any(name.startswith("vision_model.") for name in tensors):
        visual = _from_transformers(tensors)
    else:
        visual = {name[7:]: tensor for name, tensor in tensors.items() if name.startswith("visual.")}
    if not visual:
        raise ModelError(
            "these weights hold no CLIP image encoder (no visual.* and no vision_model.*)", _READABLE
        )
    _check(visual, _clip_sizes(clip_shape(visual)), "CLIP image encoder")
    return visual


def clip_shape(visual: Tensors) -> EncoderShape:
    """The shape of an encoder, from its tensors under open_clip's names.

    Raises:
        ModelError: one of those that tell the shape is missing or not of the right rank.
    """
    (width,) = _size(visual, "class_embedding", 1, "CLIP image encoder")
    _, _, _, patch = _size(visual, "conv1.weight", 4, "CLIP image encoder")
    tokens, _ = _size(visual, "positional_embedding", 2, "CLIP image encoder")
    _, embedding = _size(visual, "proj", 2, "CLIP image encoder")
    layers = sum(1 for name in visual if re.fullmatch(r"transformer\.resblocks\.\d+\.ln_1\.weight", name))
    return EncoderShape(layers=layers, width=width, patch=patch, tokens=tokens, embedding=embedding)


def _clip_sizes(shape: EncoderShape) -> dict[str, Size]:
    d = shape.width
    sizes: dict[str, Size] = {
        "class_embedding": (d,),
        "positional_embedding": (shape.tokens, d),
        "conv1.weight": (d, 3, shape.patch, shape.patch),
        "proj": (d, shape.embedding),
    }
    norms = ["ln_pre", "ln_post"]
    for i in range(shape.layers):
        block = f"transformer.resblocks.{i}"
        norms += [f"{block}.ln_1", f"{block}.ln_2"]
        hidden = 4 * d  # in every CLIP that OpenAI published
        sizes |= {
            f"{block}.attn.in_proj_weight": (3 * d, d),
            f"{block}.attn.in_proj_bias": (3 * d,),
            f"{block}.attn.out_proj.weight": (d, d),
            f"{block}.attn.out_proj.bias": (d,),
            f"{block}.mlp.c_fc.weight": (hidden, d),
            f"{block}.mlp.c_fc.bias": (hidden,),
            f"{block}.mlp.c_proj.weight": (d, hidden),
            f"{block}.mlp.c_proj.bias": (d,),
        }
    return sizes | {f"{norm}.{part}": (d,) for norm in norms for part in ("weight", "bias")}


def _from_transformers(tensors: Tensors) -> dict[str, Tensor]:
    """transformers' CLIPVisionModelWithProjection -> open_clip's names."""
    visual: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        block = re.fullmatch(r"vision_model\.encoder\.layers\.(\d+)\.(.+)", stem)
        if name == "visual_projection.weight":
            visual["proj"] = tensor.t() if tensor.dim() == 2 else tensor
        elif name in _TOP:
            visual[_TOP[name]] = tensor
        elif stem in _TOP:
            visual[f"{_TOP[stem]}.{part}"] = tensor
        elif block and block[2] in _BLOCK:
            visual[f"transformer.resblocks.{block[1]}.{_BLOCK[block[2]]}.{part}"] = tensor
        elif block and block[2] == "self_attn.q_proj":
            target = f"transformer.resblocks.{block[1]}.attn.in_proj_{part}"
            visual[target] = _joined(tensors, stem.removesuffix("q_proj"), part)
        elif not _left_out(name):
            raise ModelError(f"{torch_archive.shown(name)} is no part of a CLIP image encoder", _ANOTHER_FILE)
    return visual


def _joined(tensors: Tensors, attention: str, part: str) -> Tensor:
    """q, k and v as the one matrix (or bias) of torch's MultiheadAttention."""
    names = [f"{attention}{letter}_proj.{part}" for letter in "qkv"]
    parts = [tensors[name] for name in names if name in tensors]
    if len(parts) < 3 or parts[0].dim() == 0 or len({(part.shape, part.dtype) for part in parts}) > 1:
        raise ModelError(f"{', '.join(names)} do not fit together", _ANOTHER_FILE)
    return torch.cat(parts)


def _left_out(name: str) -> bool:
    """What lies beside the image encoder: the text tower, buffers, and k and v, which went with q."""
    return not name.startswith("vision_model.") or name.endswith(
        (
            "position_ids",
            *(f"self_attn.{letter}_proj.{part}" for letter in "kv" for part in ("weight", "bias")),
        )
    )


# --- checks ---


def _size(tensors: Tensors, name: str, rank: int, what: str) -> Size:
    if name not in tensors:
        raise ModelError(f"these weights are no {what}: {name} is missing", _ANOTHER_FILE)
    size = tuple(tensors[name].shape)
    if len(size) != rank:
        raise ModelError(f"these weights are no {what}: {name} has shape {size}", _ANOTHER_FILE)
    return size


def _check(tensors: Tensors, expected: Mapping[str, Size], what: str) -> None:
    """Names, shapes, types and values, in this order; the first kind of fault is reported."""
    faults: list[tuple[str, list[str]]] = [
        ("missing", [name for name in expected if name not in tensors]),
        ("unexpected", [name for name in tensors if name not in expected]),
        (
            "of another shape",
            [n for n in expected if n in tensors and tuple(tensors[n].shape) != expected[n]],
        ),
        ("not floating point", [name for name, tensor in tensors.items() if tensor.dtype not in _FLOATS]),
        ("not finite", [name for name, t in tensors.items() if t.dtype in _FLOATS and not _finite(t)]),
    ]
    for fault, names in faults:
        if names:
            some = ", ".join(torch_archive.shown(name) for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(f"these weights are no {what}: {some}{more} {fault}", _ANOTHER_FILE)


def _finite(tensor: Tensor) -> bool:
    """Neither infinite nor NaN, which `aminmax` passes on; much faster than `isfinite` for fp16 on a CPU."""
    return tensor.numel() == 0 or all(bool(torch.isfinite(end)) for end in torch.aminmax(tensor))
