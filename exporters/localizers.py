"""`sidscan export-onnx` of a localizer: encoders and decoder as one ONNX file, checked before it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import torch

from sidscan._version import __version__
from sidscan.errors import UsageError
from sidscan.models.localizer_graph import LocalizerGraph
from sidscan.models.localizers import LocalizerInfo, load_localizer
from sidscan.models.store import Store
from sidscan.util.terminal import Echo

from . import require_packages
from .graph_file import GraphFile, make_graph
from .half import encoder_in_half
from .network import MapNetwork
from .parity import measure_map_parity


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
    file = GraphFile(out, [name], precision, fresh, overwrite)
    info, localizer, _ = load_localizer(name, encoders=encoders)
    echo(f"exporting {name} in {precision}; this may take some minutes")
    network = MapNetwork(localizer).eval()
    graph = make_graph(network, precision, encoder_in_half, measure_map_parity, "probabilities", echo)
    stated = LocalizerGraph(
        localizer=_exported(info),
        precision=precision,
        parity=asdict(graph.parity),
        nodes=graph.nodes,
        sidscan=__version__,
        torch=torch.__version__,
    )
    return file.write(graph.model, stated.to_json())


def _exported(info: LocalizerInfo) -> LocalizerInfo:
    return replace(info, provenance={name: f"{how}, exported" for name, how in info.provenance.items()})
