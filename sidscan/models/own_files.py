"""Which files of models sidscan wrote: a command that starts over replaces these, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from sidscan.errors import ModelError, OutputError, UsageError
from sidscan.models.onnx_graph import check_seal
from sidscan.util.files import open_file

_KEY = "sidscan"  # of the metadata of both kinds of checkpoints
_LONGEST_HEADER = 1 << 20  # bytes


def check_replaceable(path: Path, fresh: bool, overwrite: bool, is_own: Callable[[Path], bool]) -> None:
    """Refuse to replace a file unless the user said so.

    Args:
        fresh: whether to replace a file that sidscan wrote.
        overwrite: whether to replace any.
        is_own: `is_checkpoint` or `is_exported`.

    Raises:
        UsageError: the file exists, and nobody said that it may be replaced.
        OutputError: sidscan did not write it, or somebody changed it.
    """
    if overwrite or not path.exists():
        return
    if not fresh:
        option = "--fresh" if is_own(path) else "--overwrite"
        raise UsageError(f"{path} exists", f"Choose another --out, or replace it with {option}.")
    if not is_own(path):
        raise OutputError(
            f"{path} does not say that sidscan wrote it; it is left alone",
            "Choose another --out, or replace it with --overwrite.",
        )


def is_checkpoint(path: Path) -> bool:
    """Whether a file says that training wrote it; files in formats of others don't."""
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= _LONGEST_HEADER else b""
        stated = json.loads(json.loads(header)["__metadata__"][_KEY])
        return str(stated["format"]).startswith("sidscan ")
    except (OSError, KeyError, RecursionError, TypeError, ValueError):
        return False


def is_exported(path: Path) -> bool:
    """Whether a file is a graph as it was exported."""
    try:
        check_seal(path)
    except ModelError:
        return False
    return True
