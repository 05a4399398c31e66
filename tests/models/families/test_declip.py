"""DeCLIP: sizes and names as published, and an independent computation of forward and loss in float64."""

from __future__ import annotations

import hashlib
import math
import os
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sample_localizers import published_file
from tiny_networks import open_clip_visual, random_clip
from torch.nn import functional

from sidscan.errors import ModelError
from sidscan.models.backbones import Feature, PatchTokens, StageMap
from sidscan.models.backbones.clip import ClipEncoder
from sidscan.models.catalog import CATALOG
from sidscan.models.families import localizer_family
from sidscan.models.families.declip import DECODERS, decoder_sizes
from sidscan.models.heads.declip import make_decoder
from sidscan.models.heads.decoder import Decoder, with_weights
from sidscan.models.localizer_checkpoints import read_localizer_checkpoint
from sidscan.models.localizers import TileSpec
from sidscan.models.shapes import DeclipShape

VIT, RESNET, BOTH = "CLIP:ViT-L/14", "CLIP:RN50", "CLIP:ViT-L/14,RN50"
SMALL = {"width": 64, "blocks": 3, "patch": 14, "side": 224, "embedding": 8}
MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)
STD = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)


def _crops(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, 224, 224), dtype=torch.uint8, generator=generator)


def _meta(kind: str, arch: str, layer: int, channels: int) -> Decoder:
    """A decoder without weights, for counting."""
    with torch.device("meta"):
        return make_decoder(kind, arch, layer, channels)


def _random(kind: str, arch: str, layer: int, channels: int) -> Decoder:
    """A seeded decoder in evaluation mode; its batch normalisation has statistics of its own."""
    torch.manual_seed(4)
    decoder = make_decoder(kind, arch, layer, channels).eval()
    for name, tensor in decoder.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() == 4:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
    return decoder


# ---- sizes and names


@pytest.mark.parametrize(
    ("kind", "arch", "layer", "channels", "parameters", "tensors"),
    [
        ("linear", VIT, 20, 1024, 1_025, 2),
        ("attention", VIT, 20, 1024, 25_193_473, 26),
        ("conv-4", VIT, 20, 1024, 17_412_481, 30),
        ("conv-12", VIT, 20, 1024, 34_826_241, 86),
        ("conv-20", VIT, 20, 1024, 52_240_001, 142),
        ("conv-20", BOTH, 20, 2048, 65_347_201, 142),
    ],
)
def test_decoders_have_the_published_sizes(
    kind: str, arch: str, layer: int, channels: int, parameters: int, tensors: int
) -> None:
    decoder = _meta(kind, arch, layer, channels)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == parameters
    assert len(decoder.state_dict()) == tensors


def test_only_what_is_called_fc_trains_beside_a_frozen_backbone() -> None:
    """As published: ``fc`` and, of the two blocks, the first layer of each MLP."""
    named = _meta("attention", VIT, 20, 1024).named_parameters()
    assert sum(tensor.numel() for name, tensor in named if "fc" in name) == 8_397_825


