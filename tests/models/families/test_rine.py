"""RINE compared with an independent implementation: numpy, float64, written from the equations only."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_networks import open_clip_visual, random_clip, random_head

from sidscan.models import state_dicts
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.catalog import CATALOG
from sidscan.models.heads.feature_pyramid import FpnHead
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.models.heads.rine import RineHead

Array = NDArray[np.float64]
MEAN = (
    0.48145466,
    0.4578275,
    0.40821073,
)  # those of OpenAI's CLIP, written out so that the test is independent of the product
STD = (0.26862954, 0.26130258, 0.27577711)
SMALL = {"width": 128, "blocks": 2, "patch": 32, "side": 64, "embedding": 32}
VIT_L_14 = {"width": 1024, "blocks": 24, "patch": 14, "side": 224, "embedding": 768}


class Equations:
    """The paper's equations over a weights dictionary."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        self.w = {name: tensor.double().numpy() for name, tensor in state.items()}

    def linear(self, x: Array, name: str) -> Array:
        result: Array = x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]
        return result

    def norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        normed: Array = (
            centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * self.w[f"{name}.weight"]
            + self.w[f"{name}.bias"]
        )
        return normed

    def attention(self, x: Array, name: str) -> Array:
        heads = x.shape[-1] // 64
        qkv = x @ self.w[f"{name}.in_proj_weight"].T + self.w[f"{name}.in_proj_bias"]
        q, k, v = (
            part.reshape(*x.shape[:2], heads, 64).transpose(0, 2, 1, 3) for part in np.split(qkv, 3, axis=-1)
        )
        weights = np.exp(q @ k.transpose(0, 1, 3, 2) / math.sqrt(64))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        return self.linear(mixed, f"{name}.out_proj")

    def mlp(self, x: Array, name: str) -> Array:
        hidden = self.linear(x, f"{name}.c_fc")
        hidden = hidden / (1 + np.exp(-1.702 * hidden))  # QuickGELU: x * sigmoid(1.702 x)
        return self.linear(hidden, f"{name}.c_proj")

    def features(self, crops: NDArray[np.uint8]) -> Array:
        """uint8 (b, h, w, 3) -> K (b, n, d)."""
        kernel = self.w["conv1.weight"]
        patch, (batch, side) = kernel.shape[-1], crops.shape[:2]
        grid = side // patch
        x = (crops / 255.0 - np.array(MEAN)) / np.array(STD)
        x = (
            x.reshape(batch, grid, patch, grid, patch, 3)
            .transpose(0, 1, 3, 5, 2, 4)
            .reshape(batch, grid * grid, -1)
        )
        x = x @ kernel.reshape(len(kernel), -1).T
        cls = np.broadcast_to(self.w["class_embedding"], (batch, 1, len(kernel)))
        z = self.norm(np.concatenate([cls, x], axis=1) + self.w["positional_embedding"], "ln_pre")
        rows = []
        for index in range(sum(name.endswith("ln_2.weight") for name in self.w)):
            block = f"transformer.resblocks.{index}"
            z = z + self.attention(self.norm(z, f"{block}.ln_1"), f"{block}.attn")
            normed = self.norm(z, f"{block}.ln_2")
            rows.append(normed[:, 0])
            z = z + self.mlp(normed, f"{block}.mlp")
        return np.stack(rows, axis=1)

    def layers(self, x: Array, names: list[str], last_relu: bool = True) -> Array:
        for name in names:
            x = self.linear(x, name)
            if last_relu or name != names[-1]:
                x = np.maximum(x, 0)
        return x

    def logits(self, features: Array) -> Array:
        """K (b, n, d) -> logits (b,): Q1, TIE, Q2, classifier."""
        q = sum(name.startswith("proj1.") and name.endswith("weight") for name in self.w)
        positions = [1 + 3 * layer for layer in range(q)]
        projected = self.layers(features, [f"proj1.{position}" for position in positions])
        importance = np.exp(self.w["alpha"])
        importance /= importance.sum(axis=1, keepdims=True)
        z = self.layers((importance * projected).sum(axis=1), [f"proj2.{position}" for position in positions])
        return self.layers(z, ["head.0", "head.3", "head.6"], last_relu=False)[:, 0]


