"""Localizers ready to make maps, by whichever runtime was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sidscan.config import Device, Precision, RuntimeName
from sidscan.errors import DigestMismatch, ModelNotInstalled, UsageError
from sidscan.libraries import require
from sidscan.models.localizers import installed_files, load_localizer
from sidscan.models.onnx_graph import graph_path, is_graph
from sidscan.models.store import Store

if TYPE_CHECKING:
    from sidscan.runtimes.onnx_localizer import OnnxLocalizer
    from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer

OpenLocalizer: TypeAlias = "PyTorchLocalizer | OnnxLocalizer"


def open_localizer(
    ref: str | Path,
    store: Store | None = None,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    encoder: Path | None = None,
    runtime: RuntimeName = "auto",
) -> OpenLocalizer:
    """A localizer that is ready to make maps.

    Args:
        ref: a name of the catalog, a checkpoint, or an exported graph.
        encoder: weights of the encoder that a checkpoint was trained on, where it is not the catalog's.
        runtime: ``onnx`` looks for the exported graph of a model of the catalog; ``auto`` runs a graph where
            one is named, else PyTorch.

    Raises:
        UnknownModel, ModelNotInstalled, DigestMismatch, ModelError: as `load_localizer`.
        UsageError: the model can't be run so.
        RuntimeUnavailable: the device or precision asked for can't be used here, or PyTorch is missing.
    """
    name, store = str(ref), store or Store()
    is_exported = name not in store.catalog and is_graph(name)
    if not is_exported and runtime != "onnx":
        require(f"computing {name} by PyTorch", "torch")
        from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer  # here: it loads torch

        return PyTorchLocalizer(load_localizer(ref, store, encoder), device, precision)
    if is_exported and runtime == "pytorch":
        raise UsageError(f"PyTorch can't run the exported graph {name}", "Leave --runtime out.")
    if encoder is not None:
        raise UsageError("an exported graph holds its encoder", "Leave --encoder out.")
    path = Path(name) if is_exported else _installed_graph(name, store, precision)
    from sidscan.runtimes.onnx_localizer import OnnxLocalizer  # here: it loads onnxruntime

    opened = OnnxLocalizer(path, device, precision)
    if not is_exported and opened.info.files != installed_files(name, store):
        raise DigestMismatch(
            f"{path} was exported from other weights than those that are installed",
            "Export again with `sidscan export-onnx`.",
        )
    return opened


def _installed_graph(name: str, store: Store, precision: Precision) -> Path:
    """The graph of a model in the models folder."""
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
