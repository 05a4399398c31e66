"""C2P-CLIP and ClipBased-SID: probes on CLIP's embedding and on what is projected into it."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from PIL import Image
from sample_images import photo
from sample_published import as_open_clip_trains, c2p_state, clip_based_state
from tiny_networks import random_clip
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from sidscan.errors import ModelError
from sidscan.models.catalog import CATALOG, CatalogEntry
from sidscan.models.families import detector_family, encoder_family
from sidscan.models.origins import Pin, Published
from sidscan.models.shapes import EncoderShape, ProbedEncoderShape, ProbeShape

SMALL = {"width": 64, "blocks": 2, "patch": 14, "side": 224, "embedding": 8}
SHAPE = EncoderShape(2, 64, 14, 257, 8)
MEAN = torch.tensor((0.48145466, 0.4578275, 0.40821073)).view(3, 1, 1)
STD = torch.tensor((0.26862954, 0.26130258, 0.27577711)).view(3, 1, 1)


def _visual(state: Mapping[str, Tensor], activation: type[nn.Module]) -> Any:
    """open_clip's own image encoder."""
    visual = VisionTransformer(224, 14, 64, 2, 1, 4.0, output_dim=8, act_layer=activation)
    visual.load_state_dict(dict(state), strict=True)
    return visual.eval().requires_grad_(False)


def _c2p(visual: Mapping[str, Tensor], published: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    embedding = _visual(visual, QuickGELU)((crops / 255 - MEAN) / STD)
    unit = embedding / embedding.norm(p=2, dim=-1, keepdim=True)
    return functional.linear(unit, published["model.fc.weight"], published["model.fc.bias"])[:, 0]


def _clip_based(visual: Mapping[str, Tensor], published: Mapping[str, Tensor], crops: Tensor) -> Tensor:
    """Their code sets the projection to None, so that the encoder ends before it."""
    network = _visual(visual, nn.GELU)
    network.proj = None
    unit = functional.normalize(network((crops / 255 - MEAN) / STD), dim=-1)
    return (unit @ published["fc.weight"].T + published["fc.bias"])[:, 0]


def _crops() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8, generator=generator)


def test_c2p_clip_equals_the_published_computation() -> None:
    visual = random_clip(**SMALL)
    published, family = c2p_state(visual), detector_family("c2p_clip")
    tensors = family.normalise(published)
    encoder, head = family.networks(tensors, None)
    logits = head(encoder.read(_crops(), {head.feature})[head.feature])
    torch.testing.assert_close(logits, _c2p(visual, published, _crops()), rtol=1e-4, atol=1e-4)
    assert family.shape(tensors) == ProbedEncoderShape(SHAPE)
    assert family.normalise(tensors).keys() == tensors.keys(), "what is kept is read again"


def test_clip_based_sid_equals_the_published_computation() -> None:
    visual, published = random_clip(**SMALL), clip_based_state(64)
    encoders, family = encoder_family("clip_gelu"), detector_family("clip_based_sid")
    kept = encoders.normalise(as_open_clip_trains(visual))
    encoder, head = family.networks(family.normalise(published), encoders.network(encoders.normalise(kept)))
    logits = head(encoder.read(_crops(), {head.feature})[head.feature])
    expected = _clip_based(visual, published, _crops())
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    quick = encoder_family("clip").network(kept)
    other = head(quick.read(_crops(), {"pooled"})["pooled"])
    assert (other - expected).abs().max() > 1e-3, "the activation function matters"


