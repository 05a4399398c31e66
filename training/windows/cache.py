"""Arrays that take minutes to compute, cached in a folder for the next command that needs them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.files import make_folder, writing_result

from .corpus import Window


def cached(
    compute: Callable[[], NDArray[np.float16]],
    folder: Path | None,
    name: str,
    windows: Sequence[Window],
    code: Iterable[str | ModuleType | type[object]],
) -> NDArray[np.float16]:
    """What ``compute`` returns, read from the folder if it was computed there before.

    Args:
        folder: None caches nothing.
        name: for the file.
        windows, code: what the array depends on. It is computed anew for other bytes of a window or of its
            original, another order, other source of a module or class, another text, or another version of
            Pillow, NumPy or torch. Changes in code that is not listed do not count.

    Raises:
        OutputError: it can't be written.
    """
    if folder is None:
        return compute()
    parts = [f"{window.repo} {window.file} {_bytes_sha256(window)}" for window in windows]
    parts += [item if isinstance(item, str) else inspect.getsource(item) for item in code]
    parts += [f"{package} {version(package)}" for package in ("pillow", "numpy", "torch")]
    path = folder / f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        make_folder(folder)
        with writing_result(path) as partial, partial.open("wb") as file:
            np.save(file, compute())
    array: NDArray[np.float16] = np.load(path)
    return array


def _bytes_sha256(window: Window) -> str:
    """Of the window's file, and of the whole image where it is there."""
    files = [window.file, *([window.original] if window.original else [])]
    return " ".join(hashlib.sha256((window.corpus / file).read_bytes()).hexdigest() for file in files)
