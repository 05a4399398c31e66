"""Packages that only training and evaluation need; `pip install 'sidscan[train]'` has them."""

from __future__ import annotations

import importlib
from typing import Any

from sidscan.errors import UsageError


def need(module: str) -> Any:
    """The module, imported now.

    Raises:
        UsageError: it is not installed; the remedy says how to.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"this needs {module}, which is not installed", EXTRA) from error


EXTRA = "pip install 'sidscan[train]'"
