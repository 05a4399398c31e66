"""Maps by PyTorch: preprocessing as torchvision's, and the same map however tiles are batched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sample_localizers import write_localizer
from torchvision.transforms import functional

from sidscan.models.localizers import load_localizer
from sidscan.runtimes import precision_check
from sidscan.runtimes.localizers import open_localizer
from sidscan.runtimes.pytorch_localizer import PyTorchLocalizer
from sidscan.runtimes.tiles import resized


def _tiles(count: int, height: int = 256, width: int = 256) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (301, 640), (100, 90), (224, 225)])
def test_resizing_is_torchvisions(height: int, width: int) -> None:
    """The published code resizes PIL images to 224 x 224, whatever their shape, and then scales to 0..1."""
    (tile,) = _tiles(1, height, width)
    expected = functional.to_tensor(functional.resize(Image.fromarray(tile), [224, 224]))
    ours = torch.from_numpy(resized(tile[None], 224)[0]).permute(2, 0, 1) / 255
    assert torch.equal(ours, expected)


def test_tiles_of_the_size_that_is_read_keep_their_pixels() -> None:
    tiles = _tiles(2, 224, 224)
    assert np.array_equal(resized(tiles, 224), tiles)


def test_maps_are_probabilities_whatever_the_batch(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    localizer = open_localizer(model, encoders=[encoder], device="cpu", precision="fp32")
    tiles = _tiles(5)
    together = localizer.maps(tiles)
    assert together.shape == (5, 256, 256)
    assert together.dtype == np.float32
    assert 0 <= together.min() < together.max() <= 1
    alone = np.concatenate([localizer.maps(tile[None]) for tile in tiles])
    assert np.abs(together - alone).max() <= 1e-6
    with torch.inference_mode():
        network = load_localizer(model, encoders=[encoder]).network
        logits = network(torch.from_numpy(resized(tiles, 224)).permute(0, 3, 1, 2))
    assert np.abs(together - torch.sigmoid(logits).numpy()).max() <= 1e-6


def test_a_whole_image_is_squashed(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    localizer = open_localizer(model, encoders=[encoder], device="cpu", precision="fp32")
    (image,) = _tiles(1, 300, 500)
    squashed = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR))
    assert np.array_equal(localizer.maps(image[None]), localizer.maps(squashed[None]))


@pytest.mark.parametrize(("bound", "precision"), [(0.05, "bf16"), (1e-9, "fp32")])
def test_bf16_is_used_where_it_keeps_the_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: float, precision: str
) -> None:
    monkeypatch.setattr(precision_check, "has_fast_bf16", lambda: True)
    monkeypatch.setattr(precision_check, "BOUND", bound)
    model, encoder = write_localizer(tmp_path)
    tiles = _tiles(1)
    expected = open_localizer(model, encoders=[encoder], device="cpu", precision="fp32").maps(tiles)
    localizer = PyTorchLocalizer(load_localizer(model, encoders=[encoder]), "cpu")
    assert localizer.runtime.precision == precision
    assert localizer.runtime.precision_choice.startswith(f"{precision}: ")
    difference = float(np.abs(localizer.maps(tiles) - expected).max())
    assert (difference > 0) is (precision == "bf16")
    assert difference <= bound or precision == "fp32"