@pytest.mark.parametrize(
    ("kind", "arch", "layer", "last"),
    [
        pytest.param(kind, arch, layer, last, id=f"{kind} {arch} layer{layer}")
        for kind, units, vit_last in (("conv-4", 1, 16), ("conv-12", 3, 40), ("conv-20", 5, 64))
        for arch, layer, last in (
            (VIT, 20, vit_last),
            (VIT, 1, vit_last),
            (BOTH, 20, vit_last + 1),
            (BOTH, 1, vit_last - 1),
            (BOTH, 2, vit_last),
            (RESNET, 4, vit_last + 1),
            (RESNET, 3, vit_last + 1),
            (RESNET, 2, vit_last),
            (RESNET, 1, vit_last - 1),
        )
        if units
    ],
)
def test_convolutions_have_the_published_numbers(kind: str, arch: str, layer: int, last: int) -> None:
    channels = {BOTH: 2048, VIT: 1024, RESNET: 128 * 2**layer}[arch]
    state = _meta(kind, arch, layer, channels).state_dict()
    units = int(kind.removeprefix("conv-")) // 4
    skipped = {1: 2, 2: 1}.get(layer, 0) if arch != VIT else 0
    expected, inputs, position = {}, channels, 0
    for block, width in enumerate((512, 256, 128, 64)):
        for _ in range(units):
            expected[position] = (width, inputs, 5, 5)
            inputs, position = width, position + 3
        position += block >= skipped
    expected[last] = (1, 64, 5, 5)
    convolutions = {
        int(name.split(".")[1]): tuple(tensor.shape) for name, tensor in state.items() if tensor.dim() == 4
    }
    assert convolutions == expected
    assert set(state) == {
        *(f"fc.{number}.{part}" for number in expected for part in ("weight", "bias")),
        *(
            f"fc.{number + 1}.{part}"
            for number in expected
            if number != last
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        ),
    }


@pytest.mark.parametrize(
    ("kind", "arch", "layer"),
    [
        pytest.param(kind, arch, layer, id=f"{kind} {arch} layer{layer}")
        for kind in DECODERS
        for arch in (VIT, BOTH, RESNET)
        for layer in (1, 2, 3, 4, 20)
        if (arch == VIT or kind.startswith("conv")) and (arch != RESNET or layer < 5)
    ],
)
def test_the_table_of_tensors_is_the_networks(kind: str, arch: str, layer: int) -> None:
    """The table checks files without torch."""
    state = _meta(kind, arch, layer, 64).state_dict()
    sizes = {name: tuple(tensor.shape) for name, tensor in state.items() if "batches" not in name}
    assert decoder_sizes(DeclipShape(arch, layer, kind, 64)) == sizes


def test_the_numbers_that_the_reference_lists() -> None:
    state = _meta("conv-20", VIT, 20, 1024).state_dict()
    sizes = {0: (512, 1024), 3: (512, 512), 16: (256, 512), 32: (128, 256), 48: (64, 128), 64: (1, 64)}
    for number, size in sizes.items():
        assert tuple(state[f"fc.{number}.weight"].shape) == (*size, 5, 5)


# ---- the encoder's features


def test_patch_tokens_are_the_stream_that_leaves_a_block() -> None:
    """Equal to a hook on the block and to open_clip's own reading; unlike ``ln_2``, which RINE reads."""
    state = random_clip(**SMALL)
    encoder, visual = ClipEncoder.from_state(state), open_clip_visual(state)
    seen: dict[str, torch.Tensor] = {}
    block = visual.transformer.resblocks[1]
    block.register_forward_hook(lambda *call: seen.update(block=call[2]))
    block.ln_2.register_forward_hook(lambda *call: seen.update(ln_2=call[2]))
    crops = _crops(2)
    with torch.inference_mode():
        normalised = (crops / 255 - MEAN) / STD
        visual(normalised)
        hooked = {name: tokens[:, 1:].transpose(1, 2).reshape(2, 64, 16, 16) for name, tokens in seen.items()}
        whole = seen["block"]
        (theirs,) = visual.forward_intermediates(
            normalised, indices=[1], normalize_intermediates=False, output_fmt="NCHW"
        )["image_intermediates"]
        read = encoder.read(crops, {PatchTokens(1), PatchTokens(1, with_class_token=True)})
    assert torch.allclose(read[PatchTokens(1)], hooked["block"], atol=1e-5)
    assert torch.allclose(read[PatchTokens(1)], theirs, atol=1e-5)
    assert torch.allclose(read[PatchTokens(1, with_class_token=True)], whole, atol=1e-5)
    assert not torch.allclose(read[PatchTokens(1)], hooked["ln_2"], atol=0.1)


