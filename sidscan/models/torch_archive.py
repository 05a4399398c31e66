"""Reads the tensors out of PyTorch's files: `torch.save` checkpoints and TorchScript archives.

Zip files hold a pickle, ``<root>/data.pkl``, that describes tensors, and one uncompressed member per storage,
``<root>/data/<key>``. Before version 1.6 (2020), `torch.save` wrote five pickles one after another (a magic
number, a version, facts of the machine, the content, the keys of the storages), then each storage: how many
numbers it has, in eight bytes, and these. `torch_pickle` reads pickles without running anything.

Tensors come as numpy arrays, so that nothing here needs torch.
"""

from __future__ import annotations

import io
import lzma
import math
import reprlib
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sidscan.models.torch_pickle import (
    BFLOAT16,
    MalformedError,
    ScriptObject,
    Storage,
    TensorRef,
    Unpickled,
    shown,
    unpickle,
)

__all__ = [
    "BFLOAT16",
    "MalformedError",
    "TrainingState",
    "is_sequence",
    "read",
    "read_training_state",
    "shown",
]

MAX_PICKLE = 1 << 22  # bytes; CLIP's is about 2**17
MAX_NODES = 100_000  # objects visited below the root; ends cycles and self-similar structures
MAX_DEPTH = 100
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first pickle of the layout before version 1.6."""
_NETWORKS = (
    "model",
    "state_dict",
    "net",
)  # under which of a dictionary's keys training scripts save a network


def is_sequence(start: bytes) -> bool:
    """Whether a file that starts so has the layout that `torch.save` wrote before version 1.6.

    Args:
        start: its first 16 bytes, or more.
    """
    return start.startswith(_MAGIC)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a checkpoint or TorchScript archive by its state-dict name, as stored (`BFLOAT16`).

    Of what a training script saved, those of the network; the state of its optimiser is passed over, unread.

    Raises:
        MalformedError: says what is wrong.
        OSError: the file can't be read.
    """
    with _opened(path) as (content, storages):
        return {name: storages.tensor(name, ref) for name, ref in _tensors(content)}


class TrainingState(NamedTuple):
    """What a training run saved: the tensors of a network, and what else it noted as text or number."""

    tensors: dict[str, NDArray[Any]]
    stated: dict[str, str | int | float]


def read_training_state(path: Path) -> TrainingState:
    """A dictionary with the network's state under ``model``; the optimiser's is passed over, unread.

    Raises:
        MalformedError: says what is wrong.
        OSError: the file can't be read.
    """
    with _opened(path) as (content, storages):
        if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
            raise MalformedError("it holds no state of a network under the name 'model'")
        tensors = {name: storages.tensor(name, ref) for name, ref in _state_dict(content["model"])}
        stated = {
            key: value
            for key, value in content.items()
            if isinstance(key, str) and isinstance(value, str | int | float)
        }
        return TrainingState(tensors, stated)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[object, _Storages]]:
    """What a file's pickle describes, and its storages; errors of reading them are `MalformedError`."""
    try:
        with path.open("rb") as file:
            if is_sequence(file.read(len(_MAGIC))):
                content, source = _read_sequence(file, path.stat().st_size)
                yield content.root, _Storages(source)
                return
        with zipfile.ZipFile(path) as archive:
            root = _check_members(archive, path.stat().st_size)
            content = unpickle(_member(archive, f"{root}/data.pkl", MAX_PICKLE))
            yield content.root, _Storages(_Members(archive, root))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise MalformedError(f"the zip archive is damaged: {error}") from error
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise MalformedError(f"the archive is damaged: {error}") from error


class _Source(Protocol):
    """Where the bytes of storages lie."""

    def load(self, storage: Storage) -> bytearray:
        """The bytes of a storage; `MalformedError` where they are not as many as it states."""


class _Sequence:
    """The storages behind the pickles of a file.

    Args:
        starts: of every storage, by key, bytes from the start of the file.
    """

    def __init__(self, file: IO[bytes], starts: Mapping[str, int]) -> None:
        self._file, self._starts = file, starts

    def load(self, storage: Storage) -> bytearray:
        """Its bytes."""
        self._file.seek(self._starts[storage.key])
        data = bytearray(self._file.read(storage.length * storage.dtype.itemsize))
        if len(data) != storage.length * storage.dtype.itemsize:
            raise MalformedError(f"storage {shown(storage.key)} is truncated")
        return data


def _read_sequence(file: IO[bytes], size: int) -> tuple[Unpickled, _Sequence]:
    """The content of a file in the layout before version 1.6, read from its first byte.

    Args:
        size: of the file, bytes.
    """
    file.seek(0)
    pickles = io.BytesIO(file.read(MAX_PICKLE))
    _, version, machine, content, keys = (unpickle(pickles) for _ in range(5))
    if (
        version.root != 1001
        or not isinstance(machine.root, dict)
        or machine.root.get("little_endian") is not True
    ):
        raise MalformedError("it is of another version than PyTorch wrote, or of another byte order")
    if not isinstance(keys.root, list) or sorted(keys.root) != sorted(content.storages):
        raise MalformedError("its list of storages is not that of its tensors")
    starts, position = {}, pickles.tell()
    for key in keys.root:
        storage = content.storages[key]
        file.seek(position)
        if int.from_bytes(file.read(8), "little") != storage.length:
            raise MalformedError(f"storage {shown(key)} is not as long as its tensors state")
        starts[key] = position + 8
        position += 8 + storage.length * storage.dtype.itemsize
    if position > size:
        raise MalformedError(f"the file declares {position} bytes but is {size} bytes long")
    return content, _Sequence(file, starts)


