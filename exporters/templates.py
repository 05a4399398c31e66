"""Makes the graphs of bundled models: ``python -m sidscan.exporters.templates [NAME ...]``.

A template (`sidscan.models.graph_templates`) is traced from PyTorch's network with weights as inputs, so that
nothing that follows from them can be computed in advance and stay in it. ONNX Runtime's optimiser works on it
here, once, and not at the start of every scan, and slices of slices become one, which it leaves.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sidscan._version import __version__
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector
from sidscan.models.families import detector_family, localizer_family
from sidscan.models.families.clip import encoder_sizes
from sidscan.models.graph_templates import MIRROR_KEY, named, template_of, with_weights
from sidscan.models.localizer_checkpoints import read_localizer_arrays
from sidscan.models.onnx_graph import seal
from sidscan.models.origins import Bundled
from sidscan.models.shapes import EncoderShape
from sidscan.models.state_dicts import normalise_arrays, read_arrays
from sidscan.runtimes.onnx_cpu import open_graph
from sidscan.runtimes.precision_check import natural_crops
from sidscan.util.files import atomic_write

from . import require_packages
from .graph_file import ParityError, forget_sources, trace
from .network import ExportNetwork, MapNetwork, Weightless
from .parity import Parity, measure_map_parity, measure_parity
from .slices import merge_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sidscan.models.backbones import Feature
    from sidscan.models.backbones.base import Encoder

    Array = NDArray[Any]

_DOMAINS = ("", "com.microsoft")  # of the nodes that ONNX Runtime's optimiser leaves


def make_template(entry: CatalogEntry) -> bytes:
    """The graph of a bundled detector or localizer, without weights.

    Raises:
        ParityError: with other weights than those it was traced with, it does not compute what PyTorch does.
    """
    network, weights = random_network(entry, seed=0)
    tensors = network.state_dict()
    names = [_name_of(tensor.numpy(), weights) for tensor in tensors.values()]
    traced = trace(Weightless(network, list(tensors)), dict(zip(names, tensors.values(), strict=True)))
    model = _optimised(traced)
    _make_initialisers(model, weights)
    forget_sources(model)
    _shorten_names(model, weights)
    merge_slices(model)
    _keep_domains(model)
    if isinstance(network, ExportNetwork):
        stated = model.metadata_props.add()
        stated.key, stated.value = MIRROR_KEY, str(int(network.mirror_invariant))
    model.producer_name, model.producer_version = "sidscan", __version__
    template = seal(model.SerializeToString())
    parity = template_parity(template, *random_network(entry, seed=1))
    if not parity.holds:
        raise ParityError(f"the template of {entry.name} is not the model: {asdict(parity)}")
    return template


def template_parity(
    template: bytes, network: ExportNetwork | MapNetwork, weights: Mapping[str, Array]
) -> Parity:
    """How far what a template gives with these weights is from PyTorch's."""
    session = open_graph(with_weights(template, weights))
    if isinstance(network, MapNetwork):
        return measure_map_parity(network, session, "fp32")
    return measure_parity(network, session, "fp32")


def random_network(entry: CatalogEntry, seed: int) -> tuple[ExportNetwork | MapNetwork, dict[str, Array]]:
    """A network of the shape of a bundled one, and its tensors by the names that templates have for them."""
    rng = np.random.default_rng(seed)
    encoder = _random_encoder(entry.encoder, rng) if entry.encoder else {}
    clip = ClipEncoder.from_state(_as_torch(encoder)) if encoder else None
    network, head = (
        _random_localizer(entry, rng, clip)
        if entry.kind == "localizer"
        else _random_detector(entry, rng, clip)
    )
    return network.eval(), named(head, encoder)


def _random_encoder(name: str, rng: np.random.Generator) -> dict[str, Array]:
    shape = CATALOG[name].shape
    assert isinstance(shape, EncoderShape)
    return {name: rng.normal(0, 0.05, size).astype(np.float32) for name, size in encoder_sizes(shape).items()}


def _random_detector(
    entry: CatalogEntry, rng: np.random.Generator, encoder: Encoder | None
) -> tuple[ExportNetwork, dict[str, Array]]:
    assert isinstance(entry.origin, Bundled)
    bundled = normalise_arrays(entry, read_arrays(entry.origin.path))
    head = {name: _like(tensor, rng) for name, tensor in sorted(bundled.items())}
    family = detector_family(entry.family)
    info = DetectorInfo(entry.name, "", 0.5, {}, {}, cautions=entry.cautions)
    detector = Detector(info, *family.networks(_as_torch(head), encoder), family.fp16_safe)
    return ExportNetwork([detector]), head