@pytest.mark.parametrize("block", [0, 1, 2])
@pytest.mark.parametrize(
    "beside",
    [set(), {"blocks"}, {"embedding"}, {"maps"}, {"blocks", "embedding", "maps"}],
    ids=lambda features: "+".join(sorted(features)) or "alone",
)
def test_one_pass_serves_heads_and_decoders(block: int, beside: set[Feature]) -> None:
    encoder, crops = ClipEncoder.from_state(random_clip(**SMALL)), _crops(1)
    with torch.inference_mode():
        together = encoder.read(crops, {PatchTokens(block), *beside})
        apart = [encoder.read(crops, {feature}) for feature in (PatchTokens(block), *beside)]
    assert together.keys() == {PatchTokens(block), *beside}
    for read in apart:
        for feature, values in read.items():
            assert torch.allclose(together[feature], values, atol=1e-5)


@pytest.mark.parametrize(
    ("features", "ran"),
    [
        ({PatchTokens(0)}, ["mlp 0"]),
        ({PatchTokens(0), PatchTokens(1)}, ["mlp 0", "mlp 1"]),
        ({PatchTokens(0), "blocks"}, ["mlp 0", "mlp 1"]),
        ({PatchTokens(2)}, ["mlp 0", "mlp 1", "mlp 2"]),
    ],
    ids=["first", "both", "with RINE", "last"],
)
def test_nothing_is_computed_above_the_block(features: set[Feature], ran: list[str]) -> None:
    encoder, calls = ClipEncoder.from_state(random_clip(**SMALL)), list[str]()
    blocks: Any = encoder.visual.transformer.resblocks
    for number, block in enumerate(blocks):
        block.mlp.register_forward_hook(lambda *_, number=number: calls.append(f"mlp {number}"))
    encoder.visual.ln_post.register_forward_hook(lambda *_: calls.append("ln_post"))
    with torch.inference_mode():
        encoder.read(_crops(1), features)
    assert calls == ran


def test_tokens_lie_as_the_patches_do() -> None:
    encoder = ClipEncoder.from_state(random_clip(**SMALL))
    crops = torch.full((3, 3, 224, 224), 128, dtype=torch.uint8)
    crops[1, :, :14, :14] = 255
    crops[2, :, 2 * 14 : 3 * 14, 5 * 14 : 6 * 14] = 255  # row 2, column 5
    with torch.inference_mode():
        read = encoder.read(crops, {PatchTokens(0)})[PatchTokens(0)]
    changes = (read[1:] - read[:1]).norm(dim=1).flatten(1).argmax(dim=1)
    assert changes.tolist() == [0, 2 * 16 + 5]


# ---- forward and loss, computed otherwise


Array = NDArray[np.float64]


def _interpolated(x: torch.Tensor, size: int, mode: str) -> torch.Tensor:
    """Separable, by matrices: rows, then columns."""
    matrix = _matrix(x.shape[-1], size, mode)
    return torch.einsum("ip,bcpq,jq->bcij", matrix, x, matrix)


def _matrix(old: int, new: int, mode: str) -> torch.Tensor:
    """Weights (new, old) of an interpolation between centres of pixels, borders repeated."""
    weights = np.zeros((new, old))
    for row in range(new):
        centre = (row + 0.5) * old / new - 0.5
        if mode == "bilinear":
            centre = max(centre, 0)
        base = int(np.floor(centre))
        taps = (0, 1) if mode == "bilinear" else (-1, 0, 1, 2)
        for tap in taps:
            distance = abs(centre - (base + tap))
            weight = 1 - distance if mode == "bilinear" else _keys(distance)
            weights[row, min(max(base + tap, 0), old - 1)] += weight
    return torch.from_numpy(weights)


