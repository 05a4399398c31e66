"""CLIP's residual network: its stages in float64, and weights that are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor
from torch.nn import functional

from sidscan.errors import ModelError
from sidscan.models.backbones import StageMap
from sidscan.models.backbones.resnet import ResNetEncoder
from sidscan.models.catalog import CATALOG
from sidscan.models.families import encoder_family
from sidscan.models.families.clip_resnet import resnet_sizes
from sidscan.models.shapes import ResNetShape

FAMILY = encoder_family("clip_resnet")
SHAPE = ResNetShape((1, 2, 1, 1), 8, 16)
MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).double().view(3, 1, 1)
STD = torch.tensor((0.26862954, 0.26130258, 0.27577711)).double().view(3, 1, 1)


def _published(seed: int = 0) -> dict[str, Tensor]:
    """Seeded weights as OpenAI lays them out, a text tower and counters beside them."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, size in resnet_sizes(SHAPE, 7).items():
        if name.endswith("running_var"):
            tensors[name] = 0.5 + torch.rand(size, generator=generator)
        else:
            scale = (2 / max(torch.Size(size[1:]).numel(), 1)) ** 0.5 if len(size) > 1 else 0.3
            tensors[name] = torch.randn(size, generator=generator) * scale
            if "bn" in name and name.endswith("weight"):
                tensors[name] += 1
    visual = {f"visual.{name}": tensor for name, tensor in tensors.items()}
    return {**visual, "visual.bn1.num_batches_tracked": torch.tensor(9), "token_embedding": torch.zeros(2)}


def _crops() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=generator)


def _expected(tensors: dict[str, Tensor], crops: Tensor) -> list[Tensor]:
    """The maps after the four stages, in float64."""
    w = {name.removeprefix("visual."): tensor.double() for name, tensor in tensors.items()}

    def conv(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        kernel = w[f"{name}.weight"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        mean, var = (w[f"{norm}.running_{part}"].view(-1, 1, 1) for part in ("mean", "var"))
        x = (x - mean) / (var + 1e-5).sqrt()
        return x * w[f"{norm}.weight"].view(-1, 1, 1) + w[f"{norm}.bias"].view(-1, 1, 1)

    def pooled(x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        return x.reshape(b, c, height // 2, 2, width // 2, 2).mean(dim=(3, 5))

    x = (crops.double() / 255 - MEAN) / STD
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        x = conv(x, f"conv{number}", f"bn{number}", stride).clamp(min=0)
    x, stages = pooled(x), []
    for stage, blocks in enumerate(SHAPE.layers, start=1):
        for number in range(blocks):
            name, shrinks = f"layer{stage}.{number}", stage > 1 and number == 0
            inner = conv(x, f"{name}.conv1", f"{name}.bn1").clamp(min=0)
            inner = conv(inner, f"{name}.conv2", f"{name}.bn2").clamp(min=0)
            inner = conv(pooled(inner) if shrinks else inner, f"{name}.conv3", f"{name}.bn3")
            if number == 0:
                x = conv(pooled(x) if shrinks else x, f"{name}.downsample.0", f"{name}.downsample.1")
            x = (inner + x).clamp(min=0)
        stages.append(x)
    return stages


def test_stages_equal_a_computation_in_float64() -> None:
    tensors = _published()
    encoder = FAMILY.network(FAMILY.normalise(tensors))
    wanted = {StageMap(stage) for stage in (1, 2, 3, 4)}
    with torch.inference_mode():
        read = encoder.read(_crops(), wanted)
    for stage, expected in enumerate(_expected(tensors, _crops()), start=1):
        found = read[StageMap(stage)]
        assert found.shape[1:] == (32 * 2 ** (stage - 1), *(56 // 2 ** (stage - 1),) * 2)
        assert found.shape[1] == encoder.width_of(StageMap(stage))
        assert expected.abs().max() > 0.5
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("stage", [1, 3])
def test_nothing_is_computed_above_the_stage(stage: int) -> None:
    encoder, ran = FAMILY.network(FAMILY.normalise(_published())), list[int]()
    assert isinstance(encoder, ResNetEncoder)
    for number in (1, 2, 3, 4):
        layer = getattr(encoder.visual, f"layer{number}")
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    with torch.inference_mode():
        encoder.read(_crops()[:1], {StageMap(stage)})
    assert ran == list(range(1, stage + 1))


def test_it_has_no_other_features() -> None:
    encoder = FAMILY.network(FAMILY.normalise(_published()))
    with pytest.raises(ValueError, match="has maps after its stages and nothing else"):
        encoder.read(_crops()[:1], {"blocks"})
    assert encoder.width_of("blocks") is encoder.width_of(StageMap(5)) is None


def test_the_table_of_tensors_is_open_clips() -> None:
    shape = CATALOG["clip-rn50"].shape
    assert isinstance(shape, ResNetShape)
    with torch.device("meta"):
        network = ModifiedResNet(list(shape.layers), shape.output_dim, heads=32)
    sizes = {
        name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if "batches" not in name
    }
    assert resnet_sizes(shape, 7) == sizes
    assert FAMILY.shape(network.state_dict()) == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("visual.layer4.0.bn3.bias"), "layer4.0.bn3.bias missing"),
        (
            lambda tensors: tensors.update({"visual.layer5.0.x": torch.zeros(1)}),
            "layer5.0.x unexpected",
        ),
        (
            lambda tensors: tensors.update({"visual.bn1.bias": torch.zeros(3)}),
            "bn1.bias of another shape",
        ),
        (lambda tensors: tensors.pop("visual.conv3.weight"), "conv3.weight is missing"),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors) if ".layer1." in name],
            r"hold no CLIP residual network",
        ),
    ],
    ids=["missing", "surplus", "another size", "no stem", "something else"],
)
def test_other_weights_are_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    tensors = _published()
    change(tensors)
    with pytest.raises(ModelError, match=message):
        FAMILY.normalise(tensors)
