"""The pickles of PyTorch's weights, read on a machine that has no way to call, import or set anything.

A pickle is a program. Here it builds tuples, lists, dicts and inert records, and the handful of functions
that PyTorch names in such files stand for fixed, harmless results. `torch.load(weights_only=True)` is not
used: it does not read TorchScript archives, which OpenAI's CLIP is, and how it treats a malformed file
depends on the torch release.
"""

from __future__ import annotations

import pickletools
import reprlib
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

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


class Storage(NamedTuple):
    """Where the numbers of tensors lie, as the pickle states it."""

    dtype: np.dtype[Any]
    key: str
    length: int  # elements


class TensorRef(NamedTuple):
    """A tensor as the pickle states it; nothing of it is believed until
    `torch_archive` has checked it."""

    storage: object
    offset: object  # elements
    size: object
    stride: object


class ScriptObject:
    """Stands for an instance of any ``__torch__`` class, or for a figure that is passed over.

    Attributes:
        state: what its BUILD stated.
    """

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state: object = None


def shown(text: str) -> str:
    """A name found in a file, fit for a message: short, and without control characters."""
    return ascii(text)[1:-1][:100]


class Unpickled(NamedTuple):
    """What a pickle describes: its root object, and every storage that it names, by key."""

    root: object
    storages: Mapping[str, Storage]


def unpickle(data: bytes | IO[bytes]) -> Unpickled:
    """A pickle's content, built without calling anything that the pickle names; of a file, the next pickle.

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
# A figure that training noted beside the network, such as an accuracy: it stays unread.
_FIGURES = frozenset(
    {_Global("numpy", "dtype"), _Global("_codecs", "encode")}
    | {_Global(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")}
)
_TENSOR = _Global("torch._utils", "_rebuild_tensor_v2")
_ORDERED_DICT = _Global("collections", "OrderedDict")


class _Machine:
    """A pickle machine of the opcodes that PyTorch writes (protocol 2), without the power to call."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._storages: dict[str, Storage] = {}

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

    def result(self) -> Unpickled:
        """What is left when the pickle has ended."""
        (root,) = self._stack
        return Unpickled(root, self._storages)

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
        known = named in _WRAPPERS | _FIGURES or named in (_TENSOR, _ORDERED_DICT)
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
        self._stack.append(ScriptObject())

    def _op_build(self, _: Any) -> None:
        """Only records have state; an OrderedDict's ``_metadata`` is dropped."""
        target, state = self._pop(2)
        if isinstance(target, ScriptObject):
            target.state = state
        elif not isinstance(target, dict):
            raise MalformedError("its pickle sets attributes of something that is not a module")
        self._stack.append(target)

    def _op_binpersid(self, _: Any) -> None:
        (description,) = self._pop(1)
        tag, kind, key, _, length, *view = description  # only the older layout has views, and uses none
        if (
            tag != "storage"
            or not isinstance(kind, _Global)
            or not isinstance(key, str)
            or type(length) is not int
            or view not in ([], [None])
        ):
            raise MalformedError("its pickle describes a storage in an unknown way")
        storage = Storage(_DTYPES[kind.name], key, length)
        if self._storages.setdefault(key, storage) != storage:
            raise MalformedError(f"storage {shown(key)} is described in two ways")
        self._stack.append(storage)

    def _op_reduce(self, _: Any) -> None:
        function, arguments = self._pop(2)
        if function == _TENSOR:
            storage, offset, size, stride, *_ = arguments
            self._stack.append(TensorRef(storage, offset, size, stride))
        elif function == _ORDERED_DICT and arguments == ():
            self._stack.append({})
        elif isinstance(function, _Global) and function in _WRAPPERS:
            self._stack.append(arguments[0])
        elif isinstance(function, _Global) and function in _FIGURES:
            self._stack.append(ScriptObject())
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
