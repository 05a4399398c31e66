"""Is there a GPU that PyTorch may use? Asked of the system, since loading torch takes seconds."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_CUDA_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_ROCM_DRIVER = Path("/dev/kfd")  # PyTorch calls AMD's devices cuda, too


def may_be_there() -> bool:
    """Whether a driver knows a device; False is certain, and where it is True PyTorch has the last word."""
    return _ROCM_DRIVER.exists() or count_cuda_devices() > 0


def count_cuda_devices() -> int:
    """Devices that NVIDIA's driver knows; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL(_CUDA_DRIVER)
        count = ctypes.c_int(0)
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
            return 0
    except (OSError, AttributeError):
        return 0
    return count.value
