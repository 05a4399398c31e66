"""Arrays that take minutes to make, kept in a folder for the next command that needs the same ones."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidscan.training.common.files import make_folder, writing_result

from .corpus import Window


def kept(
    make: Callable[[], NDArray[np.float16]],
    folder: Path | None,
    what: str,
    windows: Sequence[Window],
    code: Iterable[Any],
) -> NDArray[np.float16]:
    """What ``make`` returns, read from the folder where it was made there before; None keeps nothing.

    Args:
        what: a name for the file.
        windows, code: what it is made of. Other bytes of a window, another order, other source of a module,
            function or class, another text, or another version of what decodes and computes, make it anew.
            Changes in code that is not named do not.

    Raises:
        OutputError: it can't be written.
    """
    if folder is None:
        return make()
    parts = [f"{window.repo} {window.file} {_digest(window)}" for window in windows]
    parts += [some if isinstance(some, str) else inspect.getsource(some) for some in code]
    parts += [f"{package} {version(package)}" for package in ("pillow", "numpy", "torch")]
    path = folder / f"{what}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        make_folder(folder)
        with writing_result(path) as partial, partial.open("wb") as file:
            np.save(file, make())
    array: NDArray[np.float16] = np.load(path)
    return array


def _digest(window: Window) -> str:
    return hashlib.sha256((window.corpus / window.file).read_bytes()).hexdigest()
