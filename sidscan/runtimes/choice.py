"""PyTorch, or the graphs that come with sidscan? And why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from sidscan.config import Device, Precision, RuntimeName, ScanConfig
from sidscan.libraries import is_there
from sidscan.models.graph_templates import has_graph
from sidscan.models.onnx_graph import graph_path
from sidscan.models.refs import ModelKind, ModelRef
from sidscan.runtimes import accelerators

_ASKED = "asked for"


@dataclass(frozen=True)
class Asked:
    """What is to compute, where no scan asks: as `ScanConfig`'s fields of these names."""

    runtime: RuntimeName = "auto"
    device: Device = "auto"
    precision: Precision = "auto"
    encoder: Path | None = None


_Asking = TypeVar("_Asking", ScanConfig, Asked)


class RuntimeChoice(NamedTuple):
    """Whether the graphs that come with sidscan compute some models, and why, in words."""

    bundled_graphs: bool
    why: str


def choose_runtime(config: ScanConfig | Asked, models: Sequence[ModelRef]) -> RuntimeChoice:
    """What computes these models, without loading torch or onnxruntime.

    On a CPU that multiplies bfloat16 itself, a CLIP encoder is faster by PyTorch in bf16 than by its graph.
    ``--runtime onnx`` prefers a graph that somebody exported.
    """
    if reason := _against_graphs(config, models):
        return RuntimeChoice(False, reason)
    if config.runtime == "onnx":
        return RuntimeChoice(True, _ASKED)
    if config.precision == "auto" and _bf16_is_faster(models):
        return RuntimeChoice(False, "PyTorch, since this CPU multiplies bf16 itself")
    whose = "its graph comes" if len(models) == 1 else "their graphs come"
    return RuntimeChoice(True, f"{whose} with sidscan")


def options_for_graphs(config: _Asking, models: Sequence[ModelRef]) -> str:
    """Options with which the graphs that come with sidscan would compute models; empty where none do."""
    onnx = replace(config, runtime="onnx")
    if choose_runtime(onnx, models).bundled_graphs:
        return "--runtime onnx"
    if config.device == "auto" and choose_runtime(replace(onnx, device="cpu"), models).bundled_graphs:
        return "--runtime onnx --device cpu"
    return ""


def _against_graphs(config: ScanConfig | Asked, models: Sequence[ModelRef]) -> str:
    """Why bundled graphs can't be used; empty where they can."""
    if any(model.kind is ModelKind.GRAPH for model in models):
        return "an exported graph"
    if config.runtime == "pytorch":
        return _ASKED
    if without := [str(model) for model in models if not has_graph(model)]:
        return f"no graph of {', '.join(without)} comes with sidscan"
    if config.encoder is not None:
        return "graphs take no --encoder"
    if config.precision not in ("auto", "fp32"):
        return f"--precision {config.precision}"
    if config.runtime == "onnx" and _has_exported_graph(config, models):
        return "an exported graph is in the models folder"
    if config.device not in ("auto", "cpu"):
        return f"--device {config.device}"
    if config.device == "auto" and is_there("torch") and accelerators.may_be_there():
        return "PyTorch, since there may be a GPU"
    return ""


def _has_exported_graph(config: ScanConfig | Asked, models: Sequence[ModelRef]) -> bool:
    """Whether the models folder has a graph of these models, in a precision that is asked for."""
    names = [model.name for model in models]
    precisions = ("fp32", "fp16") if config.precision == "auto" else ("fp32",)
    return any(graph_path(names, precision).exists() for precision in precisions)


def _bf16_is_faster(models: Sequence[ModelRef]) -> bool:
    """Whether PyTorch, which is installed, would try one of the encoders in bf16 (`PyTorchRuntime`)."""
    from sidscan.models.families import DetectorFamily, LocalizerFamily, find_family
    from sidscan.models.store import Store
    from sidscan.runtimes import precision_check  # here: it loads NumPy and Pillow

    families = [find_family(Store().catalog[model.name].family) for model in models]
    fp16_safe = any(
        isinstance(family, DetectorFamily | LocalizerFamily) and family.fp16_safe for family in families
    )
    return fp16_safe and precision_check.has_fast_bf16() and is_there("torch")
