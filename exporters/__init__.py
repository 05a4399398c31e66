"""Graphs of detectors for other runtimes. The product imports this only when `sidscan export-onnx` runs."""

from __future__ import annotations

import importlib

from sidscan.errors import UsageError


def require_packages() -> None:
    """Refuse to begin where the packages for exporting are missing: before gigabytes of weights are read.

    Raises:
        UsageError: one is missing.
    """
    for package in ("onnx", "onnxscript"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UsageError(
                f"exporting needs {package}, which is not installed", "pip install 'sidscan[export]'"
            ) from error
