"""ResNets with one output: CNNDetection, DMID, NPR. Layouts, logits, and scans of what was imported."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from sample_images import photo
from sample_published import as_training_saves, npr_state, resnet50_state
from torch import Tensor
from torch.nn import functional
from torchvision.models import resnet50

from sidscan.errors import ModelError, RuntimeUnavailable
from sidscan.models import imported_files, state_dicts
from sidscan.models.catalog import CATALOG
from sidscan.models.families import detector_family
from sidscan.models.shapes import ConvNetShape

MEAN = torch.tensor((0.485, 0.456, 0.406)).double().view(3, 1, 1)
STD = torch.tensor((0.229, 0.224, 0.225)).double().view(3, 1, 1)
WHOLE = (3, 4, 6, 3)


def _crops(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8, generator=generator)


def _pixels(crops: Tensor) -> Tensor:
    return (crops.double() / 255 - MEAN) / STD


def _forward(
    state: Mapping[str, Tensor], x: Tensor, stages: tuple[int, ...], stem_stride: int, pool_stride: int
) -> Tensor:
    """A ResNet-50 by the equations, in float64, up to its pooled features."""
    w = {name: tensor.double() for name, tensor in state.items()}

    def conv(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        kernel = w[f"{name}.weight"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        mean, var = (w[f"{norm}.running_{part}"].view(-1, 1, 1) for part in ("mean", "var"))
        x = (x - mean) / (var + 1e-5).sqrt()
        return x * w[f"{norm}.weight"].view(-1, 1, 1) + w[f"{norm}.bias"].view(-1, 1, 1)

    x = conv(x, "conv1", "bn1", stem_stride).clamp(min=0)
    x = functional.max_pool2d(x, 3, pool_stride, 1)
    for stage, blocks in enumerate(stages, start=1):
        for number in range(blocks):
            name, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            inner = conv(x, f"{name}.conv1", f"{name}.bn1").clamp(min=0)
            inner = conv(inner, f"{name}.conv2", f"{name}.bn2", stride).clamp(min=0)
            inner = conv(inner, f"{name}.conv3", f"{name}.bn3")
            if number == 0:
                x = conv(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            x = (inner + x).clamp(min=0)
    return x.mean(dim=(2, 3))


def _by_torchvision(state: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    with torch.device("meta"):
        network = resnet50(num_classes=1)
    network.load_state_dict(dict(state), strict=True, assign=True)
    with torch.inference_mode():
        logits: Tensor = network.double().eval()(_pixels(crops))
    return logits[:, 0]


def _dmid(state: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    features = _forward(state, _pixels(crops), WHOLE, 1, 1)
    return (features @ state["fc.weight"].double().T + state["fc.bias"].double())[:, 0]


def _npr(state: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    height, width = crops.shape[2] // 2 * 2, crops.shape[3] // 2 * 2
    pixels = _pixels(crops)[:, :, :height, :width].numpy()
    doubled = pixels[:, :, ::2, ::2].repeat(2, axis=2).repeat(2, axis=3)
    features = _forward(state, torch.from_numpy((pixels - doubled) * 2.0 / 3.0), (3, 4), 2, 2)
    return (features @ state["fc1.weight"].double().T + state["fc1.bias"].double())[:, 0]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return resnet50_state()


@pytest.fixture(scope="module")
def npr() -> dict[str, Tensor]:
    return npr_state()


@pytest.mark.parametrize(
    ("family", "expected", "size"),
    [
        ("cnndet", _by_torchvision, (40, 57)),
        ("dmid", _dmid, (24, 17)),
        ("npr", _npr, (32, 48)),
        ("npr", _npr, (33, 41)),
    ],
)
def test_logits_equal_an_independent_computation_in_float64(
    state: dict[str, Tensor],
    npr: dict[str, Tensor],
    family: str,
    expected: Callable[[Mapping[str, Tensor], Tensor], Tensor],
    size: tuple[int, int],
) -> None:
    weights, crops = npr if family == "npr" else state, _crops(*size)
    kind = detector_family(family)
    encoder, head = kind.networks(kind.normalise(weights), None)
    with torch.inference_mode():
        logits = head(encoder.read(crops, {head.feature})[head.feature])
    wanted = expected(weights, crops)
    assert logits.dtype == torch.float32
    assert 0.05 < wanted.abs().max() < 10
    assert abs(wanted[0] - wanted[1]) > 1e-3, "crops differ"
    torch.testing.assert_close(logits.double(), wanted, rtol=1e-5, atol=1e-5)


def test_a_batch_in_parts_gives_the_same(npr: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    kind = detector_family("npr")
    encoder, _ = kind.networks(kind.normalise(npr), None)
    crops = _crops(32, 32)
    whole = encoder.read(crops, {"embedding"})["embedding"]
    monkeypatch.setattr("sidscan.models.backbones.imagenet_resnet._PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(encoder.read(crops, {"embedding"})["embedding"], whole)
    with pytest.raises(ValueError, match="has its pooled features, its maps and nothing else"):
        encoder.read(crops, {"blocks"})


# ---- the published layouts


@pytest.mark.parametrize("by_zip", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("prefix", ["", "module."], ids=["one GPU", "several GPUs"])
def test_what_training_saved_is_read(
    npr: dict[str, Tensor], tmp_path: Path, by_zip: bool, prefix: str
) -> None:
    """The optimiser's state lies beside the network and is passed over; counters are left out."""
    named = {f"{prefix}{name}": tensor for name, tensor in npr.items()}
    path = as_training_saves(tmp_path / "x.pth", named, by_zip)
    read = detector_family("npr").normalise(state_dicts.read_tensors(path))
    kept = {name: tensor for name, tensor in npr.items() if not name.endswith("num_batches_tracked")}
    assert read.keys() == kept.keys()
    assert all(torch.equal(read[name], kept[name]) for name in kept)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("layer2.3.bn3.bias"), "not a NPR: layer2.3.bn3.bias missing"),
        (lambda t: t.update({"layer3.0.conv1.weight": torch.zeros(1)}), "layer3.0.conv1.weight unexpected"),
        (lambda t: t.update({"conv1.weight": torch.zeros(64, 3, 7, 7)}), "conv1.weight of another shape"),
        (lambda t: t.update({"bn1.bias": torch.full((64,), torch.nan)}), "bn1.bias not finite"),
        (lambda t: t.update({"bn9.num_batches_tracked": torch.tensor(1)}), "of no normalisation: bn9"),
    ],
    ids=["missing", "surplus", "another size", "not a number", "a counter of nothing"],
)
def test_other_weights_are_refused(
    npr: dict[str, Tensor], change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    tensors = dict(npr)
    change(tensors)
    with pytest.raises(ModelError, match=message):
        detector_family("npr").normalise(tensors)


def test_a_network_of_another_kind_is_refused(npr: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    with pytest.raises(ModelError, match="are not a ResNet-50: "):
        detector_family("dmid").normalise(npr)
    with pytest.raises(ModelError, match="are not a NPR: "):
        detector_family("npr").normalise(state)


def test_the_table_of_tensors_is_torchvisions(state: dict[str, Tensor]) -> None:
    for name in ("cnndet-p05", "dmid", "corvi2023"):
        assert CATALOG[name].shape == ConvNetShape("ResNet-50", 2048)
    weights = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    bytes_of_weights = 4 * sum(tensor.numel() for tensor in weights.values())
    assert abs(bytes_of_weights - CATALOG["cnndet-p05"].size) < 100_000


def test_what_is_kept_does_not_depend_on_the_name_of_the_file(npr: dict[str, Tensor], tmp_path: Path) -> None:
    first, second = tmp_path / "NPR.pth", tmp_path / "copy of NPR.bin"
    torch.save(npr, first)
    second.write_bytes(first.read_bytes())
    kept, digest = imported_files.made_of(first, CATALOG["npr"])
    assert imported_files.made_of(second, CATALOG["npr"]) == (kept, digest) == (kept, _sha256(first))
    (tmp_path / "npr.safetensors").write_bytes(kept)
    assert imported_files.made_again(tmp_path / "npr.safetensors", CATALOG["npr"]) == (kept, digest)


def test_an_installation_without_torchvision(npr: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    kind = detector_family("npr")
    with pytest.raises(RuntimeUnavailable, match="NPR needs torchvision, which is not installed") as refused:
        kind.networks(kind.normalise(npr), None)
    assert "torchvision" in refused.value.remedy


# ---- from a published file to a report


class Imported(NamedTuple):
    """A models folder with three detectors, the folder of their published files, and two images."""

    models: Path
    published: Path
    images: Path


@pytest.fixture(scope="module")
def imported(
    tmp_path_factory: pytest.TempPathFactory, state: dict[str, Tensor], npr: dict[str, Tensor]
) -> Imported:
    folder = tmp_path_factory.mktemp("resnets")
    world = Imported(folder / "models", folder / "published", folder / "images")
    world.published.mkdir()
    world.images.mkdir()
    as_training_saves(world.published / "blur_jpg_prob0.5.pth", state, by_zip=False)
    as_training_saves(world.published / "model_epoch_best.pth", state)
    torch.save(npr, world.published / "NPR.pth")
    photo(224, 224).save(world.images / "a.png")
    photo(300, 260, seed=1).save(world.images / "b.png")
    return world


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def models(imported: Imported, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]) -> Imported:
    """The same, imported by command the first time."""
    monkeypatch.setenv("SIDSCAN_MODELS", str(imported.models))
    if imported.models.exists():
        return imported
    cnndet, npr = imported.published / "blur_jpg_prob0.5.pth", imported.published / "NPR.pth"
    done = sidscan("models", "import", cnndet, "--as", "cnndet-p05", "--accept-licence")
    assert done.code == 0, done.err
    assert "cnndet-p05: imported, 94.3 MB; no digest is published" in done.err
    assert f"this one is pinned: sha256 {_sha256(cnndet)}" in done.err
    dmid = imported.published / "model_epoch_best.pth"
    assert sidscan("models", "import", dmid, "--as", "dmid", "--accept-licence").code == 0
    done = sidscan("models", "import", npr, "--as", "npr", "--sha256", _sha256(npr))
    assert done.code == 0, done.err
    return imported


def _centre(path: Path) -> Tensor:
    image = Image.open(path)
    left, top = ((side - 224) // 2 for side in image.size)
    crop = np.asarray(image.crop((left, top, left + 224, top + 224)))
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)[None]


def test_imported_detectors_scan(
    models: Imported,
    sidscan: Callable[..., Any],
    tmp_path: Path,
    state: dict[str, Tensor],
    npr: dict[str, Tensor],
) -> None:
    report = tmp_path / "report.csv"
    done = sidscan(
        *("scan", models.images, "--out", report, "--crops", "center", "--device", "cpu"),
        *("--model", "cnndet-p05", "--model", "npr"),
    )
    assert done.code == 0, done.err
    with report.open(newline="") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    for name, row in rows.items():
        whole = Image.open(models.images / name).resize((256, 256), Image.Resampling.BILINEAR)
        resized = torch.from_numpy(np.array(whole)).permute(2, 0, 1)[None]
        crop = _centre(models.images / name)
        expected = {"logit": _by_torchvision(state, crop), "npr.logit": _npr(npr, resized)}
        assert row["model_input"] == ""
        assert (row["crop_std"], row["npr.crop_std"], row["npr.crop_min"]) == ("0.0", "", "")
        assert row["npr.model_input"] == "resized to 256 x 256 px (bilinear)"
        for column, logit in expected.items():
            assert float(row[column]) == pytest.approx(float(logit), abs=1e-3), (name, column)
        assert row["model_provenance"] == (
            "cnndet-p05: its digest when it was first installed; npr: sha256 given by the user"
        )
    assert len(rows) == 2
