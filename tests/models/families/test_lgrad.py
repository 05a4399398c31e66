"""LGrad: gradients of a discriminator in float64, the two published files, and scans with both."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sample_images import photo
from sample_published import discriminator_state, resnet50_state
from torch import Tensor
from torch.nn import functional
from torchvision.models import resnet50

from sidscan.errors import ModelError
from sidscan.models.backbones.gradient_resnet import gradient_pictures
from sidscan.models.catalog import CATALOG
from sidscan.models.families import detector_family, encoder_family
from sidscan.models.shapes import DiscriminatorShape

MEAN = torch.tensor((0.485, 0.456, 0.406)).view(3, 1, 1)
STD = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
SMALL = DiscriminatorShape(4, 32)
STYLEGAN = encoder_family("stylegan")
LGRAD = detector_family("lgrad")


def _value(state: Mapping[str, Tensor], pixels: Tensor) -> Tensor:
    """What the discriminator says of one image (3, 256, 256) of -1..1, in float64, by its equations."""
    w = {name: tensor.double() for name, tensor in state.items()}

    def layer(x: Tensor, name: str, gain: float = 2.0) -> Tensor:
        kernel = w[f"{name}.weight"]
        kernel = kernel * math.sqrt(gain / kernel[0].numel())
        if kernel.dim() == 2:
            return kernel @ x.flatten() + w[f"{name}.bias"]
        x = functional.conv2d(x[None], kernel, padding=kernel.shape[-1] // 2)[0]
        return x + w[f"{name}.bias"].view(-1, 1, 1)

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    x = leaky(layer(pixels, "input0"))
    for number in range(6):
        x = leaky(layer(x, f"layer{2 * number}"))
        wide, side = functional.pad(x, (1, 1, 1, 1)), x.shape[1]
        shifted = torch.stack([wide[:, i : i + side, j : j + side] for i in range(3) for j in range(3)])
        x = torch.tensordot(torch.tensor((1, 2, 1, 2, 4, 2, 1, 2, 1)).double() / 16, shifted, 1)
        x = layer(x, f"layer{2 * number + 1}")
        x = leaky((x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4)
    batch = x[None]  # of one image: its deviation from itself is nothing
    deviation = (((batch - batch.mean(dim=0)) ** 2).mean(dim=0) + 1e-8).sqrt().mean()
    x = leaky(layer(torch.cat([x, deviation.expand(1, 4, 4)]), "layer12"))
    return layer(leaky(layer(x, "layer13")), "layer14", gain=1.0).sum()


def _gradient(state: Mapping[str, Tensor], image: Tensor) -> Tensor:
    pixels = (image.double() / 127.5 - 1).requires_grad_()
    (gradient,) = torch.autograd.grad(_value(state, pixels), pixels)
    return gradient


def _picture(gradient: Tensor) -> NDArray[np.float64]:
    """As the authors save it: NumPy rounds as OpenCV does."""
    array: NDArray[np.float64] = gradient.numpy()
    scaled = (array - array.min()) / (array.max() - array.min()) * 255
    return np.asarray(np.rint(scaled), np.float64)


def _logit(state: Mapping[str, Tensor], picture: NDArray[np.float64]) -> float:
    """torchvision's network of a picture; tests of CNNDetection compare the same network in float64."""
    with torch.device("meta"):
        network = resnet50(num_classes=1)
    network.load_state_dict(dict(state), strict=True, assign=True)
    with torch.inference_mode():
        return float(network.eval()((torch.from_numpy(picture).float()[None] / 255 - MEAN) / STD))


