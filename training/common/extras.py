"""Packages that only training and evaluation need; `pip install 'sidscan[train]'` installs all of them."""

from __future__ import annotations

import importlib
from types import ModuleType

from sidscan.libraries import require


def import_extra(module: str) -> ModuleType:
    """Import a module of the train extra.

    Raises:
        RuntimeUnavailable: the module is not installed; the remedy says how to install it.
    """
    require("this", module)
    return importlib.import_module(module)
