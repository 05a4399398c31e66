"""Ensembles of RINE heads: registry, layout, the shipped weights and card; logits beside NumPy in float64."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from tiny_networks import random_head

from sidscan.errors import ModelError
from sidscan.models import state_dicts
from sidscan.models.catalog import CATALOG
from sidscan.models.families import HeadFamily, detector_family, find_family
from sidscan.models.heads.rine_ensemble import RineEnsemble
from sidscan.models.shapes import EncoderShape, HeadShape
from sidscan.models.store import Store

Array = NDArray[np.float64]
State = dict[str, torch.Tensor]
ENTRY = CATALOG["rine-b16"]
FAMILY = detector_family("rine_ensemble")


def random_ensemble(blocks: int, width: int, projected: int, layers: int, heads: int) -> RineEnsemble:
    """Seeded, its tensors far from those of an untrained one."""
    ensemble = RineEnsemble([random_head(blocks, width, projected, layers) for _ in range(heads)]).eval()
    generator = torch.Generator().manual_seed(7)
    for number, head in enumerate(ensemble.heads):
        for parameter in head.parameters():
            parameter.data += 0.05 * (1 + number) * torch.randn(parameter.shape, generator=generator)
    ensemble.mean.data = torch.randn(blocks, width, generator=generator)
    ensemble.scale.data = 0.5 + torch.rand(blocks, width, generator=generator)
    ensemble.probe.data = 0.1 * torch.randn(blocks, width, generator=generator)
    ensemble.weights.data = torch.randn(1 + heads, generator=generator)
    ensemble.bias.data = torch.tensor(0.4)
    return ensemble


def small_state() -> State:
    return dict(random_ensemble(2, 16, 8, 2, heads=2).state_dict())


def equations(state: State, features: Array) -> Array:
    """K (b, n, d) -> logits (b,): RINE's equations (paper, section 3) for each head, a probe, a sum."""
    w = {name: tensor.double().numpy() for name, tensor in state.items()}
    count = len({name.split(".")[1] for name in w if name.startswith("heads.")})
    standardised = (features - w["mean"]) / w["scale"]
    logits = [np.einsum("bnd,nd->b", standardised, w["probe"])]

    def layer(x: Array, name: str) -> Array:
        result: Array = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
        return result

    for head in (f"heads.{number}" for number in range(count)):
        q = sum(name.startswith(f"{head}.proj1.") and name.endswith("weight") for name in w)
        x = standardised
        for position in range(q):
            x = np.maximum(layer(x, f"{head}.proj1.{1 + 3 * position}"), 0)
        importance = np.exp(w[f"{head}.alpha"])
        x = (importance / importance.sum(axis=1, keepdims=True) * x).sum(axis=1)
        for position in range(q):
            x = np.maximum(layer(x, f"{head}.proj2.{1 + 3 * position}"), 0)
        for name in ("head.0", "head.3"):
            x = np.maximum(layer(x, f"{head}.{name}"), 0)
        logits.append(layer(x, f"{head}.head.6")[:, 0])
    result: Array = np.stack(logits, axis=1) @ w["weights"] + w["bias"]
    return result


@pytest.mark.parametrize(
    ("blocks", "width", "projected", "layers", "heads"),
    [
        pytest.param(2, 16, 8, 1, 1, id="one head"),
        pytest.param(3, 32, 8, 2, 4, id="four heads of two layers"),
        pytest.param(12, 768, 256, 1, 3, id="vit-b-16"),
    ],
)
def test_logits_equal_the_equations(blocks: int, width: int, projected: int, layers: int, heads: int) -> None:
    ensemble = random_ensemble(blocks, width, projected, layers, heads)
    features = np.random.default_rng(3).normal(size=(4, blocks, width))
    expected = equations(dict(ensemble.state_dict()), features)
    with torch.inference_mode():
        logits = ensemble(torch.from_numpy(features).float()).numpy()
    assert np.abs(logits - expected).max() <= 1e-4
    assert np.abs(expected).max() > 0.1, "logits near zero would show nothing"


def test_the_shipped_head_equals_the_equations() -> None:
    state = state_dicts.load_tensors(ENTRY, Store().require(ENTRY.name).path)
    encoder = SimpleNamespace(num_blocks=12, embed_dim=768)
    _, head = FAMILY.networks(state, encoder)  # type: ignore[arg-type]
    features = np.random.default_rng(5).normal(size=(6, 12, 768))
    with torch.inference_mode():
        logits = head(torch.from_numpy(features).float()).numpy()
    assert np.abs(logits - equations(state, features)).max() <= 1e-4