def _check_members(archive: zipfile.ZipFile, size: int) -> str:
    """The archive's root folder, after what it declares has been compared with the ``size`` of the file."""
    roots = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(roots) != 1 or "/" in roots[0]:
        raise MalformedError(
            "the zip archive is not a PyTorch file: <root>/data.pkl is missing; unpack it if it holds one"
        )
    stored = 0
    for info in archive.infolist():
        if not info.filename.startswith(f"{roots[0]}/data/"):
            continue
        if info.compress_type != zipfile.ZIP_STORED:
            raise MalformedError(f"{shown(info.filename)} is compressed, which PyTorch never does")
        stored += info.file_size
    if stored > size:
        raise MalformedError(f"the archive declares {stored} bytes of weights but is {size} bytes long")
    if f"{roots[0]}/byteorder" in archive.namelist():
        order = _member(archive, f"{roots[0]}/byteorder", 16)
        if order != b"little":
            raise MalformedError(f"byte order {order!r} is not supported")
    return roots[0]


def _member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """The content of a small member, compressed or not, of at most ``limit`` bytes."""
    if archive.getinfo(name).file_size > limit:
        raise MalformedError(f"{name} declares {archive.getinfo(name).file_size} bytes, more than {limit}")
    with archive.open(name) as file:
        return file.read(limit)


class _Members:
    """The storages of a zip archive, each a member.

    Args:
        root: the archive's folder.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root

    def load(self, storage: Storage) -> bytearray:
        """Its bytes."""
        name = f"{self._root}/data/{storage.key}"
        size = self._archive.getinfo(name).file_size
        if size != storage.length * storage.dtype.itemsize:
            raise MalformedError(
                f"{name} is {size} bytes, but {storage.length} x {storage.dtype} were declared"
            )
        data = bytearray(self._archive.read(name))  # a writable buffer, which torch wants
        if len(data) != size:
            raise MalformedError(f"{name} is truncated")
        return data


class _Storages:
    """The storages of one file, each read once however many tensors share it."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._read: dict[str, NDArray[Any]] = {}

    def tensor(self, name: str, ref: TensorRef) -> NDArray[Any]:
        """The tensor that ``ref`` describes, if it lies wholly inside its storage."""
        storage, offset, size, stride = ref
        if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
            raise MalformedError(f"the tensor {shown(name)} is not described as PyTorch does")
        numbers = (offset, *size, *stride)
        if len(size) != len(stride) or not all(type(n) is int and 0 <= n < 2**48 for n in numbers):
            raise MalformedError(f"the tensor {shown(name)} has an impossible shape")
        start: int = numbers[0]
        reach = start + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        # More elements than the storage holds would mean overlap: a few bytes that unfold into gigabytes.
        if 0 not in size and (reach >= storage.length or math.prod(size) > storage.length):
            raise MalformedError(f"the tensor {shown(name)} reaches outside its storage")
        flat = self._storage(storage)[start:]
        return np.lib.stride_tricks.as_strided(flat, size, [step * flat.itemsize for step in stride])

    def _storage(self, storage: Storage) -> NDArray[Any]:
        if storage.key not in self._read:
            self._read[storage.key] = np.frombuffer(self._source.load(storage), dtype=storage.dtype)
        return self._read[storage.key]


def _tensors(content: object) -> Iterator[tuple[str, TensorRef]]:
    """(name, tensor) of a state dict or of a TorchScript module and its submodules."""
    if isinstance(content, dict):
        networks = (content[key] for key in _NETWORKS if isinstance(content.get(key), dict))
        yield from _state_dict(next(networks, content))
    elif isinstance(content, ScriptObject):
        yield from _module(content)
    else:
        raise MalformedError("the archive holds neither a state dict nor a TorchScript module")


def _state_dict(content: Mapping[Any, Any]) -> Iterator[tuple[str, TensorRef]]:
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, TensorRef):
            raise MalformedError(
                f"the entry {reprlib.repr(name)} is not a tensor: "
                "this is a checkpoint, not a plain state dict"
            )
        yield name, value


def _module(top: ScriptObject) -> Iterator[tuple[str, TensorRef]]:
    """Walks attributes as `Module.state_dict` does; skips what is neither a tensor nor a submodule."""
    waiting, nodes = [("", 0, top)], 0
    while waiting:
        prefix, depth, record = waiting.pop()
        if depth > MAX_DEPTH or not isinstance(record.state, dict):
            raise MalformedError(
                f"the module {shown(prefix) or '(top)'} is not described as TorchScript does"
            )
        for name, value in record.state.items():
            nodes += 1
            if nodes > MAX_NODES:
                raise MalformedError(f"the archive holds more than {MAX_NODES} attributes")
            if isinstance(value, TensorRef):
                yield f"{prefix}{name}", value
            elif isinstance(value, ScriptObject):
                waiting.append((f"{prefix}{name}.", depth + 1, value))
