"""The bundled detector: its encoder, its file, its card."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import sidscan.weights
from sidscan import ScanConfig, scan
from sidscan.models.backbones.mini import (
    CONTENT_POWER,
    MAX_DEVIATIONS,
    MiniEncoder,
    content_span,
    dct_filters,
    halve,
)
from sidscan.models.backbones.mini_patterns import (
    NUM_COLOUR_CLASSES,
    NUM_PATTERNS,
    NUM_TEXTURE_CLASSES,
    box_sums,
    cooccurrence,
    first_index,
    pad_frames,
    pattern_classes,
    pattern_shares,
)
from sidscan.models.families.mini import mini_networks
from sidscan.models.heads.rine import RineHead
from sidscan.training.mini.card_text import render_card
from sidscan.training.mini.fit import (
    MiniNetwork,
    WindowFeatures,
    compute_evidence,
    fit_detector,
    moments,
    pool_scores,
    pooling_head,
)
from sidscan.training.mini.train import (
    MINI_ABSTENTION,
    load_weights,
    save_weights,
    score_window,
)

WEIGHTS = Path(sidscan.weights.__path__[0])


def crops(count: int, side: int = 224) -> Tensor:
    """Smooth colour fields with noise, never black at the border, (count, 3, side, side) uint8."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 180 + 30
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (smooth + 8 * torch.randn(smooth.shape, generator=generator)).clamp(1, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def shipped() -> MiniNetwork:
    encoder, head, _ = load_weights(WEIGHTS / "mini.safetensors")
    return encoder, head


@torch.inference_mode()
@pytest.mark.parametrize("shape", [(224, 224), (96, 300), (65, 64)], ids=["crop", "wide", "odd"])
def test_features_have_the_stated_shape(shipped: MiniNetwork, shape: tuple[int, int]) -> None:
    encoder, head = shipped
    features = encoder(crops(2, 300)[:, :, : shape[0], : shape[1]])
    assert features.shape == (2, encoder.num_blocks, encoder.embed_dim)
    assert features.dtype == torch.float32
    assert head(features).shape == (2,)


@torch.inference_mode()
def test_a_crop_does_not_depend_on_its_neighbours(shipped: MiniNetwork) -> None:
    encoder, _ = shipped
    batch = crops(3)
    torch.testing.assert_close(encoder(batch)[1:2], encoder(batch[1:2]), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_zero_padding_changes_nothing(shipped: MiniNetwork) -> None:
    encoder, _ = shipped
    image = crops(1, 128)
    padded = torch.nn.functional.pad(image, (48, 48, 48, 48))  # centred, as in a scan
    for small, large in zip(
        encoder.compute_statistics(image)[0], encoder.compute_statistics(padded)[0], strict=True
    ):
        torch.testing.assert_close(small, large, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_a_small_image_counts_less(shipped: MiniNetwork) -> None:
    encoder, _ = shipped
    image = crops(1, 112)
    padded = torch.nn.functional.pad(image, (56, 56, 56, 56))
    _, content_weight = encoder.compute_statistics(padded)
    assert float(content_weight) == pytest.approx(0.25**CONTENT_POWER)
    torch.testing.assert_close(encoder(padded), encoder(image) * content_weight, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("side", [224, 8, 1], ids=["black", "tiny", "pixel"])
def test_images_without_content_give_finite_logits(shipped: MiniNetwork, side: int) -> None:
    encoder, head = shipped
    black = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    black[:, :, 100 : 100 + side % 224, 100 : 100 + side % 224] = 77
    assert head(encoder(black)).isfinite().all()


def test_content_span_fills_gaps_and_excludes_borders() -> None:
    lit = torch.tensor([[0.0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 1]])
    expected = torch.tensor([[0.0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    assert torch.equal(content_span(lit), expected)


def test_patterns_are_merged_by_meaning() -> None:
    textures, colours = pattern_classes(reversible=True), pattern_classes(reversible=False)
    assert (textures.shape, colours.shape) == (
        (NUM_PATTERNS, NUM_TEXTURE_CLASSES),
        (NUM_PATTERNS, NUM_COLOUR_CLASSES),
    )
    assert (textures.sum(dim=1) == 1).all()

    def number(*pattern: int) -> int:
        return (pattern[0] + 2) * 25 + (pattern[1] + 2) * 5 + pattern[2] + 2

    same = [number(2, 0, -1), number(-1, 0, 2), number(-2, 0, 1), number(1, 0, -2)]
    assert len({int(textures[pattern].argmax()) for pattern in same}) == 1
    assert len({int(colours[pattern].argmax()) for pattern in same}) == 2


def test_patterns_are_counted_inside_the_content_only() -> None:
    first, second, third = (torch.tensor([[[0.0, 1.0, 2.0]]]) - shift for shift in (0, 1, 2))
    shares = pattern_shares(first, second, third, torch.tensor([[[1.0, 0.0, 1.0]]]))
    assert shares.sum() == 1
    assert shares[0, (0 + 2) * 25 + (-1 + 2) * 5 + (-2 + 2)] == 0.5
    assert shares[0, (2 + 2) * 25 + (1 + 2) * 5 + (0 + 2)] == 0.5


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["colour", "grey", "grey_noise"])
def test_another_precision_or_order_of_sums_changes_nothing(shipped: MiniNetwork, kind: str) -> None:
    """ONNX Runtime, CUDA and PyTorch sum in different orders, but must compute the same statistics."""
    encoder, head = shipped
    pixels = crops(4)
    if kind.startswith("grey"):
        pixels = pixels[:, :1].expand(-1, 3, -1, -1).clone()
    if kind == "grey_noise":
        pixels = torch.randint(0, 256, (4, 1, 224, 224), dtype=torch.uint8).expand(-1, 3, -1, -1).clone()
    exact = copy.deepcopy(encoder).double()
    statistics = encoder.compute_statistics(pixels)[0], exact.compute_statistics(pixels)[0]
    for group, single, double, spread in zip(
        encoder.feature_groups, *statistics, encoder.spread, strict=True
    ):
        assert ((single - double).abs() / spread).max() < 5e-3, group
    logits = copy.deepcopy(head).double()(exact(pixels))
    torch.testing.assert_close(head(encoder(pixels)).double(), logits, atol=2e-4, rtol=0)


def test_box_sums_are_over_seven_neighbours() -> None:
    values = torch.randn(2, 12, 17)
    expected = 49 * torch.nn.functional.avg_pool2d(values[:, None], 7, 1)[:, 0]
    torch.testing.assert_close(box_sums(box_sums(values, 1), 2), expected)


@pytest.mark.parametrize("stride", [1, 3, 5])
@pytest.mark.parametrize("orders", [(1, 0), (0, 2), (2, 2)])
def test_cooccurrence_counts_every_nth_row_of_the_content(orders: tuple[int, int], stride: int) -> None:
    """Compared with a computation without frames, one difference at a time."""
    luma = torch.randint(0, 64, (1, 47, 41), generator=torch.Generator().manual_seed(5)) / 4
    rows, columns = torch.ones(1, 47), torch.ones(1, 41)
    rows[:, :6] = columns[:, 33:] = 0  # padding, whatever pixels it has
    frames = pad_frames(luma, rows, columns, [(1, 1), orders], stride)
    for shares, down in ((cooccurrence(frames), False), (cooccurrence(frames.transposed()), True)):
        values = luma[0, 6:, :33].double()  # the content alone
        first = first_index((41 if down else 47) - orders[down], stride) - (0 if down else 6)
        values = values.diff(orders[0], 0).diff(orders[1], 1) / (4 if min(orders) else 1)
        values = values.T if down else values
        near = torch.nn.functional.avg_pool2d(values.abs()[None], 7, 1, padding=3)[0] + 0.3
        counts = torch.zeros(5, 5, 5)
        for row in range(first % stride, values.shape[0], stride):
            rounded = (values[row] / near[row]).round().clamp(-2, 2).long() + 2
            for pattern in zip(rounded, rounded[1:], rounded[2:], strict=False):
                counts[pattern] += 1
        torch.testing.assert_close(shares[0, 1], counts.flatten() / counts.sum(), atol=1e-3, rtol=0)


def integer_image(kind: str) -> Tensor:
    """Images computed in integers alone, the same on every machine, (1, 3, h, w) uint8."""
    height, width = {"odd": (131, 67), "small": (40, 43)}.get(kind, (224, 224))
    y, x, c = torch.meshgrid(torch.arange(height), torch.arange(width), torch.arange(3), indexing="ij")
    hashed = ((y * 7919 + x * 104729 + c * 1299709) ** 2 // 64) % 97
    image = 90 + 60 * ((x // 32 + y // 24) % 2) + (x * (c + 1) + 2 * y) // 9 % 40 + hashed // 6
    if kind == "noise":
        image = 2 * hashed
    if kind == "padded":
        image[:30], image[:, 180:] = 0, 0
    return image.clamp(0, 255).to(torch.uint8).permute(2, 0, 1)[None]


# The values that the encoder of version 5 computed from them when it was first shipped: for every feature
# group the sum of its statistics, each times the sine of its index; and the logit.
EXPECTED: dict[str, tuple[list[float], float]] = {
    "plain": (
        [
            3.6232,
            1.1238,
            -6.0818,
            -0.1415,
            -0.1401,
            3.0238,
            4.6570,
            -9.1295,
            -0.0885,
            -0.1077,
            1.3696,
            2.4472,
            -20.1192,
            -0.1719,
            0.1795,
            -3.5653,
        ],
        1.81821,
    ),
    "noise": (
        [
            0.8969,
            0.2827,
            -13.8307,
            -0.0859,
            -0.0568,
            1.3641,
            1.7888,
            -14.4999,
            -0.0170,
            -0.1405,
            0.4326,
            0.3672,
            -3.2890,
            -0.0109,
            0.0006,
            -0.9906,
        ],
        -1.19580,
    ),
    "padded": (
        [
            3.9370,
            0.8801,
            -5.4465,
            -0.1621,
            -0.1330,
            2.2143,
            4.3429,
            -4.9075,
            -0.1143,
            -0.1104,
            1.7454,
            2.2245,
            -15.0600,
            -0.1938,
            0.1646,
            -3.5278,
        ],
        1.70694,
    ),
    "odd": (
        [
            3.9447,
            -0.4894,
            -8.8091,
            -0.0253,
            -0.0290,
            4.1434,
            6.1766,
            -15.0639,
            -0.1628,
            -0.1428,
            0.7653,
            5.4452,
            -10.1222,
            0.1069,
            0.1367,
            -5.0632,
        ],
        2.18279,
    ),
    "small": (
        [
            4.1703,
            1.2313,
            -6.0016,
            0.4017,
            -0.2809,
            2.0462,
            2.6858,
            -3.2811,
            -0.7014,
            0.0541,
            3.8529,
            -0.2974,
            -2.2978,
            0.5420,
            0.3427,
            -55.3631,
        ],
        8.96070,
    ),
}


@torch.inference_mode()
@pytest.mark.parametrize("kind", EXPECTED)
def test_statistics_match_the_shipped_weights(shipped: MiniNetwork, kind: str) -> None:
    encoder, head = shipped
    statistics, _ = encoder.compute_statistics(integer_image(kind))
    sums = [
        float((group[0].double() * torch.arange(1, group.shape[1] + 1).sin()).sum()) for group in statistics
    ]
    expected, logit = EXPECTED[kind]
    torch.testing.assert_close(sums, expected, atol=2e-4, rtol=1e-5)
    assert float(head(encoder(integer_image(kind)))) == pytest.approx(logit, abs=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("height", [224, 100])
def test_a_mirror_image_has_the_same_statistics(height: int) -> None:
    encoder = MiniEncoder().eval()
    image = crops(2)
    image[1] = torch.randint(0, 256, (3, 224, 224), generator=torch.Generator().manual_seed(1))
    image[:, :, height:] = 0
    image[:, :, :, : 224 - height] = 0
    statistics = encoder.compute_statistics(image)[0], encoder.compute_statistics(image.flip(3))[0]
    for (level, kind), original, mirrored in zip(encoder.feature_groups, *statistics, strict=True):
        torch.testing.assert_close(original, mirrored, rtol=1e-3, atol=1e-3, msg=f"{level} {kind}")
    assert MiniEncoder.mirror_invariant


@pytest.mark.parametrize("length", [1, 2, 9, 49, 105, 217, 222, 223, 224])
@pytest.mark.parametrize("stride", [1, 3, 5, 7])
def test_strided_indices_are_symmetric(length: int, stride: int) -> None:
    indices = set(range(first_index(length, stride), length, stride))
    assert {length - 1 - index for index in indices} == indices


def test_dct_filters_are_orthonormal() -> None:
    flat = dct_filters().flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(64), rtol=0, atol=1e-6)


def test_halve_is_the_mean_of_two_by_two() -> None:
    planes = torch.rand(2, 3, 7, 10)
    torch.testing.assert_close(halve(planes), torch.nn.functional.avg_pool2d(planes, 2))


@torch.inference_mode()
@pytest.mark.parametrize("sources", [1, 5, 150])
def test_the_head_pools_the_scores(sources: int) -> None:
    generator = torch.Generator().manual_seed(sources)
    importance = torch.rand(16, sources, generator=generator)
    importance[3] = 0
    importance /= importance.sum(dim=0)
    features = 6 * torch.randn(20, 16, sources, generator=generator)
    pooled = pool_scores((features * importance).sum(dim=1))
    head = pooling_head(importance, slope=0.7, bias=-0.3)
    torch.testing.assert_close(head(features), 0.7 * pooled - 0.3, rtol=1e-4, atol=1e-4)


def test_pooling_counts_scores_above_two_and_a_quarter_of_the_mean() -> None:
    source_scores = torch.tensor([[5.0, 3.0, 0.0, 0.0], [2.0, 2.0, 2.0, 2.0], [-8.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(pool_scores(source_scores), torch.tensor([1.5, 0.5, -0.5]))


def test_training_scores_an_image_as_a_scan_does(shipped: MiniNetwork, tmp_path: Path) -> None:
    pixels = crops(1, 301)[0, :, :260].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (result,) = scan(ScanConfig(inputs=(str(tmp_path / "a.png"),), models=("mini",), device="cpu"))
    window, reported = score_window(*shipped, pixels), result.scores[0]
    assert window.logit == pytest.approx(reported.logit, abs=1e-4)
    assert window.side == 260
    reasons = MINI_ABSTENTION.because(window.side, window.detail, None, window.spread)
    assert reasons == reported.inconclusive


def window_features(repos: int = 8, each: int = 4) -> WindowFeatures:
    """Random statistics of four folds. Each synthetic repository is shifted in a different way."""
    generator = torch.Generator().manual_seed(0)
    size, windows = sum(MiniEncoder().group_sizes), repos * each
    statistics = torch.randn(windows, 2, size, generator=generator)
    repo = torch.arange(windows) // each
    labels = (repo % 2).float()
    statistics[:, :, :400] += labels[:, None, None]
    statistics[:, :, 400:800] += (labels * repo / repos)[:, None, None]
    content_weight = torch.linspace(0.5, 1, windows)[:, None].expand(-1, 2)
    return WindowFeatures(statistics.half(), content_weight, labels, torch.ones(windows), repo // 2, repo)


def test_moments_of_parts_add_up_to_those_of_the_whole() -> None:
    data, encoder = window_features(), MiniEncoder()
    whole = moments(encoder, data)
    parts = moments(encoder, data.where(data.folds < 2)) + moments(encoder, data.where(data.folds >= 2))
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts.covariance, whole.covariance, rtol=1e-3, atol=1e-3)
    values = data.statistics.float().flatten(0, 1).clamp(-MAX_DEVIATIONS, MAX_DEVIATIONS)
    torch.testing.assert_close(whole.covariance, torch.cov(values.T, correction=0), rtol=1e-2, atol=1e-2)


@torch.inference_mode(False)
def test_a_fit_separates_its_training_data_and_its_head_agrees() -> None:
    data = window_features()
    encoder, head = fit_detector(data)
    assert encoder.embed_dim == 4
    features = encoder.embed(list(torch.split(data.statistics[:, 0].float(), encoder.group_sizes, dim=1)))
    logits = head(features * data.content_weight[:, :1, None])
    assert logits[data.labels > 0].min() > logits[data.labels == 0].max()
    importance = head.alpha[0, :, : encoder.embed_dim].softmax(dim=0)
    line = torch.stack([compute_evidence(encoder, importance, data)[:, 0], torch.ones(len(logits))], dim=1)
    solved = torch.linalg.lstsq(line, logits[:, None].detach()).solution
    torch.testing.assert_close(line @ solved, logits[:, None].detach(), rtol=1e-3, atol=1e-3)


def test_shipped_file_loads_strictly_into_the_default_network() -> None:
    tensors = load_file(WEIGHTS / "mini.safetensors")
    head_state = {n[5:]: t for n, t in tensors.items() if n.startswith("head.")}
    encoder = MiniEncoder(embed_dim=head_state["proj1.1.weight"].shape[1])
    encoder.load_state_dict({n[8:]: t for n, t in tensors.items() if n.startswith("encoder.")}, strict=True)
    head = RineHead.shaped_like(head_state)
    head.load_state_dict(head_state, strict=True)
    assert (head.num_blocks, head.embed_dim) == (encoder.num_blocks, encoder.embed_dim)


def test_saving_the_shipped_file_again_gives_equal_bytes(tmp_path: Path) -> None:
    encoder, head, metadata = load_weights(WEIGHTS / "mini.safetensors")
    for _ in range(5):  # a random order would differ in at least one of them
        save_weights(tmp_path / "again.safetensors", encoder, head, dict(reversed(metadata.items())))
        assert (tmp_path / "again.safetensors").read_bytes() == (WEIGHTS / "mini.safetensors").read_bytes()


def test_a_file_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    tensors = load_file(WEIGHTS / "mini.safetensors")
    del tensors["encoder.certainty_power"]
    with pytest.raises(RuntimeError, match="certainty_power"):
        mini_networks(tensors)


def test_card_describes_the_shipped_file() -> None:
    card = json.loads((WEIGHTS / "mini.json").read_text(encoding="utf-8"))
    weights = WEIGHTS / "mini.safetensors"
    assert card["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["threshold"] == float(load_weights(weights)[2]["threshold"])
    assert (WEIGHTS / "mini.md").read_text(encoding="utf-8") == render_card(card)
