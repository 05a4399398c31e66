"""Short memory is one error, whatever a library calls it."""

from __future__ import annotations

import gc
import weakref

import pytest

from sidscan.runtimes.short_memory import or_memory_error


class Tensor:
    """What fills memory."""


def raising(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(MemoryError("Unable to allocate 9.31 GiB"), id="NumPy"),
        pytest.param(RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."), id="torch, CUDA"),
        pytest.param(
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"
            ),
            id="torch, CPU",
        ),
        pytest.param(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), id="cuBLAS"),
        pytest.param(
            Exception("Failed to allocate memory for requested buffer of size 4"), id="ONNX Runtime"
        ),
        pytest.param(RuntimeError("std::bad_alloc"), id="C++"),
    ],
)
def test_words_of_libraries(error: Exception) -> None:
    with pytest.raises(MemoryError):
        or_memory_error(raising, error)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match="shape"):
        or_memory_error(raising, ValueError("shape"))


def test_torch_says_it_in_these_words() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(MemoryError):
        or_memory_error(torch.empty, 1 << 60)


def test_what_fills_memory_is_given_back() -> None:
    def compute(_: None) -> None:
        tensor = Tensor()
        kept.append(weakref.ref(tensor))
        raise RuntimeError("out of memory")

    kept: list[weakref.ref[Tensor]] = []
    try:
        or_memory_error(compute, None)
    except MemoryError:
        gc.collect()
        assert kept[0]() is None