def test_the_card_describes_the_shipped_file() -> None:
    weights = files("sidscan.weights")
    card = json.loads(weights.joinpath("rine_b16.json").read_text(encoding="utf-8"))
    path = Store().require(ENTRY.name).path
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert {"name", "version", "licence", "threshold", "training_data", "abstention"} <= set(metadata)
    assert (metadata["name"], metadata["licence"]) == (ENTRY.name, ENTRY.licence)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == card["sha256"] == ENTRY.pin.digest
    assert float(metadata["threshold"]) == card["threshold"] == ENTRY.threshold
    assert json.loads(metadata["abstention"]) == card["abstention"]
    assert json.loads(metadata.get("cascade", "null")) == card.get("cascade")
    assert ENTRY.metrics is not None
    assert card["sha256"] in weights.joinpath("rine_b16.md").read_text(encoding="utf-8")


def test_it_is_a_head_on_clip_vit_b16() -> None:
    assert isinstance(find_family("rine_ensemble"), HeadFamily)
    assert (ENTRY.family, ENTRY.encoder, ENTRY.download_size) == ("rine_ensemble", "clip-vit-b16", 0)
    encoder = CATALOG["clip-vit-b16"]
    assert isinstance(ENTRY.shape, HeadShape)
    assert isinstance(encoder.shape, EncoderShape)
    assert ENTRY.preprocess == encoder.preprocess
    assert (ENTRY.shape.num_blocks, ENTRY.shape.embed_dim) == (
        encoder.shape.num_blocks,
        encoder.shape.embed_dim,
    )


def test_the_layout_is_recognised() -> None:
    state = small_state()
    assert FAMILY.normalise(state).keys() == state.keys()
    assert FAMILY.shape(state) == state_dicts.recognise_shape(state) == HeadShape(2, 16, 8, 2)
    single = dict(random_head(2, 16, 8, 2).state_dict())
    assert find_family("rine").shape(single) == state_dicts.recognise_shape(single) == HeadShape(2, 16, 8, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda s: s.pop("mean"), "mean missing", id="missing"),
        pytest.param(lambda s: s.pop("heads.0.alpha"), "heads.0.alpha is missing", id="no head"),
        pytest.param(
            lambda s: s.pop("heads.1.proj2.1.bias"), "heads.1.proj2.1.bias missing", id="half a head"
        ),
        pytest.param(lambda s: s.update(extra=torch.ones(1)), "extra unexpected", id="unexpected"),
        pytest.param(lambda s: s.update(weights=torch.ones(2)), "weights of another shape", id="weights"),
        pytest.param(lambda s: s.update(probe=torch.ones(2, 9)), "probe of another shape", id="width"),
        pytest.param(
            lambda s: s.update({"heads.1.alpha": torch.ones(1, 3, 8)}),
            "heads.1.alpha of another shape",
            id="heads that differ",
        ),
        pytest.param(lambda s: s.update(bias=torch.tensor(1)), "bias not floating point", id="integer"),
        pytest.param(lambda s: s["mean"].fill_(float("nan")), "mean not finite", id="not finite"),
        pytest.param(lambda s: s["scale"][0].zero_(), "scale is not positive", id="scale"),
    ],
)
def test_other_weights_are_refused(change: Callable[[State], Any], message: str) -> None:
    state = small_state()
    change(state)
    with pytest.raises(ModelError, match="these weights are not a RINE ensemble") as refused:
        FAMILY.normalise(state)
    assert message in refused.value.message


def test_an_ensemble_of_another_shape_is_not_rine_b16() -> None:
    with pytest.raises(
        ModelError, match="these weights are not those of rine-b16: n=2 d=16 d'=8 q=2 instead"
    ):
        state_dicts.normalise(ENTRY, small_state())


@pytest.mark.parametrize(("blocks", "width"), [(3, 16), (2, 32)], ids=["blocks", "width"])
def test_it_fits_no_other_encoder(blocks: int, width: int) -> None:
    encoder = SimpleNamespace(num_blocks=blocks, embed_dim=width)
    with pytest.raises(ModelError, match="does not fit the encoder"):
        FAMILY.networks(small_state(), encoder)  # type: ignore[arg-type]
