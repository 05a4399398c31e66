"""Patch-Forensics: its logits in float64, the published layout, and a scan with what was imported."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sample_images import photo
from sample_published import as_training_saves, patch_forensics_state
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from sidscan.errors import ModelError
from sidscan.models import state_dicts
from sidscan.models.families import detector_family

FAMILY = detector_family("patch_forensics")


def _expected(state: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    """The published network patch by patch, in float64: mean over patches of logit 0 minus logit 1."""
    w = {name: tensor.double() for name, tensor in state.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = (w[f"{name}.running_{part}"].view(-1, 1, 1) for part in ("mean", "var"))
        x = (x - mean) / (var + 1e-5).sqrt()
        return x * w[f"{name}.weight"].view(-1, 1, 1) + w[f"{name}.bias"].view(-1, 1, 1)

    def separable(x: Tensor, block: str, number: int) -> Tensor:
        kernel = w[f"{block}.rep.{number}.conv1.weight"]
        x = functional.conv2d(x, kernel, padding=1, groups=len(kernel))
        x = functional.conv2d(x, w[f"{block}.rep.{number}.pointwise.weight"])
        return norm(x, f"{block}.rep.{number + 1}")

    x = functional.conv2d((crops.double() / 255 - 0.5) / 0.5, w["conv1.weight"], stride=2)
    x = functional.conv2d(norm(x, "bn1").clamp(min=0), w["conv2.weight"])
    x = norm(x, "bn2").clamp(min=0)
    for block, first in (("block1", 0), ("block2", 1)):
        inner = separable(x.clamp(min=0) if first else x, block, first)
        inner = separable(inner.clamp(min=0), block, first + 3)
        inner = functional.max_pool2d(inner, 3, 2, 1)
        x = inner + norm(functional.conv2d(x, w[f"{block}.skip.weight"], stride=2), f"{block}.skipbn")
    logits = functional.conv2d(x, w["convout.weight"], w["convout.bias"])
    return (logits[:, 0] - logits[:, 1]).mean(dim=(1, 2))


@pytest.mark.parametrize("size", [(64, 64), (61, 90)], ids=str)
def test_logits_equal_a_computation_in_float64(size: tuple[int, int]) -> None:
    state = patch_forensics_state()
    generator = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=generator)
    encoder, head = FAMILY.networks(FAMILY.normalise(state), None)
    logits = head(encoder.read(crops, {head.feature})[head.feature])
    expected = _expected(state, crops)
    assert 0.01 < expected.abs().max() < 50
    torch.testing.assert_close(logits.double(), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="the means over its patches and nothing else"):
        encoder.read(crops, {"blocks"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("block1.skip.weight"), "block1.skip.weight missing"),
        (lambda t: t.update({"block3.skip.weight": torch.zeros(1)}), "block3.skip.weight unexpected"),
        (lambda t: t.update({"convout.bias": torch.zeros(1)}), "convout.bias of another shape"),
    ],
    ids=["missing", "cut elsewhere", "one class"],
)
def test_other_weights_are_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    tensors = patch_forensics_state()
    change(tensors)
    with pytest.raises(ModelError, match=message):
        FAMILY.normalise(tensors)


def test_an_imported_detector_scans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]
) -> None:
    """PyTorch 1.4 wrote the file: the network under ``state_dict``, a figure of NumPy's beside it."""
    state = patch_forensics_state()
    published = as_training_saves(tmp_path / "bestval_net_D.pth", state, by_zip=False, name="state_dict")
    assert set(state_dicts.read_arrays(published)) == set(state)
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    done = sidscan("models", "import", published)
    assert done.code == 4
    assert "it has the layout of patch-forensics\nNo digest of patch-forensics is published." in done.err
    done = sidscan("models", "import", published, "--as", "patch-forensics")
    assert done.code == 0, done.err
    images, report = tmp_path / "images", tmp_path / "report.csv"
    images.mkdir()
    photo(300, 260).save(images / "a.png")
    command = ("scan", images, "--out", report, "--model", "patch-forensics", "--crops", "center")
    done = sidscan(*command, "--device", "cpu")
    assert done.code == 0, done.err
    resized = Resize(299, InterpolationMode.LANCZOS)(Image.open(images / "a.png"))
    crop = torch.from_numpy(np.array(CenterCrop(299)(resized))).permute(2, 0, 1)[None]
    with report.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["logit"]) == pytest.approx(float(_expected(state, crop)), abs=1e-3)
    assert row["model_input"] == "resized to 345 x 299 px (lanczos), centre 299 x 299 px"
    for instead in (("export-onnx", "--model", "patch-forensics"), (*command, "--runtime", "onnx")):
        done = sidscan(*instead)
        assert done.code == 2
        assert "; graphs read crops of 224 x 224 pixels\nScan with PyTorch: " in done.err
    assert row["model_provenance"] == "patch-forensics: its digest when it was first installed"
    carried = tmp_path / "carried"
    (tmp_path / "models").rename(carried)
    done = sidscan("models", "import", carried)
    assert done.code == 0, done.err
    assert sidscan("models", "verify").code == 0, "on another machine"


def test_a_page_for_browsers_is_not_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]
) -> None:
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path))
    done = sidscan("models", "pull", "patch-forensics")
    assert done.code == 2
    assert done.err.endswith(
        "patch-forensics can't be pulled: its authors publish bestval_net_D.pth on a page for browsers\n"
        "Fetch it from https://drive.google.com/drive/folders/1_LekvsBFE2T9N3Wikkll3xjlogI-cSoH, then "
        "`sidscan models import FILE --as patch-forensics`.\n"
    )
