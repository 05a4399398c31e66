"""What is kept of weights without a published digest: their tensors, and what file they come from.

A safetensors file under the names that the family uses, without what only training needs. Its metadata states
the model and the sha256 of the published file, so that it can be carried to another machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry

FORMAT = "sidscan imported 1"
_KEY = "sidscan"  # of the metadata
_LONGEST_HEADER = 1 << 20  # bytes


def made_of(path: Path, entry: CatalogEntry) -> tuple[bytes, str]:
    """What is kept of a published file.

    Returns:
        its bytes, the same for the same content, whatever the file is called; and the sha256 (hex) of it.

    Raises:
        ModelError: the file is not the model that ``entry`` describes.
    """
    from sidscan.models.digests import hash_file

    digest = hash_file(path, "sha256")["sha256"]
    return _made(path, entry, digest), digest


def made_again(path: Path, entry: CatalogEntry) -> tuple[bytes, str]:
    """The same of a file that `made_of` gave; what its metadata says is written anew.

    Raises:
        ModelError: it does not hold the model that ``entry`` describes, or does not say what it was made of.
    """
    facts = stated(path)
    digest = str(facts.get("published_sha256", ""))
    if facts.get("model") != entry.name or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ModelError(f"{path.name} does not say what it was made of", "Import the published file.")
    return _made(path, entry, digest), digest


def stated(path: Path) -> Mapping[str, Any]:
    """What such a file says of itself; nothing where a file is something else."""
    from sidscan.util.files import open_file

    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= _LONGEST_HEADER else b""
        facts = dict(json.loads(json.loads(header)["__metadata__"][_KEY]))
    except (OSError, KeyError, RecursionError, TypeError, ValueError):
        return {}
    return facts if facts.get("format") == FORMAT else {}


def _made(path: Path, entry: CatalogEntry, digest: str) -> bytes:
    import numpy as np
    from safetensors.numpy import save

    from sidscan.models.state_dicts import normalise_arrays, read_arrays

    arrays = normalise_arrays(entry, read_arrays(path))
    facts = {"format": FORMAT, "model": entry.name, "published_sha256": digest}
    tensors = {name: np.asarray(array, order="C") for name, array in arrays.items()}  # a number stays one
    return save(tensors, {_KEY: json.dumps(facts)})
