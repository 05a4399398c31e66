"""Exported graphs: what an ONNX file made by `sidscan export-onnx` says of itself, and that it is unchanged.

The file is an ONNX model whose last bytes are one more metadata entry, ``sidscan.sha256``: the sha256 of all
bytes before it. ONNX files are protocol buffers, in which a repeated field may go on at the end, so any
reader of ONNX takes the file as it is, and any change of it can be detected without a library for ONNX. The
seal finds damage, not forgery: whoever makes a file can seal it.

Importing this module loads neither torch nor onnxruntime.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sidscan.errors import DigestMismatch, ModelError
from sidscan.models.abstention import EVERY_IMAGE, Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.cautions import Caution
from sidscan.models.detector_info import DetectorInfo, probe_columns
from sidscan.models.store import default_root
from sidscan.util.files import open_file

FORMAT = "sidscan graph 1"
KEY = "sidscan"  # of the metadata entry that holds a GraphInfo as JSON
INPUT_NAME = "crops"
BATCH_DIMENSION = "batch"  # the name of its first dimension
LAYOUT = "NHWC"
SUFFIX = ".onnx"
_DIGEST_KEY = b"sidscan.sha256"
# ModelProto.metadata_props is field 14, its key field 1, its value field 2, all length-delimited.
_HEAD = bytes([0x72, 2 + len(_DIGEST_KEY) + 2 + 64, 0x0A, len(_DIGEST_KEY)]) + _DIGEST_KEY + bytes([0x12, 64])
SEAL_BYTES = len(_HEAD) + 64
_AGAIN = "`sidscan export-onnx` makes such files."


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """What an exported graph computes; `output_names` says how its outputs are called.

    Attributes:
        detectors: in the order of the graph's first outputs, as the exported models were known.
        precision: the file's, ``fp32`` or ``fp16``; normalisation and heads are fp32 in both.
        computes: what reports state: the precision, or that weights alone are stored in it.
        layout: of the input, ``NHWC``: (crops, 224, 224, 3) uint8 RGB, not normalised.
        licences: by weights file.
        parity: how far logits were from PyTorch's when the file was made.
        nodes: how many of what kind, as exported and after ONNX Runtime's optimiser (on a CPU).
        sidscan, torch: versions that made it.
        mirror_invariant: whether its encoders all read a mirror image as they read the crop itself.
    """

    detectors: tuple[DetectorInfo, ...]
    precision: Literal["fp32", "fp16"]
    computes: str
    layout: str
    licences: Mapping[str, str]
    parity: Mapping[str, Any]
    nodes: Mapping[str, Any]
    sidscan: str
    torch: str
    mirror_invariant: bool = False

    def to_json(self) -> str:
        """For the file's metadata."""
        values = {"format": FORMAT, **asdict(self)}
        for detector in values["detectors"]:
            if detector["cascade"] is None:  # sidscan 0.2.0 takes no key that it does not know
                del detector["cascade"]
            if not detector["cautions"]:
                del detector["cautions"]
            del detector["view"]  # graphs read crops
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str) -> GraphInfo:
        """The inverse of `to_json`.

        Raises:
            ValueError, KeyError, TypeError, RecursionError: the text is not what `to_json` writes.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.pop("format") != FORMAT:
            raise ValueError("format")
        detectors = tuple(_detector(detector) for detector in raw.pop("detectors"))
        if not detectors or not all(_makes_sense(detector) for detector in detectors):
            raise ValueError("detectors")
        info = cls(detectors, **raw)
        if info.precision not in ("fp32", "fp16") or info.layout != LAYOUT:
            raise ValueError("precision or layout")
        if type(info.mirror_invariant) is not bool:
            raise ValueError("mirror_invariant")
        return info


def _detector(raw: dict[str, Any]) -> DetectorInfo:
    """Graphs exported before there were rules of abstention, cascades and cautions state none."""
    rule = Abstention.from_dict(raw["abstention"]) if "abstention" in raw else EVERY_IMAGE
    cascade = Cascade.from_optional(raw.get("cascade"))
    cautions = Caution.all_from(raw.get("cautions"))
    return DetectorInfo(**{**raw, "abstention": rule, "cascade": cascade, "cautions": cautions})


def _makes_sense(detector: DetectorInfo) -> bool:
    """Whether the fields are of their types; JSON promises nothing."""
    texts = (detector.name, detector.digest)
    tables = (detector.files, detector.provenance)
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(table, dict) for table in tables)
        and all(isinstance(value, str) for table in tables for value in table.values())
        and isinstance(detector.threshold, float)
        and 0 < detector.threshold < 1
    )


def output_names(detectors: Sequence[DetectorInfo]) -> list[str]:
    """One per detector, called after it; then one per probe of a caution, e.g. ``rine-b16:drawn``."""
    return [*(d.name for d in detectors), *(f"{name}:{kind}" for name, kind in probe_columns(detectors))]


def graph_path(names: Sequence[str], precision: str) -> Path:
    """Where the graph of these detectors is kept in the models folder, in whatever order they are named."""
    return default_root() / "onnx" / f"{'+'.join(sorted(names))}-{precision}{SUFFIX}"


def is_graph(name: str) -> bool:
    """Whether a file is an exported graph: its suffix says so, or, under any other name, its seal."""
    if name.lower().endswith(SUFFIX):
        return True
    try:
        with open_file(name) as file:
            file.seek(-SEAL_BYTES, os.SEEK_END)
            return file.read().startswith(_HEAD)
    except (OSError, ValueError):  # no file, or too small
        return False


def seal(body: bytes) -> bytes:
    """The model with the entry that tells whether it was changed."""
    return body + _HEAD + hashlib.sha256(body).hexdigest().encode()


def check_seal(path: Path) -> str:
    """The file's sha256 (hex), once it is known to be what was exported.

    Raises:
        ModelError: the file can't be read, is cut short, or was made by something else.
        DigestMismatch: it was changed after its export.
    """
    inner, whole = hashlib.sha256(), hashlib.sha256()
    try:
        with open_file(path) as file:
            rest = os.fstat(file.fileno()).st_size - SEAL_BYTES
            while rest > 0 and (chunk := file.read(min(rest, 1 << 20))):
                inner.update(chunk)
                whole.update(chunk)
                rest -= len(chunk)
            end = file.read()
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}", "Check the path.") from error
    whole.update(end)
    if len(end) != SEAL_BYTES or not end.startswith(_HEAD):
        raise ModelError(f"{path} is not a graph that sidscan exported, or not all of it", _AGAIN)
    if end[len(_HEAD) :] != inner.hexdigest().encode():
        raise DigestMismatch(f"{path} was changed after its export", "Export it again.")
    return whole.hexdigest()
