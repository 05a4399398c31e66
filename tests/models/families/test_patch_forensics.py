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

from sidscan.errors import ImageError, ModelError
from sidscan.localize.patches import map_of_patches
from sidscan.localize.tiles import Map, Pixels
from sidscan.models import state_dicts
from sidscan.models.families import detector_family

FAMILY = detector_family("patch_forensics")


def _of_patches(state: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    """The published network patch by patch, in float64: logit 0 minus logit 1, (b, rows, columns)."""
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
    return logits[:, 0] - logits[:, 1]


def _expected(state: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    """Their mean, which its authors call the average before the softmax."""
    return _of_patches(state, crops).mean(dim=(1, 2))


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
    with pytest.raises(ValueError, match="features of its patches and their means, and nothing"):
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


def _maps_of(state: Mapping[str, Tensor]) -> Callable[[Pixels], Map]:
    network = FAMILY.patch_network(FAMILY.normalise(state))

    def maps_of(pictures: Pixels) -> Map:
        with torch.inference_mode():
            logits = network(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        result: Map = logits.sigmoid().numpy()
        return result

    return maps_of


def test_the_map_lies_where_the_patches_lie() -> None:
    """A square of other pixels changes the patches that see it, and no others: 43 px each, every 8 px."""
    maps_of, spec = _maps_of(patch_forensics_state()), FAMILY.patches
    assert spec is not None
    before = np.asarray(photo(340, 299)).copy()
    after = before.copy()
    left, top, right, bottom = 120, 75, 190, 150
    after[top:bottom, left:right] = np.random.default_rng(0).integers(0, 256, (75, 70, 3), np.uint8)
    maps = [map_of_patches(pixels, maps_of, spec, lambda _: None) for pixels in (before, after)]
    assert [(each.values.shape, each.width, each.height) for each in maps] == [((299, 340), 340, 299)] * 2
    rows, columns = np.nonzero(maps[0].values != maps[1].values)
    for start, end, found in ((left, right, columns), (top, bottom, rows)):
        first, last = -(-(start - 24) // 8), (end - 1 + 18) // 8  # patches; the middle of one is 8 n + 3
        assert 8 * (first - 1) + 3 < found.min() <= 8 * first + 3
        assert 8 * last + 3 <= found.max() < 8 * (last + 1) + 3


def test_a_long_image_has_no_map() -> None:
    assert FAMILY.patches is not None
    with pytest.raises(ImageError, match="the detector sees a part of it alone; no map is made"):
        map_of_patches(
            np.zeros((2, 40, 3), np.uint8), lambda _: np.zeros((1, 1, 1), np.float32), FAMILY.patches, print
        )


def test_a_model_without_patches_makes_no_map() -> None:
    with pytest.raises(ModelError, match="npr judges no patches one by one"):
        detector_family("npr").patch_network({})


def test_localize_shows_the_patches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]
) -> None:
    """At a middle of a patch, the map has the probability of its logit; the row says whose patches."""
    state = patch_forensics_state()
    published, image, report = (tmp_path / name for name in ("D.pth", "a.png", "report.csv"))
    torch.save({"state_dict": state}, published)
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    assert sidscan("models", "import", published, "--as", "patch-forensics").code == 0
    pixels = photo(340, 299)
    pixels.save(image)
    localize = ("localize", image, "--model", "patch-forensics", "--detector", "mini", "--out", report)
    for option, message in (
        (("--protocol", "tiles"), "patch-forensics makes maps of patches of the whole resized image"),
        (("--max-tiles", "9"), "patch-forensics makes maps of patches of the whole resized image"),
        (("--runtime", "onnx"), "PyTorch alone makes maps of the patches of patch-forensics"),
        (("--encoder", published), "patch-forensics reads no encoder"),
    ):
        done = sidscan(*localize, *option)
        assert (done.code, message in done.err) == (2, True), done.err
    done = sidscan(*localize, "--device", "cpu")
    assert done.code == 0, done.err
    assert "its patches of 43 px, every 8 px; shorter side resized to 299 px (lanczos)" in done.err
    assert "nobody measured on whole photographs how much of them it marks" in done.err
    assert "patches of a detector of whole images, which nobody trained to find edits" in done.err
    with report.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["map_model"], row["map_protocol"], row["map_scale"]) == ("patch-forensics", "patches", "")
    assert (row["map_flags"], row["map_alarm_area"]) == ("patches_of_a_detector", "")
    (drawn,) = (tmp_path / "report_maps").glob("*.map.png")
    (mask,) = (tmp_path / "report_maps").glob("*.mask.png")
    levels = np.asarray(Image.open(drawn))
    crop = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
    (expected,) = _of_patches(state, crop).sigmoid().numpy()
    middles = levels[3::8, 3::8][: expected.shape[0], : expected.shape[1]]
    assert middles.shape == expected.shape == (37, 42)
    assert np.abs(middles - expected * 255).max() < 0.6
    assert expected.std() > 0.05
    assert float((np.asarray(Image.open(mask)) > 0).mean()) == pytest.approx(float(row["map_area"]))
    assert len(list((tmp_path / "report_maps").iterdir())) == 3


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
