"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _umask() -> int:
    """The process's mask; it can be read only by setting it, so this is done before there are threads."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


_UMASK = _umask()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path``, of its suffix, to write to; it takes its place when the block ends well.

    Raises:
        OSError: it can't be written; an older file at ``path`` is left as it was.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())
        partial.chmod(0o666 & ~_UMASK)  # mkstemp made it private
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
