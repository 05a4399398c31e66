"""`sidscan export-onnx`: detectors -> one self-contained ONNX file that is checked before it is kept."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
from torch import nn

from sidscan._version import __version__
from sidscan.config import SIDE
from sidscan.errors import ModelError, OutputError, UsageError
from sidscan.models.catalog import CATALOG
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector, load_detectors
from sidscan.models.onnx_graph import (
    BATCH_DIMENSION,
    INPUT_NAME,
    KEY,
    LAYOUT,
    SUFFIX,
    GraphInfo,
    graph_path,
    seal,
)
from sidscan.models.own_files import check_replaceable, is_exported
from sidscan.models.refs import ModelKind, choose_models
from sidscan.util.files import atomic_write
from sidscan.util.terminal import Echo

from . import require_packages
from .half import encoder_in_half, weights_in_half
from .network import ExportNetwork
from .parity import Parity, measure_parity

OPSET = 20  # LayerNormalization is a node of its own since 17; torch's exporter needs 20
LARGEST = 2**31 - 1  # bytes of a protocol buffer
_BESIDES = 2**26  # bytes, at most, of all but the weights: nodes, what is folded, the metadata
_COUNTED = (
    *("LayerNormalization", "SkipLayerNormalization", "Softmax", "Attention", "MultiHeadAttention"),
    *("MatMul", "FusedMatMul", "Gemm", "QuickGelu", "Sigmoid"),
)
_BATCH = 2  # crops in the example that is traced; 1 would be taken for a constant


class Exportable(Protocol):
    """A network with parts of which one may be halved."""

    encoders: nn.ModuleList
    heads: nn.ModuleList

    @property
    def output_names(self) -> Sequence[str]:
        """Of the graph."""
        ...


class ParityError(ModelError):
    """The graph does not compute what PyTorch computes; no file was left."""


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
        UsageError: ``out`` exists, or is not called ``.onnx``; or the packages for exporting are missing.
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
    path = out or graph_path([model.name for model in models], precision)
    check = partial(check_out, fresh=fresh, overwrite=overwrite or out is None)
    check(path)
    loaded = load_detectors(models, encoder=encoder)
    echo(f"exporting {', '.join(map(str, models))} in {precision}; this may take some minutes")
    network = ExportNetwork(loaded).eval()
    check_size(network, precision)
    model = trace(network)
    if precision == "fp16":
        model = _halved(model, loaded)
    forget_sources(model)
    parity, optimised = check_graph(model, network, precision)
    nodes = {"exported": census(model), "optimised": census(optimised)}
    for stage, counted in nodes.items():
        echo(f"graph as {stage}: " + ", ".join(f"{count} {kind}" for kind, count in counted.items()))
    echo(_in_words(parity))
    info = GraphInfo(
        detectors=tuple(_exported(detector) for detector in loaded),
        precision=precision,
        computes=_computes(precision, loaded),
        layout=LAYOUT,
        licences={name: CATALOG[name].licence for d in loaded for name in d.info.files if name in CATALOG},
        parity=asdict(parity),
        nodes=nodes,
        sidscan=__version__,
        torch=torch.__version__,
        mirror_invariant=network.mirror_invariant,
    )
    write_graph(path, sealed(model, info.to_json()), lambda _: check(path))  # again: minutes have passed
    return path


def trace(network: nn.Module, weights: Mapping[str, torch.Tensor] | None = None) -> Any:
    """The network as an `onnx.ModelProto` with a dynamic number of crops.

    Args:
        weights: further inputs of the network, by the names that they get; they keep their sizes.
    """
    crops = torch.randint(0, 256, (_BATCH, SIDE, SIDE, 3), dtype=torch.uint8)
    others = weights or {}
    shapes: dict[str, Any] = {"crops": {0: torch.export.Dim(BATCH_DIMENSION, min=1)}}
    if others:
        shapes["weights"] = [None] * len(others)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it tells of every folding that it leaves out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of deprecations inside torch's exporter
        program = torch.onnx.export(
            network,
            (crops, list(others.values())) if others else (crops,),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=[INPUT_NAME, *others],
            output_names=list(cast("Exportable", network).output_names),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def check_graph(model: Any, network: ExportNetwork, precision: str) -> tuple[Parity, Any]:
    """Well-formed by onnx.checker, and PyTorch's logits on a CPU.

    Returns:
        how far apart they are, and the `onnx.ModelProto` that ONNX Runtime's optimiser made of the graph.

    Raises:
        ParityError: logits differ by more than the bound.
    """
    session, optimised = checked_session(model)
    parity = measure_parity(network, session, precision)
    if not parity.holds:
        raise ParityError(f"the graph is not the model: {_in_words(parity)}", "Export with --precision fp32.")
    return parity, optimised


def checked_session(model: Any) -> tuple[Any, Any]:
    """A session of a graph that onnx.checker finds well-formed, on the CPU.

    Returns:
        it, and the `onnx.ModelProto` that ONNX Runtime's optimiser made of the graph.
    """
    import onnx
    import onnxruntime as ort

    onnx.checker.check_model(model)
    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(Path(scratch) / f"optimised{SUFFIX}")
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session, onnx.load(options.optimized_model_filepath)


def census(model: Any) -> dict[str, int]:
    """How many nodes there are, and of the kinds that attention and normalisation consist of or fuse into."""
    kinds = Counter(node.op_type for node in model.graph.node)
    return {"nodes": sum(kinds.values()), **{kind: kinds[kind] for kind in _COUNTED if kinds[kind]}}


def _halved(model: Any, loaded: Sequence[Detector]) -> Any:
    """An encoder that loses its meaning in half precision has its weights stored so, and no more.

    Raises:
        UsageError: detectors of both kinds would go into one file, which states one precision.
    """
    kinds = {detector.fp16_safe for detector in loaded}
    if len(kinds) > 1:
        raise UsageError(
            "the bundled encoder computes in fp32 whatever its file stores, CLIP's in fp16",
            "Export them apart, or together in fp32.",
        )
    return encoder_in_half(model) if kinds == {True} else weights_in_half(model)


def _computes(precision: str, loaded: Sequence[Detector]) -> str:
    """The precision as reports state it."""
    stored_only = precision == "fp16" and not any(detector.fp16_safe for detector in loaded)
    return "fp32 (weights stored in fp16)" if stored_only else precision


def forget_sources(model: Any) -> None:
    """Torch's exporter notes the source line of every node, with paths of this machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    del model.graph.value_info[:]