def _keys(d: float) -> float:
    """The cubic kernel with a = -0.75, as torch has it."""
    a = -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def _expected_conv(
    state: dict[str, torch.Tensor], features: list[torch.Tensor], doubled: list[bool]
) -> Array:
    """Convolutions as products of shifted maps, in float64."""
    w = {name: tensor.double() for name, tensor in state.items()}
    x = features[0].double()
    if len(features) == 2:
        x = torch.cat([x, _interpolated(features[1].double(), x.shape[-1], "bilinear")], dim=1)
    numbers = sorted({int(name.split(".")[1]) for name, tensor in w.items() if tensor.dim() == 4})
    widths = [w[f"fc.{number}.weight"].shape[0] for number in numbers]
    for position, number in enumerate(numbers):
        if position == len(numbers) - 1 and x.shape[-1] != 256:
            x = _interpolated(x, 256, "bilinear")
        kernel, bias = w[f"fc.{number}.weight"], w[f"fc.{number}.bias"]
        padded = functional.pad(x, (2, 2, 2, 2))
        side = x.shape[-1]
        x = bias.view(1, -1, 1, 1) + sum(
            torch.einsum("oc,bchw->bohw", kernel[:, :, i, j], padded[:, :, i : i + side, j : j + side])
            for i in range(5)
            for j in range(5)
        )
        if position == len(numbers) - 1:
            break
        norm = f"fc.{number + 1}"
        scale = w[f"{norm}.weight"] / (w[f"{norm}.running_var"] + 1e-5).sqrt()
        x = (x - w[f"{norm}.running_mean"].view(-1, 1, 1)) * scale.view(-1, 1, 1)
        x = (x + w[f"{norm}.bias"].view(-1, 1, 1)).clamp(min=0)
        block = (512, 256, 128, 64).index(widths[position])
        if widths[position] != widths[position + 1] and doubled[block]:
            x = _interpolated(x, 2 * x.shape[-1], "bilinear")
    result: Array = x[:, 0].numpy()
    return result


@pytest.mark.parametrize(
    ("kind", "arch", "layer", "sizes", "doubled"),
    [
        pytest.param("conv-4", VIT, 20, [(6, 16)], [True] * 4, id="ViT"),
        pytest.param("conv-12", VIT, 3, [(6, 16)], [True] * 4, id="ViT, conv-12"),
        pytest.param("conv-4", BOTH, 20, [(6, 16), (4, 14)], [True] * 4, id="both"),
        pytest.param("conv-4", RESNET, 3, [(6, 14)], [True] * 4, id="RN50 layer3"),
        pytest.param("conv-4", RESNET, 2, [(6, 28)], [False, True, True, True], id="RN50 layer2"),
        pytest.param("conv-4", RESNET, 1, [(6, 56)], [False, False, True, True], id="RN50 layer1"),
    ],
)
def test_convolutions_equal_a_computation_in_float64(
    kind: str, arch: str, layer: int, sizes: list[tuple[int, int]], doubled: list[bool]
) -> None:
    decoder = _random(kind, arch, layer, sum(channels for channels, _ in sizes))
    torch.manual_seed(5)
    features = [torch.randn(1, channels, side, side) for channels, side in sizes]
    with torch.inference_mode():
        logits = decoder(*features)
    expected = _expected_conv(decoder.state_dict(), features, doubled)
    assert logits.shape == (1, 256, 256)
    assert np.abs(expected).max() > 0.1
    assert np.abs(logits.numpy() - expected).max() <= 1e-4