@pytest.mark.parametrize(
    ("shape", "projected", "layers", "crops"),
    [
        pytest.param(SMALL, 16, 1, 5, id="small"),
        pytest.param(VIT_L_14, 1024, 2, 1, id="vit-l-14, 4-class head"),
    ],
)
def test_logits_equal_the_equations(shape: dict[str, int], projected: int, layers: int, crops: int) -> None:
    state = random_clip(**shape)
    head = random_head(shape["blocks"], shape["width"], projected, layers)
    pixels = np.random.default_rng(2).integers(
        0, 256, (crops, shape["side"], shape["side"], 3), dtype=np.uint8
    )

    encoder = ClipEncoder.from_state(state)
    with torch.inference_mode():
        features = encoder(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        logits = head(features).numpy()

    expected_features = Equations(state).features(pixels)
    expected = Equations(head.state_dict()).logits(expected_features)
    assert features.shape == (crops, shape["blocks"], shape["width"])
    assert np.abs(features.numpy() - expected_features).max() <= 1e-3
    assert np.abs(logits - expected).max() <= 1e-4
    assert np.abs(expected).max() > 0.1, (
        "the logits must be far from zero for the comparison to mean anything"
    )


def test_features_equal_hooks_on_open_clips_forward() -> None:
    """The published code uses forward hooks on ``ln_2``; skipping work must not change their values."""
    state = random_clip(**SMALL)
    encoder, published = ClipEncoder.from_state(state), open_clip_visual(state)
    seen: list[torch.Tensor] = []
    for block in published.transformer.resblocks:
        block.ln_2.register_forward_hook(lambda *call: seen.append(call[2]))
    crops = torch.randint(
        0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )
    with torch.inference_mode():
        published((crops / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1))
        hooked = torch.stack([output[:, 0] for output in seen], dim=1)
        assert torch.allclose(encoder(crops), hooked, atol=1e-5)


def test_computes_no_more_than_the_head_needs() -> None:
    """K depends neither on the last block's MLP nor on ln_post, and needs only its attention's CLS query."""
    encoder = ClipEncoder.from_state(random_clip(**SMALL))
    blocks: Any = encoder.visual.transformer.resblocks
    first, last = blocks
    ran: list[str] = []
    for name, module in {
        "last mlp": last.mlp,
        "ln_post": encoder.visual.ln_post,
        "first mlp": first.mlp,
    }.items():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
    tokens: list[int] = []
    last.attn.out_proj.register_forward_pre_hook(lambda _, inputs: tokens.append(inputs[0].shape[1]))
    with torch.inference_mode():
        encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert ran == ["first mlp"]
    assert tokens == [1]


def test_the_embedding_equals_open_clips() -> None:
    """UFD's probe uses the embedding. Requesting it with the blocks needs no second pass."""
    state = random_clip(**SMALL)
    encoder = ClipEncoder.from_state(state)
    crops = torch.randint(
        0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
    )
    with torch.inference_mode():
        expected = open_clip_visual(state)(
            (crops / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        )
        read = encoder.read(crops, {"blocks", "embedding", "maps"})
        assert torch.allclose(read["embedding"], expected, atol=1e-5)
        assert torch.allclose(encoder.read(crops, {"embedding"})["embedding"], expected, atol=1e-5)
        assert torch.allclose(read["blocks"], encoder(crops), atol=1e-5)


def test_maps_have_the_layout_of_the_patches() -> None:
    """After the first block, changing the pixels of one patch changes the features of that patch most."""
    encoder = ClipEncoder.from_state(random_clip(**SMALL))
    crops = torch.full((2, 3, 64, 64), 128, dtype=torch.uint8)
    patch = SMALL["patch"]
    side = 64 // patch
    row, column = 1, side - 1
    crops[1, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = 255
    with torch.inference_mode():
        maps = encoder.read(crops, {"maps"})["maps"]
    assert maps.shape == (2, encoder.num_blocks, encoder.embed_dim, side, side)
    change = (maps[1, 0] - maps[0, 0]).norm(dim=0)
    assert int(change.argmax()) == row * side + column


def test_a_linear_probe_is_a_single_product() -> None:
    probe = LinearProbe(6)
    embedding = torch.randn(5, 6)
    expected = embedding @ probe.weight[0] + probe.bias
    assert torch.allclose(probe(embedding), expected)
    assert set(probe.state_dict()) == {"weight", "bias"}, "the names of UFD's published file"


def test_the_pyramid_sums_from_the_last_block_to_the_first() -> None:
    torch.manual_seed(0)
    head = FpnHead(3, 5, 4).eval()
    maps = torch.randn(2, 3, 5, 4, 4)
    state = head.state_dict()

    def convolved(inputs: torch.Tensor, name: str, border: int) -> torch.Tensor:
        kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"].view(1, -1, 1, 1)
        size = kernel.shape[-1]
        windows = torch.nn.functional.pad(inputs, (border,) * 4).unfold(2, size, 1).unfold(3, size, 1)
        mixed: torch.Tensor = torch.einsum("bchwij,ocij->bohw", windows, kernel) + bias
        return mixed

    first, second, third = (convolved(maps[:, block], f"lateral.{block}", 0) for block in range(3))
    sums = (first + second + third, second + third, third)
    pooled = [convolved(level, f"smooth.{block}", 1).mean(dim=(2, 3)) for block, level in enumerate(sums)]
    assert torch.allclose(head.embed(maps), torch.stack(pooled).mean(dim=0), atol=1e-5)


@pytest.mark.parametrize(
    ("head", "projected", "layers", "parameters"),
    [
        pytest.param("1-class", 1024, 4, 10_521_601, id="1-class"),
        pytest.param("2-class", 128, 4, 283_009, id="2-class"),
        pytest.param("4-class", 1024, 2, 6_323_201, id="4-class"),
    ],
)
def test_published_shapes(head: str, projected: int, layers: int, parameters: int) -> None:
    """Parameter counts of the published heads: 10.52M, 0.28M and 6.32M."""
    built = RineHead(24, 1024, projected, layers)
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters
    expected = {
        "alpha",
        *(
            f"{part}.{1 + 3 * layer}.{kind}"
            for part in ("proj1", "proj2")
            for layer in range(layers)
            for kind in ("weight", "bias")
        ),
    }
    expected |= {f"head.{position}.{kind}" for position in (0, 3, 6) for kind in ("weight", "bias")}
    assert set(built.state_dict()) == expected
    assert RineHead.shaped_like(built.state_dict()).state_dict().keys() == built.state_dict().keys()


@pytest.mark.skipif("SIDSCAN_UFD" not in os.environ, reason="names UFD's official probe, if it is here")
def test_the_official_ufd_probe_loads_strictly() -> None:
    """Optional, because other people's weights are not committed: SIDSCAN_UFD=FILE pytest."""
    state = state_dicts.load_tensors(CATALOG["ufd"], Path(os.environ["SIDSCAN_UFD"]))
    probe = LinearProbe.shaped_like(state)
    probe.load_state_dict(state, strict=True)
    assert probe.in_features == 768


@pytest.mark.skipif(
    "SIDSCAN_RINE_2CLASS" not in os.environ, reason="names the official 2-class head, if it is here"
)
def test_the_official_2_class_head_loads_strictly() -> None:
    """Optional, because other people's weights are not committed: SIDSCAN_RINE_2CLASS=FILE pytest."""
    path = Path(os.environ["SIDSCAN_RINE_2CLASS"])
    state = state_dicts.load_tensors(CATALOG["rine-2class"], path)
    head = RineHead.shaped_like(state)
    head.load_state_dict(state, strict=True)
    features = np.random.default_rng(4).normal(size=(3, 24, 1024))
    with torch.inference_mode():
        logits = head.eval()(torch.from_numpy(features).float()).numpy()
    assert sum(parameter.numel() for parameter in head.parameters()) == 283_009
    assert np.abs(logits - Equations(state).logits(features)).max() <= 1e-4


def test_heads_are_inert_in_evaluation() -> None:
    head = random_head(2, 128, 16, 2)
    features = torch.randn(4, 2, 128)
    assert torch.equal(head(features), head(features))
    assert not torch.equal(head.train()(features), head.eval()(features))
