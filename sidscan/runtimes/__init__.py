"""Runtimes: crops -> logits. What was asked for is what runs, or an error; never a silent replacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sidscan.config import ScanConfig
from sidscan.errors import DigestMismatch, ModelNotInstalled, UsageError
from sidscan.models import detectors
from sidscan.models.catalog import CATALOG
from sidscan.models.detectors import DetectorInfo
from sidscan.models.onnx_graph import graph_path, is_graph
from sidscan.records import CropRef, CropSet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What computes the scores, e.g. ``pytorch 2.6.0``, ``cpu``, ``fp32``.

    Attributes:
        precision_choice: why a precision was taken that nobody asked for; empty where nothing was tried.
        graph: sha256 of the exported graph; empty where there is none.
    """

    runtime: str
    device: str
    precision: str
    precision_choice: str = ""
    graph: str = ""


class Runtime(Protocol):
    """Scores views with one or several detectors.

    Attributes:
        batch: views that it likes to be given at once, where nobody asked for a number.
        at_once: calls of `logits` that it can use at the same time, from as many threads.
        devices: accelerators that it spreads calls over, or 1 for all cores together.
    """

    info: RuntimeInfo
    detectors: tuple[DetectorInfo, ...]
    batch: int
    at_once: int
    devices: int

    def logits(self, views: CropSet) -> NDArray[np.float32]:
        """Views -> logits (views, number of detectors), in the order of ``detectors``; equal views once."""
        ...

    def abandon(self) -> None:
        """Give up calls in progress as far as possible; they raise `concurrent.futures.CancelledError`."""
        ...


def unique_crops(order: Sequence[CropRef], mirror_invariant: bool = False) -> tuple[list[CropRef], list[int]]:
    """What an encoder has to look at, each once, and for every view which of these it is.

    Args:
        mirror_invariant: a mirror image reads the same as the crop itself.
    """
    meant = [(index, mirrored and not mirror_invariant) for index, mirrored in order]
    places = {view: place for place, view in enumerate(dict.fromkeys(meant))}
    return list(places), [places[view] for view in meant]


def open_runtime(config: ScanConfig, names: Sequence[str]) -> Runtime:
    """The runtime that a scan asks for, with the detectors called ``names``.

    Raises:
        UsageError: an exported graph is named beside something else, or with an encoder, or for PyTorch.
        ModelError: a model is unknown, not installed, or not what it was.
        RuntimeUnavailable: the device or precision asked for is not to be had.
    """
    graphs = [name for name in names if name not in CATALOG and is_graph(name)]
    if not graphs and config.runtime != "onnx":
        from sidscan.runtimes.pytorch import PyTorchRuntime  # here: it loads torch

        return PyTorchRuntime(
            detectors.load(names, encoder=config.encoder), config.device, config.precision, config.batch
        )
    if graphs and len(names) > 1:
        raise UsageError("an exported graph is used alone", "Export all detectors into one file.")
    if graphs and config.runtime == "pytorch":
        raise UsageError(f"{graphs[0]} is no model for PyTorch", "Leave --runtime out.")
    from sidscan.runtimes.onnx import OnnxRuntime  # here: it loads onnxruntime

    path = Path(graphs[0]) if graphs else _kept(config, names)
    if config.encoder is not None:
        raise UsageError("an exported graph holds its encoder", "Leave --encoder out.")
    runtime = OnnxRuntime(path, config.device, config.precision, order=() if graphs else names)
    if not graphs:
        _check_same(path, runtime.detectors, names)
    return runtime


def _kept(config: ScanConfig, names: Sequence[str]) -> Path:
    """The graph of these detectors in the models folder."""
    if any(name not in CATALOG for name in names):
        raise UsageError(
            "--runtime onnx looks for models of the catalog",
            "Name the exported FILE.onnx itself with --model.",
        )
    kept = [one for one in ("fp32", "fp16") if graph_path(names, one).exists()]
    wanted = config.precision if config.precision == "fp16" else "fp32"
    if wanted in kept:
        return graph_path(names, wanted)
    if kept and config.precision == "auto":
        return graph_path(names, kept[0])
    asked = " ".join(f"--model {name}" for name in names)
    raise ModelNotInstalled(
        f"no exported graph of {', '.join(names)} in {wanted} is in the models folder",
        f"`sidscan export-onnx {asked} --precision {wanted}` makes it"
        + (f"; --precision {kept[0]} takes the one that is there." if kept else "."),
    )


def _check_same(path: Path, found: Sequence[DetectorInfo], names: Sequence[str]) -> None:
    """The graph is of the weights that are installed now."""
    if [one.files for one in found] != [one.files for one in detectors.installed(names)]:
        raise DigestMismatch(
            f"{path} was exported from other weights than those that are installed",
            "Export again with `sidscan export-onnx`.",
        )
