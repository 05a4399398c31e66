"""Localizers ready to make maps, by whichever runtime was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sidscan.config import Device, Precision, RuntimeName
from sidscan.errors import DigestMismatch, ModelNotInstalled, RuntimeUnavailable, UsageError
from sidscan.libraries import require
from sidscan.models.catalog import PatchSpec, find_entry
from sidscan.models.graph_templates import load_localizer_graph
from sidscan.models.localizers import installed_files, load_localizer, load_patches, patches_of
from sidscan.models.onnx_graph import graph_path
from sidscan.models.refs import ModelKind, ModelRef
from sidscan.models.store import Store
from sidscan.runtimes import OpenLocalizer
from sidscan.runtimes.choice import Asked, choose_runtime, options_for_graphs


def open_localizer(
    ref: str | Path,
    store: Store | None = None,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    encoders: Sequence[Path] = (),
    runtime: RuntimeName = "auto",
) -> OpenLocalizer:
    """A localizer that is ready to make maps.

    Args:
        ref: a name of the catalog, a checkpoint, or an exported graph. A detector of the catalog that judges
            patches makes maps, too (`PatchMapInfo`).
        encoders: weights of encoders that a checkpoint was trained on, where they are not the catalog's.
        runtime: ``onnx`` looks for the exported graph of a model of the catalog, then for the one that comes
            with sidscan; ``auto`` is as a scan's (`choose_runtime`).

    Raises:
        UnknownModel, ModelNotInstalled, DigestMismatch, ModelError: as `load_localizer`.
        UsageError: the model can't be run so.
        RuntimeUnavailable: the device or precision asked for can't be used here, or PyTorch is missing.
    """
    store = store or Store()
    model = ModelRef.parse(str(ref), store.catalog)
    asked = Asked(runtime, device, precision, next(iter(encoders), None))
    if model.kind is ModelKind.CATALOG and (patches := patches_of(model.name, store)):
        return _open_patches(asked, model, store, patches)
    if choose_runtime(asked, [model]).bundled_graphs:
        from sidscan.runtimes.onnx_cpu_localizer import OnnxCpuLocalizer  # here: it loads onnxruntime

        return OnnxCpuLocalizer(load_localizer_graph(model.name, store))
    if model.kind is not ModelKind.GRAPH and runtime != "onnx":
        _require_torch(asked, model, store)
        from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer  # here: it loads torch

        return PyTorchLocalizer(load_localizer(ref, store, encoders), device, precision)
    if model.kind is ModelKind.GRAPH and runtime == "pytorch":
        raise UsageError(f"PyTorch can't run the exported graph {model}", "Leave --runtime out.")
    if encoders:
        raise UsageError("an exported graph holds its encoder", "Leave --encoder out.")
    path = model.path if model.kind is ModelKind.GRAPH else _installed_graph(model, store, precision)
    from sidscan.runtimes.onnx_localizer import OnnxLocalizer  # here: it loads onnxruntime

    opened = OnnxLocalizer(path, device, precision)
    if model.kind is ModelKind.CATALOG and opened.info.files != installed_files(model.name, store):
        raise DigestMismatch(
            f"{path} was exported from other weights than those that are installed",
            "Export again with `sidscan export-onnx`.",
        )
    return opened


def _open_patches(asked: Asked, model: ModelRef, store: Store, patches: PatchSpec) -> OpenLocalizer:
    """A detector that judges patches; PyTorch alone makes its map."""
    if asked.encoder is not None:
        raise UsageError(f"{model} reads no encoder", "Leave --encoder out.")
    if asked.runtime == "onnx":
        raise UsageError(f"PyTorch alone makes maps of the patches of {model}", "Leave --runtime out.")
    _require_torch(asked, model, store)
    from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer  # here: it loads torch

    return PyTorchLocalizer(load_patches(model.name, patches, store), asked.device, asked.precision)


def _require_torch(asked: Asked, model: ModelRef, store: Store) -> None:
    """Load torch; where that fails, say what computes this localizer without it. Unknown names come first."""
    if model.kind is ModelKind.CATALOG:
        find_entry(model.name, store.catalog)
    try:
        require(f"computing {model} by PyTorch", "torch")
    except RuntimeUnavailable as error:
        options = options_for_graphs(asked, [model])
        without = f" Or localize without PyTorch: `{options}`." if options else ""
        raise RuntimeUnavailable(error.message, error.remedy + without) from error


def _installed_graph(model: ModelRef, store: Store, precision: Precision) -> Path:
    """The graph of a model in the models folder."""
    name = model.name
    if name not in store.catalog:
        raise UsageError(
            "--runtime onnx looks for models of the catalog",
            "Name the exported FILE.onnx itself with --model.",
        )
    asked = ("fp32", "fp16") if precision == "auto" else (precision,)
    for each in asked:
        if (path := graph_path([name], each)).exists():
            return path
    raise ModelNotInstalled(
        f"no exported graph of {name} in {' or '.join(asked)} is in the models folder",
        f"`sidscan export-onnx --model {name}` makes it.",
    )
