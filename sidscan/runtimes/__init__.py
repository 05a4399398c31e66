"""Runtimes: crops -> logits. What was asked for is what runs, or an error; never a silent replacement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sidscan.config import Device, ScanConfig
from sidscan.errors import DigestMismatch, ModelNotInstalled, RuntimeUnavailable, UsageError
from sidscan.libraries import require
from sidscan.models import detectors
from sidscan.models.catalog import find_entry
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.graph_templates import load_graphs
from sidscan.models.localizers import Localizer
from sidscan.models.onnx_graph import graph_path
from sidscan.models.refs import ModelKind, ModelRef, check_reads_crops
from sidscan.models.store import Store
from sidscan.records import CropRef, CropSet
from sidscan.records.views import ImageView
from sidscan.runtimes.choice import choose_runtime, options_for_graphs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What computes the scores, e.g. ``pytorch 2.6.0``, ``cpu``, ``fp32``.

    Attributes:
        precision_choice: why a precision was taken that nobody asked for; empty where nothing was tried.
        graph: sha256 of the exported graph, or of the bundled graphs, joined by ``+``; empty for PyTorch.
    """

    runtime: str
    device: str
    precision: str
    precision_choice: str = ""
    graph: str = ""


class OpenLocalizer(Localizer, Protocol):
    """A localizer that is ready to make maps.

    Attributes:
        runtime: what computes.
        batch: tiles that it is best given at once.
    """

    runtime: RuntimeInfo
    batch: int


class Runtime(Protocol):
    """Scores crops with one or several detectors.

    Attributes:
        batch: crops that it is best given at once, where nobody asked for a number.
        at_once: calls of `logits` that it can use at the same time, from as many threads.
        devices: accelerators that it spreads calls over, or 1 for all cores together.
    """

    info: RuntimeInfo
    detectors: tuple[DetectorInfo, ...]
    batch: int
    at_once: int
    devices: int

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        """Crops -> logits (crops, columns); equal crops once.

        The first columns are those of the detectors that read crops, in order (`reading_crops`); those of
        `probe_columns` follow.
        """
        ...

    def abandon(self) -> None:
        """Give up calls in progress as far as possible; they raise `concurrent.futures.CancelledError`."""
        ...


@runtime_checkable
class ViewRuntime(Runtime, Protocol):
    """A runtime whose detectors may read pictures of whole images, too (`ImageView`)."""

    def view_logits(self, view: ImageView, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures (b, rows, columns, 3) -> logits (b, detectors that read this view, in order)."""
        ...


def unique_crops(order: Sequence[CropRef], mirror_invariant: bool = False) -> tuple[list[CropRef], list[int]]:
    """The crops that an encoder has to read, each once; and for every entry of ``order``, which one it is.

    Args:
        mirror_invariant: a mirror image has the same features as the crop itself.
    """
    read = [(index, mirrored and not mirror_invariant) for index, mirrored in order]
    positions = {crop: position for position, crop in enumerate(dict.fromkeys(read))}
    return list(positions), [positions[crop] for crop in read]


def crop_pixels(crops: CropSet, part: Sequence[CropRef]) -> NDArray[np.uint8]:
    """The crops that ``part`` names, (b, 224, 224, 3), mirrored where it says so."""
    import numpy as np

    return np.ascontiguousarray(replace(crops, order=tuple(part)).pixels())


def check_torch_device(asked: Device) -> None:
    """Refuse a device that PyTorch does not run on, without loading torch.

    Raises:
        RuntimeUnavailable: it runs exported graphs only.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise RuntimeUnavailable(
            f"{asked} runs exported graphs only",
            "Export with `sidscan export-onnx`, and scan --runtime onnx.",
        )


def open_runtime(config: ScanConfig, models: Sequence[ModelRef]) -> Runtime:
    """The runtime that a scan asks for, with these detectors.

    Raises:
        UsageError: an exported graph is named beside something else, or with an encoder, or for PyTorch.
        ModelError: a model is unknown, not installed, or not what it was.
        RuntimeUnavailable: the device or precision asked for can't be used here.
    """
    graphs = [model for model in models if model.kind is ModelKind.GRAPH]
    if choose_runtime(config, models).bundled_graphs:
        from sidscan.runtimes.onnx_cpu import OnnxCpuRuntime  # here: it loads onnxruntime

        return OnnxCpuRuntime(load_graphs(models))
    if not graphs and config.runtime != "onnx":
        _require_torch(config, models)
        from sidscan.runtimes.pytorch import PyTorchRuntime  # here: it loads torch

        loaded = detectors.load_detectors(models, encoder=config.encoder)
        return PyTorchRuntime(loaded, config.device, config.precision, config.batch, config.cuda_mode)
    if graphs and len(models) > 1:
        raise UsageError("an exported graph is used alone", "Export all detectors into one file.")
    if graphs and config.runtime == "pytorch":
        raise UsageError(f"PyTorch can't run the exported graph {graphs[0]}", "Leave --runtime out.")
    path = graphs[0].path if graphs else _installed_graph(config, models)
    if config.encoder is not None:
        raise UsageError("an exported graph holds its encoder", "Leave --encoder out.")
    from sidscan.runtimes.onnx import OnnxRuntime  # here: it loads onnxruntime

    order = [] if graphs else [model.name for model in models]
    runtime = OnnxRuntime(path, config.device, config.precision, order)
    if not graphs:
        _check_same_weights(path, runtime.detectors, models)
    return runtime


def _require_torch(config: ScanConfig, models: Sequence[ModelRef]) -> None:
    """Load torch; where that fails, say what computes these models without it. Unknown names come first."""
    for model in models:
        if model.kind is ModelKind.CATALOG:
            find_entry(model.name, Store().catalog)
    try:
        require(f"computing {', '.join(map(str, models))} by PyTorch", "torch")
    except RuntimeUnavailable as error:
        options = options_for_graphs(config, models)
        without = f" Or scan without PyTorch: `{options}`." if options else ""
        raise RuntimeUnavailable(error.message, error.remedy + without) from error


def _installed_graph(config: ScanConfig, models: Sequence[ModelRef]) -> Path:
    """The graph of these detectors in the models folder.

    Raises:
        UsageError: one is no model of the catalog, or reads whole images.
        ModelNotInstalled: nobody exported it.
    """
    if any(model.kind is not ModelKind.CATALOG for model in models):
        raise UsageError(
            "--runtime onnx looks for models of the catalog",
            "Name the exported FILE.onnx itself with --model.",
        )
    check_reads_crops(models)
    names = [model.name for model in models]
    available = [precision for precision in ("fp32", "fp16") if graph_path(names, precision).exists()]
    wanted = config.precision if config.precision == "fp16" else "fp32"
    if wanted in available:
        return graph_path(names, wanted)
    if available and config.precision == "auto":
        return graph_path(names, available[0])
    asked = " ".join(f"--model {name}" for name in names)
    raise ModelNotInstalled(
        f"no exported graph of {', '.join(names)} in {wanted} is in the models folder",
        f"`sidscan export-onnx {asked} --precision {wanted}` makes it"
        + (f"; --precision {available[0]} takes the one that is there." if available else "."),
    )


def _check_same_weights(path: Path, exported: Sequence[DetectorInfo], models: Sequence[ModelRef]) -> None:
    """The graph was made of the weights that are installed now."""
    installed = detectors.installed_detectors(models)
    if [detector.files for detector in exported] != [detector.files for detector in installed]:
        raise DigestMismatch(
            f"{path} was exported from other weights than those that are installed",
            "Export again with `sidscan export-onnx`.",
        )
