"""`sidscan export-onnx`: detectors -> one self-contained ONNX file that is checked before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from sidscan._version import __version__
from sidscan.errors import UsageError
from sidscan.models.catalog import CATALOG
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector, load_detectors
from sidscan.models.onnx_graph import LAYOUT, GraphInfo
from sidscan.models.refs import ModelKind, check_reads_crops, choose_models
from sidscan.util.terminal import Echo

from . import require_packages
from .graph_file import GraphFile, make_graph
from .half import encoder_in_half, weights_in_half
from .network import ExportNetwork
from .parity import measure_parity


def export(
    names: Sequence[str],
    out: Path | None,
    precision: Literal["fp32", "fp16"] = "fp32",
    encoder: Path | None = None,
    fresh: bool = False,
    overwrite: bool = False,
    echo: Echo = lambda _: None,
) -> Path:
    """Write detectors as one ONNX file, if its logits are PyTorch's within `parity.BOUNDS`.

    Args:
        names: as for a scan: of the catalog, or checkpoints; none means the scan's default.
        out: file to write; None keeps it in the models folder, where ``scan --runtime onnx`` looks.
        encoder: weights of the encoder that checkpoints were trained on.
        fresh: replace ``out`` if sidscan exported it.
        overwrite: replace it, whatever it is.

    Returns:
        the file.

    Raises:
        UsageError: ``out`` exists, or is not called ``.onnx``; the packages for exporting are missing; or a
            model reads whole images.
        ModelError: a model can't be loaded, or all of them are too large for one file.
        ParityError: logits differ by more than the bound.
        OutputError: the file can't be written.
    """
    require_packages()
    models = choose_models(names).models
    if out is None and any(model.kind is not ModelKind.CATALOG for model in models):
        raise UsageError(
            "the models folder keeps graphs of the catalog's models alone", "Name a file with --out."
        )
    check_reads_crops(models)
    file = GraphFile(out, [model.name for model in models], precision, fresh, overwrite)
    loaded = load_detectors(models, encoder=encoder)
    echo(f"exporting {', '.join(map(str, models))} in {precision}; this may take some minutes")
    network = ExportNetwork(loaded).eval()
    graph = make_graph(
        network, precision, lambda model: _halved(model, loaded), measure_parity, "logits", echo
    )
    info = GraphInfo(
        detectors=tuple(_exported(detector) for detector in loaded),
        precision=precision,
        computes=_computes(precision, loaded),
        layout=LAYOUT,
        licences={name: CATALOG[name].licence for d in loaded for name in d.info.files if name in CATALOG},
        parity=asdict(graph.parity),
        nodes=graph.nodes,
        sidscan=__version__,
        torch=torch.__version__,
        mirror_invariant=network.mirror_invariant,
    )
    return file.write(graph.model, info.to_json())


def _halved(model: Any, loaded: Sequence[Detector]) -> Any:
    """An encoder that loses its meaning in half precision has its weights stored so, and no more.

    Raises:
        UsageError: detectors of both kinds would go into one file, which states one precision.
    """
    kinds = {detector.fp16_safe for detector in loaded}
    if len(kinds) > 1:
        raise UsageError(
            "some of these encoders compute in fp32 whatever their file stores, CLIP's in fp16",
            "Export them apart, or together in fp32.",
        )
    return encoder_in_half(model) if kinds == {True} else weights_in_half(model)


def _computes(precision: str, loaded: Sequence[Detector]) -> str:
    """The precision as reports state it."""
    stored_only = precision == "fp16" and not any(detector.fp16_safe for detector in loaded)
    return "fp32 (weights stored in fp16)" if stored_only else precision


def _exported(detector: Detector) -> DetectorInfo:
    vouched = {name: f"{how}, exported" for name, how in detector.info.provenance.items()}
    return replace(detector.info, provenance=vouched)
