"""The bundled detector: its encoder, its file, its card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import sidscan.weights
from sidscan import ScanConfig, scan
from sidscan.models.backbones.mini import MiniEncoder, content_span, dct_filters, halved
from sidscan.models.heads import RineHead
from sidscan.training.card_text import render
from sidscan.training.mini import load, mean_logit, tournament_head

Network: TypeAlias = tuple[MiniEncoder, RineHead]
WEIGHTS = Path(sidscan.weights.__path__[0])


def crops(count: int, side: int = 224) -> Tensor:
    """Smooth colour fields with noise, never black at the border, (count, 3, side, side) uint8."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 180 + 30
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (smooth + 8 * torch.randn(smooth.shape, generator=generator)).clamp(1, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def shipped() -> Network:
    encoder, head, _ = load(WEIGHTS / "mini.safetensors")
    return encoder, head


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(224, 224), (96, 300), (65, 64)], ids=["crop", "wide", "odd"])
def test_features_have_the_stated_shape(shipped: Network, shape: tuple[int, int]) -> None:
    encoder, head = shipped
    features = encoder(crops(2, 300)[:, :, : shape[0], : shape[1]])
    assert features.shape == (2, encoder.blocks, encoder.width)
    assert features.dtype == torch.float32
    assert head(features).shape == (2,)


@torch.inference_mode()
def test_a_crop_does_not_depend_on_its_neighbours(shipped: Network) -> None:
    encoder, _ = shipped
    batch = crops(3)
    torch.testing.assert_close(encoder(batch)[1:2], encoder(batch[1:2]), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_zero_padding_changes_nothing(shipped: Network) -> None:
    encoder, _ = shipped
    picture = crops(1, 128)
    padded = torch.nn.functional.pad(picture, (0, 96, 0, 96))
    for small, large in zip(encoder.describe(picture), encoder.describe(padded), strict=True):
        torch.testing.assert_close(small, large, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("side", [224, 8, 1], ids=["black", "tiny", "pixel"])
def test_pictures_without_content_give_finite_logits(shipped: Network, side: int) -> None:
    encoder, head = shipped
    black = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    black[:, :, 100 : 100 + side % 224, 100 : 100 + side % 224] = 77
    assert head(encoder(black)).isfinite().all()


def test_content_span_fills_gaps_and_keeps_borders_out() -> None:
    lit = torch.tensor([[0.0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]])
    expected = torch.tensor([[0.0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    assert torch.equal(content_span(lit), expected)


def test_dct_filters_are_orthonormal() -> None:
    flat = dct_filters().flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(64), rtol=0, atol=1e-6)


def test_halved_is_the_mean_of_two_by_two() -> None:
    planes = torch.rand(2, 3, 7, 10)
    torch.testing.assert_close(halved(planes), torch.nn.functional.avg_pool2d(planes, 2))


@torch.inference_mode()
@pytest.mark.parametrize("schools", [1, 5, 16])
def test_the_head_is_the_highest_reading(schools: int) -> None:
    generator = torch.Generator().manual_seed(schools)
    importance = torch.rand(12, schools, generator=generator)
    importance /= importance.sum(dim=0)
    features = 3 * torch.randn(20, 12, schools, generator=generator)
    highest = (features * importance).sum(dim=1).amax(dim=1)
    head = tournament_head(importance, slope=0.7, bias=-0.3)
    torch.testing.assert_close(head(features), 0.7 * highest - 0.3, rtol=1e-5, atol=1e-5)


def test_the_head_refuses_more_schools_than_it_can_rank() -> None:
    with pytest.raises(ValueError, match="17 schools"):
        tournament_head(torch.full((12, 17), 1 / 12), slope=1.0, bias=0.0)


def test_training_scores_a_picture_as_a_scan_does(shipped: Network, tmp_path: Path) -> None:
    pixels = crops(1, 301)[0, :, :260].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (finding,) = scan(ScanConfig(inputs=(str(tmp_path / "a.png"),), models=("mini",), device="cpu"))
    assert mean_logit(*shipped, pixels) == pytest.approx(finding.scores[0].logit, abs=1e-4)


def test_shipped_file_loads_strictly_into_the_default_network() -> None:
    tensors = load_file(WEIGHTS / "mini.safetensors")
    head_state = {n[5:]: t for n, t in tensors.items() if n.startswith("head.")}
    encoder = MiniEncoder(width=head_state["proj1.1.weight"].shape[1])
    encoder.load_state_dict({n[8:]: t for n, t in tensors.items() if n.startswith("encoder.")}, strict=True)
    head = RineHead.shaped_like(head_state)
    head.load_state_dict(head_state, strict=True)
    assert (head.blocks, head.width) == (encoder.blocks, encoder.width)


def test_card_describes_the_shipped_file() -> None:
    card = json.loads((WEIGHTS / "mini.json").read_text(encoding="utf-8"))
    weights = WEIGHTS / "mini.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["threshold"] == float(load(weights)[2]["threshold"])
    assert (WEIGHTS / "mini.md").read_text(encoding="utf-8") == render(card)
