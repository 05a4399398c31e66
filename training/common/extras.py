"""Packages that only training and evaluation need; `pip install 'sidscan[train]'` installs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from sidscan.errors import UsageError


def import_extra(module: str) -> ModuleType:
    """Import a module of the train extra.

    Raises:
        UsageError: the module is not installed; the remedy says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"this needs {module}, which is not installed", "pip install 'sidscan[train]'"
        ) from error
