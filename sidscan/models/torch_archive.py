"""Reads the tensors out of PyTorch's zip files: `torch.save` checkpoints and TorchScript archives.

Both hold a pickle, ``<root>/data.pkl``, that describes tensors, and one uncompressed member per storage,
``<root>/data/<key>``. A pickle is a program; here it runs on a machine that has no way to call, import or set
anything: it builds tuples, lists, dicts and inert records, and the handful of functions that PyTorch names in
such files stand for fixed, harmless results. `torch.load(weights_only=True)` is not used: it does not read
TorchScript archives, which OpenAI's CLIP is, and how it treats a malformed file depends on the torch release.

Tensors come as numpy arrays, so that nothing here needs torch.
"""

from __future__ import annotations

import lzma
import math
import pickletools
import reprlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_PICKLE = 1 << 22  # bytes; CLIP's is about 2**17
MAX_NODES = 100_000  # objects visited below the root; ends cycles and self-similar structures
MAX_DEPTH = 100

BFLOAT16 = np.dtype("V2")
"""Two bytes that numpy has no number for."""
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class MalformedError(Exception):
    """The file is damaged, or holds something other than plain tensors."""


class _Global(NamedTuple):
    """What a pickle's GLOBAL names; never looked up."""

    module: str
    name: str


class _Storage(NamedTuple):
    dtype: np.dtype[Any]
    key: str
    length: int  # elements


class _TensorRef(NamedTuple):
    """A tensor as the pickle states it; nothing of it is believed until `_Storages.tensor` has checked it."""

    storage: object
    offset: object  # elements
    size: object
    stride: object


class _Record:
    """Stands for an instance of any ``__torch__`` class; ``state`` is what its BUILD stated."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: object = None


def shown(text: str) -> str:
    """A name found in a file, fit for a message: short, and without control characters."""
    return ascii(text)[1:-1][:100]


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a checkpoint or TorchScript archive by its state-dict name, as stored (`BFLOAT16`).

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
    """What an archive's pickle describes, and its storages; errors of reading them are `MalformedError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            root = _check_members(archive, path.stat().st_size)
            content = unpickle(_member(archive, f"{root}/data.pkl", MAX_PICKLE))
            yield content, _Storages(archive, root)
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


def _check_members(archive: zipfile.ZipFile, size: int) -> str:
    """The archive's root folder, after what it declares has been compared with the ``size`` of the file."""
    roots = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(roots) != 1 or "/" in roots[0]:
        raise MalformedError("the zip archive is not a PyTorch file: <root>/data.pkl is missing")
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


class _Storages:
    """The storages of one archive, each read once however many tensors share it."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root
        self._read: dict[str, NDArray[Any]] = {}

    def tensor(self, name: str, ref: _TensorRef) -> NDArray[Any]:
        """The tensor that ``ref`` describes, if it lies wholly inside its storage."""
        storage, offset, size, stride = ref
        if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
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

    def _storage(self, storage: _Storage) -> NDArray[Any]:
        if storage.key not in self._read:
            self._read[storage.key] = self._load(storage)
        flat = self._read[storage.key]
        if flat.dtype != storage.dtype or flat.size != storage.length:
            raise MalformedError(f"storage {storage.key} is described in two ways")
        return flat

    def _load(self, storage: _Storage) -> NDArray[Any]:
        name = f"{self._root}/data/{storage.key}"
        size = self._archive.getinfo(name).file_size
        if size != storage.length * storage.dtype.itemsize:
            raise MalformedError(
                f"{name} is {size} bytes, but {storage.length} x {storage.dtype} were declared"
            )
        data = bytearray(self._archive.read(name))  # a writable buffer, which torch wants
        if len(data) != size:
            raise MalformedError(f"{name} is truncated")
        return np.frombuffer(data, dtype=storage.dtype)


def _tensors(content: object) -> Iterator[tuple[str, _TensorRef]]:
    """(name, tensor) of a state dict or of a TorchScript module and its submodules."""
    if isinstance(content, dict):
        yield from _state_dict(content)
    elif isinstance(content, _Record):
        yield from _module(content)
    else:
        raise MalformedError("the archive holds neither a state dict nor a TorchScript module")


def _state_dict(content: Mapping[Any, Any]) -> Iterator[tuple[str, _TensorRef]]:
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, _TensorRef):
            raise MalformedError(
                f"the entry {reprlib.repr(name)} is not a tensor: "
                "this is a checkpoint, not a plain state dict"
            )
        yield name, value


def _module(top: _Record) -> Iterator[tuple[str, _TensorRef]]:
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
            if isinstance(value, _TensorRef):
                yield f"{prefix}{name}", value
            elif isinstance(value, _Record):
                waiting.append((f"{prefix}{name}.", depth + 1, value))


def unpickle(data: bytes) -> object:
    """The root object of a pickle, built without calling anything the pickle names.

    Raises:
        MalformedError: the pickle is damaged, or names something that PyTorch's weights don't hold.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        return machine.result()
    except MalformedError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise MalformedError(f"its pickle is damaged: {error}") from error


