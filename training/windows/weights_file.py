"""Files of weights that are the same, byte for byte, whenever their tensors and metadata are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.torch import save as serialised
from torch import Tensor

from sidscan.training.common.files import make_folder, writing_result

from .corpus import FOLDS, Window

FOLD_FILE = "fold-{}.safetensors"


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors; the same values give the same bytes.

    Raises:
        OutputError: the file can't be written.
    """
    make_folder(path.parent)
    with writing_result(path) as partial:
        partial.write_bytes(_with_sorted_header(serialised(dict(tensors), dict(metadata))))


def _with_sorted_header(data: bytes) -> bytes:
    """A safetensors file with the names in its header sorted; the library writes metadata in random order."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def training_summary(windows: Sequence[Window]) -> str:
    """One line on the training data, for the metadata."""
    photographs = [w for w in windows if not w.synthetic]
    return (
        f"{len(windows) - len(photographs)} synthetic windows and {len(photographs)} windows of photographs "
        f"from {len({w.repo for w in windows})} public repositories; see the model card"
    )


def fold_files(folder: Path) -> list[Path]:
    """Where the weights of every fold are in a work folder."""
    return [folder / FOLD_FILE.format(fold) for fold in range(FOLDS)]


def file_sha256(path: Path) -> str:
    """sha256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