def _expected_attention(state: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    w, x = {name: tensor.double() for name, tensor in state.items()}, tokens.double()
    count = x.shape[1]
    hidden = torch.full((count, count), -torch.inf, dtype=torch.float64).triu(1)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / ((centred**2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    for block in ("att1", "att2"):
        normed = norm(x, f"{block}.ln_1")
        product = normed @ w[f"{block}.attn.in_proj_weight"].T + w[f"{block}.attn.in_proj_bias"]
        heads = [part.reshape(1, count, -1, 64).transpose(1, 2) for part in product.chunk(3, dim=-1)]
        weights = torch.softmax(heads[0] @ heads[1].transpose(2, 3) / 8 + hidden, dim=-1)
        mixed = (weights @ heads[2]).transpose(1, 2).reshape(x.shape)
        x = x + mixed @ w[f"{block}.attn.out_proj.weight"].T + w[f"{block}.attn.out_proj.bias"]
        inner = norm(x, f"{block}.ln_2") @ w[f"{block}.mlp.c_fc.weight"].T + w[f"{block}.mlp.c_fc.bias"]
        inner = inner / (1 + torch.exp(-1.702 * inner))
        x = x + inner @ w[f"{block}.mlp.c_proj.weight"].T + w[f"{block}.mlp.c_proj.bias"]
    return x


def test_attention_equals_a_computation_in_float64() -> None:
    decoder = _random("attention", VIT, 20, 128)
    torch.manual_seed(5)
    tokens = torch.randn(1, 257, 128)
    state = decoder.state_dict()
    seen = _expected_attention(state, tokens)[:, 1:]
    small = (seen @ state["fc.0.weight"].double().T + state["fc.0.bias"].double()).reshape(1, 1, 16, 16)
    with torch.inference_mode():
        logits = decoder(tokens)
    assert np.abs(logits.numpy() - _interpolated(small, 256, "bicubic")[:, 0].numpy()).max() <= 1e-4


def test_a_patch_sees_no_later_patch() -> None:
    decoder, tokens = _random("attention", VIT, 20, 64), torch.randn(1, 257, 64)
    changed = tokens.clone()
    changed[:, 200] += 1
    with torch.inference_mode():
        seen = [decoder.att2(decoder.att1(each)) for each in (tokens, changed)]  # type: ignore[operator]
    different = (seen[0] != seen[1]).any(dim=2)[0].nonzero().flatten()
    assert different.min() == 200


def test_a_linear_decoder_is_a_product_per_patch() -> None:
    decoder, tokens = _random("linear", VIT, 20, 8), torch.randn(2, 8, 16, 16)
    state = decoder.state_dict()
    small = torch.einsum("oc,bchw->bohw", state["fc.0.weight"].double(), tokens.double())
    small = small + state["fc.0.bias"].double()
    expected = _interpolated(small, 256, "bicubic")[:, 0].numpy()
    with torch.inference_mode():
        assert np.abs(decoder(tokens).numpy() - expected).max() <= 1e-5


@pytest.mark.parametrize("kind", ["linear", "attention", "conv-4"])
def test_a_map_does_not_depend_on_its_batch(kind: str) -> None:
    decoder = _random(kind, VIT, 1, 64)
    tokens = torch.randn(3, 257, 64) if kind == "attention" else torch.randn(3, 64, 16, 16)
    with torch.inference_mode():
        together = decoder(tokens)
        alone = torch.cat([decoder(each[None]) for each in tokens])
    assert together.shape == (3, 256, 256)
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "arch", "layer", "side"), [("conv-4", VIT, 20, 16), ("conv-12", RESNET, 1, 56)]
)
def test_a_folded_decoder_computes_the_same(kind: str, arch: str, layer: int, side: int) -> None:
    decoder, tokens = _random(kind, arch, layer, 6), torch.randn(1, 6, side, side)
    folded = decoder.folded()
    with torch.inference_mode():
        expected, logits = decoder(tokens), folded(tokens)
    assert expected.abs().max() > 0.1
    assert (logits - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert [module for module in decoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]


# ---- what is refused


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"decoder": "conv-8"}, "DeCLIP has no conv-8 decoder on CLIP:ViT-L/14"),
        ({"arch": "CLIP:xceptionnet"}, "DeCLIP has no conv-20 decoder on CLIP:xceptionnet"),
        ({"layer": 24}, "CLIP:ViT-L/14 has no layer24: it has layer0 to layer23"),
        ({"arch": RESNET, "layer": 0}, "CLIP:RN50 has no layer0: it has layer1 to layer4"),
        ({"arch": RESNET, "decoder": "linear"}, "reads CLIP:ViT-L/14 alone, not CLIP:RN50"),
        ({"layer": "20"}, "layer and channels are whole numbers"),
        ({"width": 3}, "does not describe a decoder"),
    ],
)
def test_other_decoders_are_refused(config: dict[str, object], message: str) -> None:
    whole = {"arch": VIT, "layer": 20, "decoder": "conv-20", "channels": 1024}
    with pytest.raises(ModelError, match=message.replace("(", r"\(")):
        localizer_family("declip").untrained({**whole, **config})


