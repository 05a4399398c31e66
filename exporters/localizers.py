"""`sidscan export-onnx` of a localizer: encoders and decoder as one ONNX file, checked before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from sidscan._version import __version__
from sidscan.errors import UsageError
from sidscan.models.localizer_graph import LocalizerGraph
from sidscan.models.localizers import LocalizerInfo, load_localizer
from sidscan.models.onnx_graph import graph_path
from sidscan.models.store import Store
from sidscan.util.terminal import Echo

from . import require_packages
from .half import encoder_in_half
from .network import MapNetwork
from .onnx import (
    ParityError,
    census,
    check_out,
    check_size,
    checked_session,
    forget_sources,
    sealed,
    trace,
    write_graph,
)
from .parity import Parity, measure_map_parity


def export_localizer(
    names: Sequence[str],
    out: Path | None,
    precision: Literal["fp32", "fp16"] = "fp32",
    encoders: Sequence[Path] = (),
    fresh: bool = False,
    overwrite: bool = False,
    echo: Echo = lambda _: None,
) -> Path:
    """Write a localizer as one ONNX file, if its maps are PyTorch's within `parity.BOUNDS`.

    Args:
        names: one, of the catalog or a checkpoint.
        out: file to write; None keeps it in the models folder, where ``localize --runtime onnx`` looks.
        encoders: weights of the encoders that a checkpoint was trained on.
        fresh: replace ``out`` if sidscan exported it.
        overwrite: replace it, whatever it is.

    Returns:
        the file.

    Raises:
        UsageError: ``out`` exists, or is not called ``.onnx``; or more than the localizer is named.
        ModelError: the model can't be loaded, or is too large for one file.
        ParityError: probabilities differ by more than the bound.
        OutputError: the file can't be written.
    """
    require_packages()
    if len(names) > 1:
        raise UsageError("a localizer is exported alone", "Name one model.")
    (name,) = names
    if out is None and name not in Store().catalog:
        raise UsageError(
            "the models folder keeps graphs of the catalog's models alone", "Name a file with --out."
        )
    path = out or graph_path([name], precision)
    check = partial(check_out, fresh=fresh, overwrite=overwrite or out is None)
    check(path)
    info, localizer, _ = load_localizer(name, encoders=encoders)
    echo(f"exporting {name} in {precision}; this may take some minutes")
    network = MapNetwork(localizer).eval()
    check_size(network, precision)
    model = trace(network)
    if precision == "fp16":
        model = encoder_in_half(model)
    forget_sources(model)
    session, optimised = checked_session(model)
    parity = measure_map_parity(network, session, precision)
    if not parity.holds:
        raise ParityError(f"the graph is not the model: {_in_words(parity)}", "Export with --precision fp32.")
    echo(_in_words(parity))
    graph = LocalizerGraph(
        localizer=_exported(info),
        precision=precision,
        parity=asdict(parity),
        nodes={"exported": census(model), "optimised": census(optimised)},
        sidscan=__version__,
        torch=torch.__version__,
    )
    write_graph(path, sealed(model, graph.to_json()), lambda _: check(path))  # again: minutes have passed
    return path


def _exported(info: LocalizerInfo) -> LocalizerInfo:
    return replace(info, provenance={name: f"{how}, exported" for name, how in info.provenance.items()})


def _in_words(parity: Parity) -> str:
    (worst,) = parity.worst.values()
    measured = f"largest difference of probabilities over {parity.crops} crops: {worst:.1e}"
    return f"{measured}; allowed {parity.bound:g}"
