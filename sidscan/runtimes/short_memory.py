"""Short memory, as libraries say it in words of their own, becomes a MemoryError."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
# torch's allocators, CUDA's libraries, and ONNX Runtime's arena and C++ below it
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "failed to allocate memory",
    "alloc_failed",
    "bad_alloc",
    "bad allocation",
)


def or_memory_error(function: Callable[[_Given], _Made], given: _Given) -> _Made:
    """What a function gives; MemoryError where memory was short, whatever a library raised.

    The library's error is not kept: the frames that it holds keep what fills the memory.
    """
    try:
        return function(given)
    except Exception as error:
        if not is_short(error):
            raise
        words = str(error) or type(error).__name__
    raise MemoryError(words)


def is_short(error: BaseException) -> bool:
    """Whether an error says that memory is short, of the machine or of a GPU."""
    return isinstance(error, MemoryError) or any(each in str(error).lower() for each in _WORDS)