def _images(count: int) -> Tensor:
    pixels = np.stack([np.asarray(photo(256, 256, seed=seed)) for seed in range(count)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def discriminator() -> dict[str, Tensor]:
    return discriminator_state(4, 32)


@pytest.fixture(scope="module")
def classifier() -> dict[str, Tensor]:
    return resnet50_state(2)


def test_gradients_equal_a_computation_in_float64(discriminator: dict[str, Tensor]) -> None:
    """In inference mode, as scans compute; each image as if it were alone, to the bit."""
    network = STYLEGAN.network(STYLEGAN.normalise(discriminator))
    images = _images(2)
    with torch.inference_mode():
        read = network.read(images, {"gradient"})["gradient"]
        alone = network.read(images[1:], {"gradient"})["gradient"]
    assert torch.equal(read[1:], alone)
    assert read.dtype == torch.float32
    for image, found in zip(images, read, strict=True):
        expected = _gradient(discriminator, image)
        assert expected.abs().max() > 1e-6
        torch.testing.assert_close(
            found.double(), expected, rtol=1e-4, atol=float(expected.abs().max()) * 1e-5
        )
    with pytest.raises(ValueError, match="has its gradient and nothing else"):
        network.read(images, {"embedding"})


def test_the_gradient_is_what_a_step_changes(discriminator: dict[str, Tensor]) -> None:
    """Central differences of the float64 value, at pixels on an edge and within."""
    (image,) = _images(1)
    pixels, expected = image.double() / 127.5 - 1, _gradient(discriminator, image)
    for place in ((0, 0, 0), (1, 128, 37), (2, 255, 200)):
        step = torch.zeros_like(pixels)
        step[place] = 1e-5
        change = _value(discriminator, pixels + step) - _value(discriminator, pixels - step)
        assert float(change / 2e-5) == pytest.approx(float(expected[place]), rel=1e-4, abs=1e-9)


def test_pictures_of_gradients() -> None:
    """The range is that of all channels of an image; halves go to even; no differences, no light."""
    gradients = torch.zeros(2, 3, 1, 2)
    gradients[0] = torch.tensor([-1.0, 509.0, 0.0, 2.0, 4.0, 6.0]).view(3, 1, 2)
    assert gradient_pictures(gradients)[0].flatten().tolist() == [0, 255, 0, 2, 2, 4]
    assert gradient_pictures(gradients)[1].flatten().tolist() == [0] * 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("input3.bias"),
            "not a StyleGAN discriminator of 256 x 256 pixels: input3.bias missing",
        ),
        (lambda t: t.update({"input7.bias": torch.zeros(1)}), "input7.bias unexpected"),
        (lambda t: t.update({"layer13.bias": torch.zeros(3)}), "layer13.bias of another shape"),
        (lambda t: t.pop("layer14.weight"), "layer14.weight is missing"),
        (lambda t: t.update({"lod": torch.tensor(2.0)}), "lod is 2, so its training had not reached"),
    ],
    ids=["missing", "surplus", "another size", "without end", "of the middle of training"],
)
def test_other_discriminators_are_refused(
    discriminator: dict[str, Tensor], change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    tensors = dict(discriminator)
    change(tensors)
    with pytest.raises(ModelError, match=message):
        STYLEGAN.normalise(tensors)


def test_the_published_shape() -> None:
    """Twice the channels for half the side, up to 512 (Karras et al., ICLR 2018, table 2)."""
    shape = CATALOG["stylegan-discriminator"].shape
    assert isinstance(shape, DiscriminatorShape)
    assert [shape.width(side) for side in shape.sides] == [64, 128, 256, 512, 512, 512, 512]


def test_two_imported_files_scan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sidscan: Callable[..., Any],
    discriminator: dict[str, Tensor],
    classifier: dict[str, Tensor],
) -> None:
    small = replace(CATALOG["stylegan-discriminator"], shape=SMALL)
    monkeypatch.setattr("sidscan.models.store.CATALOG", {**CATALOG, small.name: small})
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    one, other = tmp_path / "LGrad-4class.pth", tmp_path / "discriminator.pth"
    torch.save(classifier, one)
    torch.save(discriminator, other)
    done = sidscan("models", "import", one, "--as", "lgrad")
    assert done.code == 0, done.err
    image, report = tmp_path / "a.png", tmp_path / "report.csv"
    photo(300, 256).save(image)
    scan = ("scan", image, "--out", report, "--model", "lgrad", "--device", "cpu")
    done = sidscan(*scan)
    assert done.code == 4
    assert "stylegan-discriminator, which lgrad reads, is not installed" in done.err
    done = sidscan("models", "import", other, "--as", "stylegan-discriminator")
    assert done.code == 2
    assert "comes under CC BY-NC 4.0, which nobody accepted" in done.err
    done = sidscan("models", "import", other, "--as", "stylegan-discriminator", "--accept-licence")
    assert done.code == 0, done.err
    done = sidscan(*scan)
    assert done.code == 0, done.err
    with report.open(newline="") as file:
        (row,) = csv.DictReader(file)
    resized = np.array(Image.open(image).resize((256, 256), Image.Resampling.BILINEAR))
    picture = _picture(_gradient(discriminator, torch.from_numpy(resized).permute(2, 0, 1)))
    assert float(row["logit"]) == pytest.approx(_logit(classifier, picture), abs=1e-3)
    assert row["model_input"] == "resized to 256 x 256 px (bilinear)"
    assert row["model_provenance"].count("its digest when it was first installed") == 2
    done = sidscan("export-onnx", "--model", "lgrad")
    assert done.code == 2
    assert "; graphs read crops of 224 x 224 pixels\nScan with PyTorch: " in done.err