def _exported(detector: Detector) -> DetectorInfo:
    vouched = {name: f"{how}, exported" for name, how in detector.info.provenance.items()}
    return replace(detector.info, provenance=vouched)


def sealed(model: Any, stated: str) -> bytes:
    """The file, with what it states of itself."""
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, stated
    model.producer_name, model.producer_version = "sidscan", __version__
    return seal(model.SerializeToString())


def check_size(network: Exportable, precision: str) -> None:
    """Before anything is serialised: protocol buffers fail beyond their limit with an unclear message.

    Raises:
        ModelError: the weights are too large for one file.
    """
    encoders, heads = (
        sum(tensor.numel() * tensor.element_size() for tensor in part.state_dict().values())
        for part in (network.encoders, network.heads)
    )
    weights = heads + (encoders // 2 if precision == "fp16" else encoders)
    if weights + _BESIDES > LARGEST:
        raise ModelError(
            f"the weights have {weights:,} bytes in {precision}; an ONNX file holds {LARGEST:,} in all",
            "Put fewer models into one file"
            + (", or export with --precision fp16." if precision == "fp32" else "."),
        )


def check_out(path: Path, fresh: bool, overwrite: bool) -> None:
    """Refuse a file that can't be written, or must not (`check_replaceable`).

    Raises:
        UsageError: it is not called ``.onnx``, or exists.
        OutputError: its folder is not writable, or it is not a graph as sidscan exported it.
    """
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} is not called {SUFFIX}", f"Name a file that ends in {SUFFIX}.")
    check_replaceable(path, fresh, overwrite, is_exported)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # now, not after minutes of work
        raise _unwritable(path, error) from error
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {path.parent} is not writable", "Choose another --out.")


def write_graph(path: Path, data: bytes, check: Callable[[Path], None]) -> None:
    """Write the file whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    try:
        with atomic_write(path, check) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"can't write {path}: {error.strerror or error}", "Choose another --out.")


def _in_words(parity: Parity) -> str:
    worst = ", ".join(f"{name} {difference:.1e}" for name, difference in parity.worst.items())
    return f"largest difference of logits over {parity.crops} crops: {worst}; allowed {parity.bound:g}"
