"""Graphs of bundled models, without weights: onnxruntime gets those from the files of weights.

A template is an ONNX file like those of `sidscan export-onnx`, sealed like them, but large tensors have no
data in it. Their names say what they are: ``head/NAME`` is a tensor of the model's own file,
``encoder/NAME`` one of its encoder's. So there is one copy of the weights, and PyTorch reads the same.
`sidscan.exporters.templates` makes templates.

Importing this module loads neither torch nor onnxruntime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidscan.errors import ModelError
from sidscan.models.catalog import CatalogEntry
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import entry_info
from sidscan.models.installed import Installed
from sidscan.models.localizers import LocalizerInfo, installed_info, require_localizer
from sidscan.models.onnx_graph import check_seal
from sidscan.models.onnx_proto import initializer_names
from sidscan.models.origins import REINSTALL, Bundled
from sidscan.models.refs import ModelKind, ModelRef
from sidscan.models.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

MIRROR_KEY = "sidscan.mirror_invariant"  # of the metadata; its value is "0" or "1"


@dataclass(frozen=True)
class WeightedGraph:
    """A template and the weights that belong to it.

    Attributes:
        weights: by the names that the template has for them, and no others.
        sha256: of the template.
    """

    template: bytes
    weights: Mapping[str, Array]
    sha256: str


@dataclass(frozen=True)
class GraphDetector:
    """A detector that onnxruntime computes."""

    info: DetectorInfo
    graph: WeightedGraph


@dataclass(frozen=True)
class GraphLocalizer:
    """A localizer that onnxruntime computes."""

    info: LocalizerInfo
    graph: WeightedGraph


def template_of(entry: CatalogEntry) -> Path | None:
    """The template of a model; None where only PyTorch computes it."""
    return entry.origin.graph_path if isinstance(entry.origin, Bundled) else None


def has_graph(model: ModelRef) -> bool:
    """Whether a model is one of the catalog for which there is a template."""
    entry = Store().catalog.get(model.name)
    return model.kind is ModelKind.CATALOG and entry is not None and template_of(entry) is not None


def load_graphs(models: Sequence[ModelRef], store: Store | None = None) -> list[GraphDetector]:
    """Detectors with their weights, verified byte for byte.

    Args:
        models: `has_graph` is true of all.

    Raises:
        ModelNotInstalled, DigestMismatch, ModelError: as `detectors.load_detectors`; or a template is missing
            from this installation, or damaged.
    """
    store = store or Store()
    return [_load(model.name, store) for model in models]


def load_localizer_graph(name: str, store: Store | None = None) -> GraphLocalizer:
    """A localizer with its weights, verified byte for byte.

    Args:
        name: of one that `has_graph`.

    Raises:
        ModelNotInstalled, DigestMismatch, ModelError: as `load_graphs`.
    """
    from sidscan.models.localizer_checkpoints import read_localizer_arrays

    store = store or Store()
    decoder = require_localizer(name, store)
    assert decoder.entry.encoder is not None, "templates of localizers hold one encoder"
    encoder = store.require_or_stand_in(decoder.entry.encoder)
    checkpoint, _ = read_localizer_arrays(decoder.path)
    weights = named(checkpoint.tensors, _arrays(encoder))
    return GraphLocalizer(installed_info(checkpoint, decoder, encoder), _weighted(decoder.entry, weights))


def named(head: Mapping[str, Array], encoder: Mapping[str, Array]) -> dict[str, Array]:
    """Tensors of a model's and of its encoder's file, under the names that templates have for them."""
    both = (("head", head), ("encoder", encoder))
    return {f"{role}/{name}": tensor for role, tensors in both for name, tensor in tensors.items()}


def _load(name: str, store: Store) -> GraphDetector:
    head = store.require(name)
    encoder = store.require_or_stand_in(head.entry.encoder) if head.entry.encoder else None
    info = entry_info(head.entry, head, *([encoder] if encoder else []))
    weights = named(_arrays(head), _arrays(encoder) if encoder else {})
    return GraphDetector(info, _weighted(head.entry, weights))


def _weighted(entry: CatalogEntry, weights: Mapping[str, Array]) -> WeightedGraph:
    """The template of a model with its weights."""
    path = template_of(entry)
    assert path is not None, "`has_graph`"
    template, sha256 = _read_template(path)
    return with_weights(template, weights, sha256)


def with_weights(template: bytes, weights: Mapping[str, Array], sha256: str = "") -> WeightedGraph:
    """A template with those of the tensors that it uses, in float32.

    Raises:
        ModelError: one of those is missing.
    """
    used = [name for name in initializer_names(template) if "/" in name]
    if missing := [name for name in used if name not in weights]:
        raise ModelError(f"the graph of a bundled model needs {missing[0]}, which no file has", REINSTALL)
    return WeightedGraph(template, {name: _as_float32(weights[name]) for name in used}, sha256)


def _read_template(path: Path) -> tuple[bytes, str]:
    try:
        sha256 = check_seal(path)
        return path.read_bytes(), sha256
    except (OSError, ModelError) as error:
        raise ModelError(f"the graph of a bundled model is missing or damaged: {path}", REINSTALL) from error


def _arrays(installed: Installed) -> dict[str, Array]:
    """The tensors of a file under the names that its family uses."""
    from sidscan.models.state_dicts import normalise_arrays, read_arrays

    return normalise_arrays(installed.entry, read_arrays(installed.path))


def _as_float32(tensor: Array) -> Array:
    import numpy as np

    return np.asarray(tensor, np.float32, order="C")