def _random_localizer(
    entry: CatalogEntry, rng: np.random.Generator, encoder: Encoder | None
) -> tuple[MapNetwork, dict[str, Array]]:
    assert isinstance(entry.origin, Bundled)
    assert encoder is not None
    checkpoint, _ = read_localizer_arrays(entry.origin.path)
    family = localizer_family(checkpoint.family)
    (features,) = family.untrained(checkpoint.config).reads
    tensors = sorted(checkpoint.tensors.items())  # readers of safetensors give them in any order
    drawn = {name: _drawn(tensor.shape, rng) for name, tensor in tensors}
    decoder = {**drawn, **_statistics(encoder, features)}
    return MapNetwork(family.networks(checkpoint.config, _as_torch(decoder), [encoder])), decoder


@torch.inference_mode()
def _statistics(encoder: Encoder, features: Sequence[Feature]) -> dict[str, Array]:
    """Of this encoder's tokens, what a `TokenDecoder` standardises by: with others, maps would be uniform."""
    crops = torch.from_numpy(natural_crops(4)).permute(0, 3, 1, 2)
    outputs = encoder.read(crops, set(features))
    tokens = torch.cat([outputs[feature] for feature in features], dim=1)
    deviation, mean = torch.std_mean(tokens, dim=(0, 2, 3))
    return {"mean": mean.numpy(), "scale": deviation.numpy()}


def _drawn(size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Weights that give logits of the order of one."""
    deviation = 0.1 if len(size) == 1 else (2 / np.prod(size[1:])) ** 0.5
    return rng.normal(0, deviation, size).astype(np.float32)


def _like(tensor: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Other values of the same signs; zeros become small numbers."""
    values = np.where(tensor == 0, rng.normal(0, 0.1, tensor.shape), tensor)
    return np.asarray(values * rng.uniform(0.5, 1.5, tensor.shape), np.float32)


def _as_torch(tensors: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}


def _optimised(model: Any) -> Any:
    """The graph as ONNX Runtime's optimiser leaves it, without what only this processor understands."""
    import onnx
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(scratch) / "optimised.onnx")
        ort.InferenceSession(
            model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        return onnx.load(options.optimized_model_filepath)


def _name_of(tensor: Array, weights: Mapping[str, Array]) -> str:
    """What templates call a tensor of a network; weights are random, so no two are equal."""
    (name,) = (name for name, other in weights.items() if np.array_equal(tensor, other))
    return name


def _make_initialisers(model: Any, weights: Mapping[str, Array]) -> None:
    """Inputs that are weights become initialisers without data; those that nothing reads go."""
    read = {name for node in model.graph.node for name in node.input}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    used = sorted(read & set(weights))
    model.graph.initializer.extend(_without_data(name, weights[name]) for name in used)


def _without_data(name: str, tensor: Array) -> Any:
    """An initialiser whose data is said to lie elsewhere; onnxruntime is given it by name."""
    from onnx import TensorProto

    proto = TensorProto(name=name, dims=tensor.shape, data_type=TensorProto.FLOAT)
    proto.data_location = TensorProto.EXTERNAL
    entry = proto.external_data.add()
    entry.key, entry.value = "location", "weights"
    return proto


def _shorten_names(model: Any, weights: Mapping[str, Array]) -> None:
    """Numbers for what nobody sees: names of nodes and of values between them."""
    graph = model.graph
    seen = {value.name for value in (*graph.input, *graph.output)} | set(weights)
    inner = {name for node in graph.node for name in node.output} | {c.name for c in graph.initializer}
    short = {name: f"{number:x}" for number, name in enumerate(sorted(inner - seen))}
    for node in graph.node:
        node.name = ""
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]
    for constant in graph.initializer:
        constant.name = short.get(constant.name, constant.name)


def _keep_domains(model: Any) -> None:
    kept = [opset for opset in model.opset_import if opset.domain in _DOMAINS]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def main(names: list[str]) -> None:
    """Make the templates of these models, or of all that have one."""
    require_packages()
    for entry in CATALOG.values():
        path = template_of(entry)
        if path is not None and (not names or entry.name in names):
            template = make_template(entry)
            with atomic_write(path) as partial:
                partial.write_bytes(template)
            sys.stdout.write(f"{path}: {len(template):,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