_MARK = object()
_PUSHED: Mapping[str, Callable[[], object]] = {
    "MARK": lambda: _MARK,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"})
_IGNORED = frozenset({"PROTO", "STOP"})
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# Functions of a value and remarks on it (a type tag, requires_grad, hooks): the value is the result.
_WRAPPERS = frozenset(
    {_Global("torch._utils", "_rebuild_parameter"), _Global("torch.jit._pickle", "restore_type_tag")}
    | {
        _Global("torch.jit._pickle", f"build_{kind}list")
        for kind in ("int", "tensor", "double", "bool", "complexdouble")
    }
)
_TENSOR = _Global("torch._utils", "_rebuild_tensor_v2")
_ORDERED_DICT = _Global("collections", "OrderedDict")


class _Machine:
    """A pickle machine of the opcodes that PyTorch writes (protocol 2), without the power to call."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Executes one opcode."""
        if opcode in _LITERALS:
            self._stack.append(argument)
        elif opcode in _PUSHED:
            self._stack.append(_PUSHED[opcode]())
        elif opcode in _SHORT_TUPLES:
            self._stack.append(tuple(self._pop(_SHORT_TUPLES[opcode])))
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._memo[argument])
        elif opcode not in _IGNORED:
            handler: Callable[[Any], None] | None = getattr(self, f"_op_{opcode.lower()}", None)
            if handler is None:
                raise MalformedError(f"its pickle uses {opcode}, which weights have no use for")
            handler(argument)

    def result(self) -> object:
        """What is left when the pickle has ended."""
        (root,) = self._stack
        return root

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError("stack underflow")
        values = self._stack[-count:]
        del self._stack[-count:]
        return values

    def _pop_mark(self) -> list[Any]:
        for start in range(len(self._stack) - 1, -1, -1):
            if self._stack[start] is _MARK:
                values = self._stack[start + 1 :]
                del self._stack[start:]
                return values
        raise IndexError("no mark")

    def _op_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _op_append(self, _: Any) -> None:
        (value,) = self._pop(1)
        self._list().append(value)

    def _op_appends(self, _: Any) -> None:
        values = self._pop_mark()
        self._list().extend(values)

    def _op_setitem(self, _: Any) -> None:
        self._set_items(self._pop(2))

    def _op_setitems(self, _: Any) -> None:
        self._set_items(self._pop_mark())

    def _op_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        named = _Global(module, name)
        known = named in _WRAPPERS or named in (_TENSOR, _ORDERED_DICT)
        storage = module == "torch" and name in _DTYPES
        script = module == "__torch__" or module.startswith("__torch__.")
        if not (known or storage or script):
            raise MalformedError(
                f"its pickle asks for {shown(f'{module}.{name}')}, which weights have no use for"
            )
        self._stack.append(named)

    def _op_newobj(self, _: Any) -> None:
        cls, arguments = self._pop(2)
        if not isinstance(cls, _Global) or not cls.module.startswith("__torch__") or arguments != ():
            raise MalformedError(f"its pickle makes an instance of {reprlib.repr(cls)}")
        self._stack.append(_Record())

    def _op_build(self, _: Any) -> None:
        """Only records have state; an OrderedDict's ``_metadata`` is dropped."""
        target, state = self._pop(2)
        if isinstance(target, _Record):
            target.state = state
        elif not isinstance(target, dict):
            raise MalformedError("its pickle sets attributes of something that is not a module")
        self._stack.append(target)

    def _op_binpersid(self, _: Any) -> None:
        (description,) = self._pop(1)
        tag, kind, key, _, length = description
        if (
            tag != "storage"
            or not isinstance(kind, _Global)
            or not isinstance(key, str)
            or type(length) is not int
        ):
            raise MalformedError("its pickle describes a storage in an unknown way")
        self._stack.append(_Storage(_DTYPES[kind.name], key, length))

    def _op_reduce(self, _: Any) -> None:
        function, arguments = self._pop(2)
        if function == _TENSOR:
            storage, offset, size, stride, *_ = arguments
            self._stack.append(_TensorRef(storage, offset, size, stride))
        elif function == _ORDERED_DICT and arguments == ():
            self._stack.append({})
        elif isinstance(function, _Global) and function in _WRAPPERS:
            self._stack.append(arguments[0])
        else:
            raise MalformedError(f"its pickle calls {reprlib.repr(function)}")

    def _list(self) -> list[Any]:
        if type(self._stack[-1]) is not list:
            raise MalformedError("its pickle appends to something that is not a list")
        target: list[Any] = self._stack[-1]
        return target

    def _set_items(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(values) % 2:
            raise MalformedError("its pickle sets items of something that is not a dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int):
                raise MalformedError("its pickle uses a key that is not a name")
            target[key] = value
