"""A network as one ONNX file: traced, held to PyTorch's results, and only then written."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast

import torch
from torch import nn

from sidscan._version import __version__
from sidscan.config import SIDE
from sidscan.errors import ModelError, OutputError, UsageError
from sidscan.models.onnx_graph import BATCH_DIMENSION, INPUT_NAME, KEY, SUFFIX, graph_path, seal
from sidscan.models.own_files import check_replaceable, is_exported
from sidscan.util.files import atomic_write
from sidscan.util.terminal import Echo

from .network import ExportNetwork, MapNetwork
from .parity import Parity

OPSET = 20  # LayerNormalization is a node of its own since 17; torch's exporter needs 20
LARGEST = 2**31 - 1  # bytes of a protocol buffer
_BESIDES = 2**26  # bytes, at most, of all but the weights: nodes, what is folded, the metadata
_COUNTED = (
    *("LayerNormalization", "SkipLayerNormalization", "Softmax", "Attention", "MultiHeadAttention"),
    *("MatMul", "FusedMatMul", "Gemm", "QuickGelu", "Sigmoid"),
)
_BATCH = 2  # crops in the example that is traced; 1 would be taken for a constant

_Network = TypeVar("_Network", ExportNetwork, MapNetwork)


class ParityError(ModelError):
    """The graph does not compute what PyTorch computes; no file was left."""


class GraphFile:
    """Where a graph goes; what is there is looked at before the work, and again before it is replaced.

    Args:
        out: the file; None keeps it in the models folder.
        names: of the models; of the catalog where it goes into the models folder.
        fresh: replace the file if sidscan exported it.
        overwrite: replace it, whatever it is.

    Raises:
        UsageError: it is not called ``.onnx``, or exists.
        OutputError: its folder is not writable, or it is not a graph as sidscan exported it.
    """

    def __init__(
        self, out: Path | None, names: Sequence[str], precision: str, fresh: bool, overwrite: bool
    ) -> None:
        self.path = out or graph_path(names, precision)
        self._check = partial(_check_out, fresh=fresh, overwrite=overwrite or out is None)
        self._check(self.path)

    def write(self, model: Any, stated: str) -> Path:
        """Write the file, with what it states of itself, whole or not at all.

        Raises:
            OutputError: it can't be written.
        """
        entry = model.metadata_props.add()
        entry.key, entry.value = KEY, stated
        model.producer_name, model.producer_version = "sidscan", __version__
        try:
            with atomic_write(self.path, lambda _: self._check(self.path)) as partial_file:
                partial_file.write_bytes(seal(model.SerializeToString()))
        except OSError as error:
            raise _unwritable(self.path, error) from error
        return self.path


class CheckedGraph(NamedTuple):
    """A graph that computes what PyTorch computes.

    Attributes:
        model: an `onnx.ModelProto`.
        nodes: how many of what kind, as exported and after ONNX Runtime's optimiser (on a CPU).
    """

    model: Any
    parity: Parity
    nodes: dict[str, dict[str, int]]


def make_graph(
    network: _Network,
    precision: Literal["fp32", "fp16"],
    halve: Callable[[Any], Any],
    measure: Callable[[_Network, object, str], Parity],
    unit: str,
    echo: Echo,
) -> CheckedGraph:
    """The graph of a network.

    Args:
        halve: gives a model in half precision.
        measure: how far what the graph gives is from what the network gives (`parity`).
        unit: of what is compared, in words.

    Raises:
        ModelError: the weights are too large for one file.
        ParityError: the two differ by more than the bound.
    """
    _check_size(network, precision)
    model = trace(network)
    if precision == "fp16":
        model = halve(model)
    forget_sources(model)
    session, optimised = _checked_session(model)
    parity = measure(network, session, precision)
    worst = ", ".join(f"{name} {difference:.1e}" for name, difference in parity.worst.items())
    words = f"largest difference of {unit} over {parity.crops} crops: {worst}; allowed {parity.bound:g}"
    if not parity.holds:
        raise ParityError(f"the graph is not the model: {words}", "Export with --precision fp32.")
    nodes = {"exported": _census(model), "optimised": _census(optimised)}
    for stage, counted in nodes.items():
        echo(f"graph as {stage}: " + ", ".join(f"{count} {kind}" for kind, count in counted.items()))
    echo(words)
    return CheckedGraph(model, parity, nodes)


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
    with warnings.catch_warnings(), _no_pairs_of_slices():
        warnings.simplefilter("ignore")  # of deprecations inside torch's exporter
        program = torch.onnx.export(
            network,
            (crops, list(others.values())) if others else (crops,),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=[INPUT_NAME, *others],
            output_names=list(cast("Any", network).output_names),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextmanager
def _no_pairs_of_slices() -> Iterator[None]:
    """Spare onnxscript the search for two slices that are the halves of a tensor.

    Its rule compares each node of a graph with each slice. `mini` has hundreds of slices and no such pair:
    the search took more than half of its export, and changed nothing.
    """
    try:
        from onnxscript.rewriter.rules.common import slice_split_rule
    except ImportError:  # another version: the export takes its time
        yield
        return
    search = slice_split_rule.try_rewrite
    slice_split_rule.try_rewrite = lambda *_, **__: None
    try:
        yield
    finally:
        slice_split_rule.try_rewrite = search


def _checked_session(model: Any) -> tuple[Any, Any]:
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


def _census(model: Any) -> dict[str, int]:
    """How many nodes there are, and of the kinds that attention and normalisation consist of or fuse into."""
    kinds = Counter(node.op_type for node in model.graph.node)
    return {"nodes": sum(kinds.values()), **{kind: kinds[kind] for kind in _COUNTED if kinds[kind]}}


def forget_sources(model: Any) -> None:
    """Torch's exporter notes the source line of every node, with paths of this machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    del model.graph.value_info[:]


def _check_size(network: ExportNetwork | MapNetwork, precision: str) -> None:
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


def _check_out(path: Path, fresh: bool, overwrite: bool) -> None:
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


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"can't write {path}: {error.strerror or error}", "Choose another --out.")
