"""Graphs of detectors for other runtimes. The product imports this only when `sidscan export-onnx` runs."""

from __future__ import annotations

from sidscan.libraries import check_installed, require


def require_packages() -> None:
    """Refuse to begin where the packages for exporting are missing: before gigabytes of weights are read.

    Raises:
        RuntimeUnavailable: one is missing.
    """
    check_installed("exporting", "torch", "onnx", "onnxscript")
    require("exporting", "onnx", "onnxscript")
