"""Checkpoints of localizers: files that training writes and ``sidscan localize --model FILE`` reads.

A checkpoint is a safetensors file. Its tensors are a decoder's, under the names that its family gives them.
Its metadata says which decoder, which encoders it was trained on, and how it reads an image.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from sidscan.errors import ModelError
from sidscan.models.catalog import TileSpec
from sidscan.util.files import open_file

FORMAT = "sidscan localizer 1"
KEY = "sidscan"  # of the metadata: one key, as safetensors writes several in any order
_LONGEST_HEADER = 1 << 20  # bytes
_WRITTEN_BY = "Training a localizer writes such files; `sidscan models import` makes them of published ones."


@dataclass(frozen=True, kw_only=True)
class LocalizerCheckpoint:
    """A checkpoint's content.

    Attributes:
        tensors: torch's, or all of them numpy's.
        family: name of a family of localizers (`sidscan.models.families`).
        config: which of its decoders, as `LocalizerFamily.untrained` takes it.
        encoders: sha256 of each encoder's file by name, in the order in which the decoder reads them.
        tile: how it reads an image; its side is that of the maps.
        threshold: probability above which a pixel counts as marked.
        alarm_area: share of pixels above it that 1 % of whole photographs exceed; None: not measured.
        alarm_contrast: contrast of the map (`sidscan.localize.contrast`) that they exceed, likewise.
        licence: of these weights; empty where nobody states one.
        facts: everything else that training recorded: configuration, data, metrics.
    """

    tensors: Mapping[str, Any]
    family: str
    config: Mapping[str, Any]
    encoders: Mapping[str, str]
    tile: TileSpec
    threshold: float = 0.5
    alarm_area: float | None = None
    alarm_contrast: float | None = None
    licence: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file; the same bytes for the same content."""
        stated = {
            "format": FORMAT,
            "family": self.family,
            "config": self.config,
            "encoders": self.encoders,
            "tile": asdict(self.tile),
            "threshold": self.threshold,
            "alarm_area": self.alarm_area,
            "alarm_contrast": self.alarm_contrast,
            "licence": self.licence,
            "facts": self.facts,
        }
        metadata = {KEY: json.dumps(stated)}
        arrays = {name: each for name, each in self.tensors.items() if isinstance(each, np.ndarray)}
        if len(arrays) == len(self.tensors):
            from safetensors.numpy import save as save_arrays

            return save_arrays({name: np.ascontiguousarray(each) for name, each in arrays.items()}, metadata)
        from safetensors.torch import save

        others = {n: each for n, each in self.tensors.items() if not isinstance(each, np.ndarray)}
        return save({name: tensor.detach().cpu().contiguous() for name, tensor in others.items()}, metadata)


def read_localizer_checkpoint(path: Path) -> tuple[LocalizerCheckpoint, str]:
    """The checkpoint in a file, its tensors torch's, and the file's sha256 (hex): both of the same bytes.

    Raises:
        ModelError: the file can't be read or is not such a checkpoint.
    """
    from safetensors.torch import load

    return _read(path, load)


def read_localizer_arrays(path: Path) -> tuple[LocalizerCheckpoint, str]:
    """As `read_localizer_checkpoint`, its tensors numpy's: this needs no torch.

    Raises:
        ModelError: as `read_localizer_checkpoint`.
    """
    from safetensors.numpy import load

    return _read(path, load)


def _read(path: Path, load: Callable[[bytes], dict[str, Any]]) -> tuple[LocalizerCheckpoint, str]:
    try:
        with open_file(path) as file:  # a pipe would hold the program up
            data = file.read()
        tensors = load(data)
        stated = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"][KEY])
        checkpoint = _checked(tensors, stated)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}", "Check the path.") from error
    except (
        SafetensorError,
        AttributeError,
        KeyError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ModelError(f"{path} is not a localizer's checkpoint, or not all of it", _WRITTEN_BY) from error
    return checkpoint, hashlib.sha256(data).hexdigest()


def read_facts(path: Path) -> Mapping[str, Any]:
    """What a checkpoint states in ``facts``, without its tensors; nothing where a file is something else."""
    facts = _stated(path).get("facts")
    return facts if isinstance(facts, dict) else {}


def states_localizer(path: Path) -> bool:
    """Whether a file says that it is such a checkpoint."""
    return bool(_stated(path))


def _stated(path: Path) -> Mapping[str, Any]:
    """The metadata; empty where a file is something else."""
    try:
        with open_file(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= _LONGEST_HEADER else b""
        stated = json.loads(json.loads(header)["__metadata__"][KEY])
        return dict(stated) if stated["format"] == FORMAT else {}
    except (OSError, KeyError, RecursionError, TypeError, ValueError):
        return {}


def _checked(tensors: dict[str, Any], stated: Mapping[str, Any]) -> LocalizerCheckpoint:
    """KeyError, TypeError or ValueError where the metadata is not what `to_bytes` writes."""
    from sidscan.models.families import LocalizerFamily, all_families

    family, alarm, contrast = stated["family"], stated["alarm_area"], stated.get("alarm_contrast")
    if stated["format"] != FORMAT or not isinstance(all_families().get(family), LocalizerFamily):
        raise ValueError("format")
    tile = TileSpec(**stated["tile"])
    if not 0 < tile.read <= tile.side or not 0 < tile.stride <= tile.side:
        raise ValueError("tile")
    threshold = float(stated["threshold"])
    if not 0 < threshold < 1 or not (alarm is None or 0 <= float(alarm) <= 1):
        raise ValueError("threshold")
    if not (contrast is None or 0 <= float(contrast) < math.inf):
        raise ValueError("contrast")
    return LocalizerCheckpoint(
        tensors=tensors,
        family=family,
        config=dict(stated["config"]),
        encoders={str(name): str(sha256) for name, sha256 in stated["encoders"].items()},
        tile=tile,
        threshold=threshold,
        alarm_area=None if alarm is None else float(alarm),
        alarm_contrast=None if contrast is None else float(contrast),
        licence=str(stated["licence"]),
        facts=dict(stated["facts"]),
    )
