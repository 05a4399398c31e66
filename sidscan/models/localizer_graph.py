"""Exported localizers: what an ONNX file of encoders and a decoder says of itself.

The file is sealed as that of a detector (`sidscan.models.onnx_graph`). It takes uint8 RGB crops as the
encoders read them, and its output `OUTPUT_NAME` are probabilities. Importing this module loads neither torch
nor onnxruntime.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sidscan.models.catalog import TileSpec
from sidscan.models.localizers import LocalizerInfo

FORMAT = "sidscan localizer graph 1"
OUTPUT_NAME = "map"


@dataclass(frozen=True, slots=True)
class LocalizerGraph:
    """What an exported localizer computes.

    Attributes:
        localizer: as the exported model was known.
        precision: of the encoders, ``fp32`` or ``fp16``; normalisation and the decoder are fp32 in both.
        parity: how far maps were from PyTorch's when the file was made.
        nodes: how many of what kind, as exported and after ONNX Runtime's optimiser (on a CPU).
        sidscan, torch: versions that made it.
    """

    localizer: LocalizerInfo
    precision: Literal["fp32", "fp16"]
    parity: Mapping[str, Any]
    nodes: Mapping[str, Any]
    sidscan: str
    torch: str

    def to_json(self) -> str:
        """For the file's metadata."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> LocalizerGraph:
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError, RecursionError: the text is not what `to_json` writes.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.pop("format") != FORMAT:
            raise ValueError("format")
        graph = cls(_localizer(raw.pop("localizer")), **raw)
        if graph.precision not in ("fp32", "fp16"):
            raise ValueError("precision")
        return graph


def states_localizer(text: str) -> bool:
    """Whether a graph's metadata is a localizer's."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(raw, dict) and raw.get("format") == FORMAT


def _localizer(raw: dict[str, Any]) -> LocalizerInfo:
    """JSON promises no types."""
    info = LocalizerInfo(**{**raw, "tile": TileSpec(**raw["tile"])})
    tables = (info.files, info.provenance)
    texts = (info.name, info.digest, info.licence, *(value for table in tables for value in table.values()))
    numbers = (info.tile.side, info.tile.read, info.tile.stride)
    if not all(isinstance(text, str) for text in texts) or not all(type(n) is int and n > 0 for n in numbers):
        raise ValueError("localizer")
    if max(info.tile.read, info.tile.stride) > info.tile.side:
        raise ValueError("tile")
    alarm, contrast = info.alarm_area, info.alarm_contrast
    if not 0 < info.threshold < 1 or not (alarm is None or 0 <= alarm <= 1):
        raise ValueError("threshold")
    if not (contrast is None or 0 <= contrast < math.inf):
        raise ValueError("contrast")
    return info