def test_a_probe_needs_tokens_of_its_width() -> None:
    family, encoder = detector_family("clip_based_sid"), encoder_family("clip_gelu")
    with pytest.raises(ModelError, match="does not fit the encoder"):
        family.networks(family.normalise(clip_based_state(32)), encoder.network(random_clip(**SMALL)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("model.fc.bias"), "head.bias missing"),
        (lambda t: t.update({"model.logit_scale": torch.ones([])}), "logit_scale unexpected"),
        (lambda t: t.update({"model.fc.weight": torch.zeros(2, 8)}), "head.weight of another shape"),
        (lambda t: t.pop("model.vision_model.encoder.layers.1.mlp.fc2.bias"), "mlp.c_proj.bias missing"),
        (
            lambda t: t.update({"model.vision_model.encoder.layers.0.self_attn.lora_A": torch.ones(1)}),
            "is not part of a CLIP image encoder",
        ),
        (lambda t: t.pop("model.vision_model.encoder.layers.0.self_attn.k_proj.bias"), "do not fit together"),
    ],
    ids=["no bias", "surplus", "two classes", "no layer", "adapters apart", "no keys"],
)
def test_other_weights_are_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    tensors = c2p_state(random_clip(**SMALL))
    change(tensors)
    with pytest.raises(ModelError, match=message):
        detector_family("c2p_clip").normalise(tensors)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"fc.weight": torch.zeros(1, 64)}, "fc.bias missing"),
        ({**clip_based_state(64), "x": torch.zeros(1)}, "x unexpected"),
        ({"fc.weight": torch.zeros(2, 64), "fc.bias": torch.zeros(2)}, "of another shape"),
    ],
    ids=["no bias", "surplus", "two classes"],
)
def test_another_probe_is_refused(tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        detector_family("clip_based_sid").normalise(tensors)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_imported_detectors_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidscan: Callable[..., Any]
) -> None:
    """Published files of small encoders, imported by command, then scanned with."""
    adapted, trained = random_clip(**SMALL), random_clip(**SMALL, seed=1)
    files = {
        "c2p-clip": (tmp_path / "C2P_CLIP_release_20240901.pth", c2p_state(adapted)),
        "clip-vit-l14-commonpool": (tmp_path / "open_clip_pytorch_model.bin", as_open_clip_trains(trained)),
        "clipdet": (tmp_path / "weights.pth", {"model": clip_based_state(64)}),
    }
    for path, content in files.values():
        torch.save(content, path)
    url, pin = "https://example.org/weights.pth", Pin("sha256", _sha256(files["clipdet"][0]))
    small: list[CatalogEntry] = [
        replace(CATALOG["c2p-clip"], shape=ProbedEncoderShape(SHAPE)),
        replace(CATALOG["clip-vit-l14-commonpool"], shape=SHAPE),
        replace(CATALOG["clipdet"], shape=ProbeShape(64), origin=Published(url, pin, threshold=0.5)),
    ]
    monkeypatch.setattr("sidscan.models.store.CATALOG", {entry.name: entry for entry in small})
    monkeypatch.setenv("SIDSCAN_MODELS", str(tmp_path / "models"))
    for name, (path, _) in files.items():
        done = sidscan("models", "import", path, *(() if name == "clipdet" else ("--as", name)))
        assert done.code == 0, done.err
    images, report = tmp_path / "images", tmp_path / "report.csv"
    images.mkdir()
    photo(300, 260).save(images / "a.png")
    done = sidscan(
        *("scan", images, "--out", report, "--crops", "center", "--device", "cpu", "--precision", "fp32"),
        *("--model", "c2p-clip", "--model", "clipdet"),
    )
    assert done.code == 0, done.err
    image = Image.open(images / "a.png")
    crops = [
        torch.from_numpy(np.array(CenterCrop(224)(Resize(224, mode)(image)))).permute(2, 0, 1)[None]
        for mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)
    ]
    with report.open(newline="") as file:
        (row,) = csv.DictReader(file)
    expected = {
        "logit": _c2p(adapted, c2p_state(adapted), crops[0]),
        "clipdet.logit": _clip_based(trained, clip_based_state(64), crops[1]),
    }
    for column, logit in expected.items():
        assert float(row[column]) == pytest.approx(float(logit), abs=1e-3), column
    assert row["model_input"] == "resized to 258 x 224 px (bilinear), centre 224 x 224 px"
    assert row["model_provenance"] == (
        "c2p-clip: its digest when it was first installed; clipdet: published sha256; "
        "clip-vit-l14-commonpool: its digest when it was first installed"
    )