@pytest.mark.parametrize(
    ("layer", "channels", "fits"),
    [(1, 64, True), (2, 64, True), (3, 64, False), (1, 128, False)],
    ids=["fits", "last block", "no such block", "another width"],
)
def test_a_decoder_fits_encoders_of_its_depth_and_width(layer: int, channels: int, fits: bool) -> None:
    encoder, family = ClipEncoder.from_state(random_clip(**SMALL)), localizer_family("declip")
    decoder = _meta("conv-4", VIT, layer, channels)
    assert family.fits(decoder, [encoder]) is fits
    assert not family.fits(decoder, [])
    assert not family.fits(_meta("conv-4", RESNET, layer, channels), [encoder]), "it has no stages"
    assert StageMap(1) in _meta("conv-4", RESNET, 1, 256).reads[0]


# ---- published files


def test_the_published_layout_loads_strictly(tmp_path: Path) -> None:
    """Full size, 142 tensors, beside the state of the optimiser and what the run was told."""
    entry = CATALOG["declip-ldm"]
    assert entry.shape == DeclipShape(VIT, 20, "conv-20", 1024)
    torch.manual_seed(6)
    with torch.device("meta"):
        sizes = make_decoder("conv-20", VIT, 20, 1024).state_dict()
    written = {
        name: torch.tensor(7) if "batches" in name else torch.rand(tensor.shape) / 100
        for name, tensor in sizes.items()
    }
    path = tmp_path / "ViT_layer20_conv-20_ldm.pth"
    state = {0: {"step": torch.tensor(3.0), "exp_avg": torch.rand(3), "exp_avg_sq": torch.rand(3)}}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "foreach": None, "amsgrad": False, "params": [0]}]
    torch.save(
        {
            "model": OrderedDict(written),
            "optimizer": {"state": state, "param_groups": groups},
            "total_steps": 1234,
            "feature_layer": "layer20",
            "decoder_type": "conv-20",
        },
        path,
    )
    checkpoint = localizer_family("declip").from_published(path, entry)
    assert len(checkpoint.tensors) == 142
    installed = tmp_path / "declip-ldm.safetensors"
    installed.write_bytes(checkpoint.to_bytes())
    assert installed.stat().st_size == pytest.approx(entry.size, rel=1e-3)
    read, _ = read_localizer_checkpoint(installed)
    decoder = with_weights(localizer_family("declip").untrained(read.config), read.tensors)
    loaded = decoder.state_dict()
    assert loaded.keys() == written.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in written.items())
    assert read.facts == {
        "model": "declip-ldm",
        "published_file": path.name,
        "published_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert read.encoders == {"clip-vit-l14": CATALOG["clip-vit-l14"].pin.digest}
    assert (read.tile, read.threshold, read.alarm_area) == (TileSpec(256, 224, 128), 0.5, None)


LINEAR = DeclipShape(VIT, 20, "linear", 1024)
ENTRY = replace(CATALOG["declip-ldm"], shape=LINEAR)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"feature_layer": "layer22"},
            "a.pth holds a decoder linear on layer22; declip-ldm is linear on layer20",
        ),
        (
            {"decoder_type": "conv-20"},
            "a.pth holds a decoder conv-20 on layer20; declip-ldm is linear on layer20",
        ),
        ({"feature_layer": None}, "a.pth holds a decoder linear on None; declip-ldm is linear on layer20"),
        ({"decoder_type": "x\x1b[2J" * 3}, "a.pth holds a decoder x\\x1b[2Jx\\x1b[2Jx\\x1b[2J on layer20"),
        ({"model": {"fc.0.weight": torch.zeros(1, 1024)}}, "fc.0.bias missing"),
        ({"model": {}}, "fc.0.weight, fc.0.bias missing"),
        (
            {
                "model": {
                    "fc.0.weight": torch.zeros(1, 1024),
                    "fc.0.bias": torch.zeros(1),
                    "fc.1.bias": torch.zeros(1),
                }
            },
            "fc.1.bias unexpected",
        ),
        (
            {
                "model": {
                    "fc.0.weight": torch.zeros(1, 1024),
                    "fc.0.bias": torch.zeros(1),
                    "model.visual.proj": torch.zeros(1),
                }
            },
            "model.visual.proj unexpected",
        ),
        (
            {"model": {"fc.0.weight": torch.zeros(1, 512), "fc.0.bias": torch.zeros(1)}},
            "fc.0.weight of another shape",
        ),
        (
            {"model": {"fc.0.weight": torch.full((1, 1024), torch.nan), "fc.0.bias": torch.zeros(1)}},
            "fc.0.weight not finite",
        ),
        ({"model": torch.zeros(1)}, "it holds no state of a network under the name 'model'"),
        ({"model": {"fc.0.weight": "text"}}, "the entry 'fc.0.weight' is not a tensor"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_other_published_files_are_refused(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    path = published_file(tmp_path / "a.pth", LINEAR, **other)
    with pytest.raises(ModelError) as refused:
        localizer_family("declip").from_published(path, ENTRY)
    assert message in refused.value.message


class _Evil:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 3",)


def test_a_published_file_can_not_run_code(tmp_path: Path) -> None:
    path = published_file(tmp_path / "a.pth", LINEAR, optimizer=_Evil())
    with pytest.raises(ModelError, match=r"its pickle asks for (posix|nt)\.system"):
        localizer_family("declip").from_published(path, ENTRY)


@pytest.mark.parametrize("change", ["missing", "surplus", "float"])
def test_counters_of_batches_are_checked_too(tmp_path: Path, change: str) -> None:
    shape = DeclipShape(RESNET, 1, "conv-4", 4)
    state = make_decoder("conv-4", RESNET, 1, 4).state_dict()
    if change == "missing":
        del state["fc.1.num_batches_tracked"]
    elif change == "surplus":
        state["fc.0.num_batches_tracked"] = torch.tensor(0)
    else:
        state["fc.1.num_batches_tracked"] = torch.tensor(0.5)
    path = published_file(tmp_path / "a.pth", shape, model=state)
    with pytest.raises(ModelError, match="its counters of batches are not as published"):
        localizer_family("declip").from_published(path, replace(ENTRY, shape=shape))


def test_the_nine_published_files_are_in_the_catalog() -> None:
    entries = [entry for entry in CATALOG.values() if entry.kind == "localizer" and entry.family == "declip"]
    assert [entry.name for entry in entries] == [
        *("declip-pluralistic", "declip-lama", "declip-repaint-p2", "declip-ldm", "declip-cocosd"),
        *("declip-fusion-pluralistic", "declip-fusion-lama", "declip-fusion-repaint-p2", "declip-fusion-ldm"),
    ]
    for entry in entries:
        assert entry.licence == "CC BY-NC-SA 4.0"
        assert entry.terms
        assert not entry.is_pinned
        assert isinstance(entry.shape, DeclipShape)
        parameters = sum(math.prod(size) for size in decoder_sizes(entry.shape).values())
        assert entry.size == pytest.approx(4 * parameters, rel=1e-2)
        assert entry.download_size == pytest.approx(3 * entry.size, rel=1e-2), "with the state of Adam"
        assert entry.encoders == (
            ("clip-vit-l14", "clip-rn50") if "fusion" in entry.name else ("clip-vit-l14",)
        )
    with pytest.raises(
        ModelError, match=r"no digest of ViT_layer20\+RN50_layer3_conv-20_ldm.pth is published"
    ):
        _ = CATALOG["declip-fusion-ldm"].pin
