"""Heads on encoders that libraries build by name, and on residual networks: the paper's appendix."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from sample_published import as_training_saves, random_like, resnet50_state
from tiny_networks import open_clip_visual, random_clip
from tiny_timm import CONV, MEAN, STD, VIT, weights_of
from torch import Tensor
from torch.nn import functional
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck, ResNet
from training_sets import progan_like

from sidscan.errors import ModelError, UsageError
from sidscan.models import checkpoints
from sidscan.models.backbones.named import named_encoder, published_at
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.detectors import Detector, Encoders
from sidscan.models.digests import hash_file
from sidscan.models.families.cnndet import CnnDetectionFamily
from sidscan.models.heads.base import with_weights
from sidscan.models.heads.feature_pyramid import FpnLevelsHead
from sidscan.models.heads.rine_depths import RineDepthsHead
from sidscan.models.resnet_layout import ResNetPlan
from sidscan.models.store import Store
from sidscan.runtimes import forward
from sidscan.training.rine.features import open_encoder
from sidscan.training.rine.fit import EncoderDims, HeadStack, build_head, check_fits, complete_head
from sidscan.training.rine.recipe import PRESETS, Recipe

if TYPE_CHECKING:
    from conftest import Ended

Run: TypeAlias = "Callable[..., Ended]"
SMALL = ("--num-proj-layers", "1", "--proj-dim", "8", "--quiet")


class Trained(NamedTuple):
    """A checkpoint, the weights of its encoder, and images."""

    checkpoint: Path
    weights: Path
    images: Path


@pytest.fixture
def trained(sidscan: Run, tmp_path: Path) -> Trained:
    """One epoch of the preset `vit-4class` on a small ViT of timm's."""
    data = progan_like(tmp_path / "data", PRESETS["vit-4class"].classes, count=1)
    weights, out = weights_of(VIT, tmp_path / "vit.safetensors"), tmp_path / "head.safetensors"
    named = ("--preset", "vit-4class", "--encoder", VIT, "--encoder-weights", weights)
    ended = sidscan("train", data, *named, *SMALL, "--out", out)
    assert ended.code == 0, ended.err
    return Trained(out, weights, data / "train" / "cat")


def _scores(report: Path) -> list[float]:
    with report.open(encoding="utf-8", newline="") as file:
        return [float(row["score"]) for row in csv.DictReader(file)]


def test_a_vit_from_training_to_an_exported_graph(sidscan: Run, trained: Trained, tmp_path: Path) -> None:
    model = ("--model", trained.checkpoint, "--encoder", trained.weights)
    ended = sidscan("scan", trained.images, *model, "--out", tmp_path / "r.csv", "--quiet")
    assert ended.code == 0, ended.err
    assert "scores" not in ended.out
    sets = ("--real", trained.images / "0_real", "--synthetic", trained.images / "1_fake", "--no-plots")
    ended = sidscan("evaluate", "run", *sets, *model, "--out", tmp_path / "e", "--quiet", "--bootstrap", "2")
    assert ended.code == 0, ended.err
    ended = sidscan("export-onnx", *model, "--out", tmp_path / "m.onnx", "--quiet")
    assert ended.code == 0, ended.err
    ended = sidscan(
        "scan", trained.images, "--model", tmp_path / "m.onnx", "--out", tmp_path / "g.csv", "--quiet"
    )
    assert ended.code == 0, ended.err
    assert _scores(tmp_path / "g.csv") == pytest.approx(_scores(tmp_path / "r.csv"), abs=1e-4)


def test_what_a_checkpoint_states_of_its_encoder(sidscan: Run, trained: Trained, tmp_path: Path) -> None:
    checkpoint, _ = checkpoints.read_checkpoint(trained.checkpoint)
    assert (checkpoint.head, checkpoint.encoder) == ("rine", VIT)
    assert checkpoint.facts["backbone"] == {
        "crop": 224, "depths": [64, 64], "mean": list(MEAN), "std": list(STD)
    }  # fmt: skip
    scan = ("scan", trained.images, "--model", trained.checkpoint, "--out", tmp_path / "r.csv")
    ended = sidscan(*scan)
    assert ended.code == 4
    assert ended.err == (
        f"sidscan: this checkpoint was trained on the encoder {VIT} with sha256 {checkpoint.encoder_sha256}, "
        "which is not here\nName its weights with --encoder FILE.\n"
    )
    other = weights_of(CONV, tmp_path / "other.safetensors")
    ended = sidscan(*scan, "--encoder", other)
    assert (ended.code, ended.err.partition(":")[0]) == (4, "sidscan")
    assert f"{other} is not the encoder {VIT} that this checkpoint was trained on: sha256 " in ended.err


def test_a_library_that_reads_pixels_otherwise_than_in_training(
    sidscan: Run, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.models.backbones.timm_network.TimmEncoder.description", {"mean": [0.0]})
    ended = sidscan(
        *("scan", trained.images, "--model", trained.checkpoint, "--encoder", trained.weights),
        *("--out", tmp_path / "r.csv"),
    )
    assert ended.code == 4
    assert f"the encoder {VIT} has other crop and depths and mean and std here than in training" in ended.err


def test_a_recipe_names_the_encoder_and_its_bytes(sidscan: Run, trained: Trained, tmp_path: Path) -> None:
    shown = sidscan("recipe", "show", trained.checkpoint)
    assert f'encoder = "{VIT}"\n' in shown.out
    (recipe := tmp_path / "r.toml").write_text(shown.out, encoding="utf-8")
    again = ("train", tmp_path / "data", "--recipe", recipe, "--out", tmp_path / "again", "--quiet")
    ended = sidscan(*again, "--encoder-weights", trained.weights)
    assert ended.code == 0, ended.err
    assert (tmp_path / "again").read_bytes() == trained.checkpoint.read_bytes()


# ---- where weights come from


def test_weights_are_never_fetched(sidscan: Run, tmp_path: Path) -> None:
    data = progan_like(tmp_path / "data", ("car", "cat", "chair", "horse"), count=1)
    ended = sidscan("train", data, "--preset", "vit-4class", "--encoder", VIT, "--out", tmp_path / "x")
    assert ended.code == 4
    assert ended.err == (
        f"sidscan: {VIT} needs its weights, and sidscan fetches none\n"
        "Get model.safetensors of https://huggingface.co/timm/sidscan_tiny_vit.ours. "
        "Then name the file: --encoder-weights FILE.\n"
    )


@pytest.mark.parametrize(
    ("name", "where"),
    [
        (CONV, "Get https://example.org/c.pth."),
        (f"{VIT}.wide", "Take weights of your own."),
        ("torchvision:resnet50", "Get https://download.pytorch.org/models/resnet50-0676ba61.pth."),
        (
            "open_clip:ViT-B-32/laion2b_s34b_b79k",
            "Get open_clip_model.safetensors of https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K.",
        ),
        (
            "open_clip:ViT-B-32",
            "open_clip:ViT-B-32/TAG says where published ones are; TAG is one of openai, ",
        ),
    ],
)
def test_where_weights_are_published(name: str, where: str) -> None:
    assert published_at(name).startswith(where)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("timm:vit_tiny_patch16_22", "timm has no network called vit_tiny_patch16_22"),
        ("timm:hf-hub:timm/vit_tiny", "timm has no network called hf-hub:timm/vit_tiny"),
        (f"{VIT}.none", "timm knows no weights 'none' of sidscan_tiny_vit"),
        ("open_clip:ViT-Z", "open_clip has no network called ViT-Z"),
        ("open_clip:ViT-B-32/none", "open_clip knows no weights 'none' of ViT-B-32"),
        (
            "torchvision:vgg11",
            "of torchvision's networks, sidscan reads resnet50, resnet101, resnet152, not vgg",
        ),
    ],
)
def test_networks_that_no_library_has(name: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        published_at(name)


def test_weights_beside_an_encoder_that_has_its_own(sidscan: Run, tmp_path: Path) -> None:
    data = progan_like(tmp_path / "data", ("cat",), count=1)
    (file := tmp_path / "w.safetensors").touch()
    common = ("train", data, "--classes", "cat", "--out", tmp_path / "x", "--encoder-weights", file)
    ended = sidscan(*common, "--encoder", file)
    assert ended.code == 2
    assert ended.err == (
        "sidscan: --encoder-weights goes with timm:NAME, open_clip:NAME, torchvision:NAME\n"
        f"Name the file itself: --encoder {file}.\n"
    )


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(Exception, match="timm:x needs timm, which "):
        published_at("timm:x")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param(f"{VIT}.wide", "reads images of 384 px; crops have 224", id="another size"),
        pytest.param(CONV, "these weights are not a timm:sidscan_tiny_conv: stem.0.weight, ", id="another"),
    ],
)
def test_networks_that_do_not_fit(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=why) as refused:
        named_encoder(name, load_file(weights_of(VIT, tmp_path / "vit.safetensors")))
    assert "models pull" not in refused.value.remedy, "sidscan fetches no network of a library"


# ---- features of every depth


def _crops(count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 224, 224), dtype=torch.uint8, generator=generator)


def _outputs(network: Any, modules: list[Any], pixels: Tensor) -> list[Tensor]:
    """What modules of a network give, in order."""
    found: list[Tensor] = []
    hooks = [module.register_forward_hook(lambda *call: found.append(call[2])) for module in modules]
    with torch.no_grad():
        network(pixels)
    for hook in hooks:
        hook.remove()
    return found


def test_class_tokens_of_a_vit(tmp_path: Path) -> None:
    weights = load_file(weights_of(VIT, tmp_path / "vit.safetensors"))
    encoder = named_encoder(VIT, weights)
    network: Any = timm.create_model(VIT[5:], pretrained=False).eval()
    network.load_state_dict(weights)
    pixels = (_crops() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    tokens = _outputs(network, list(network.blocks), pixels)
    read = encoder.read(_crops(), {"blocks", "maps", "embedding"})
    torch.testing.assert_close(read["blocks"], torch.stack([each[:, 0] for each in tokens], dim=1))
    assert torch.allclose(read["maps"][:, 1, :, 0, 1], tokens[1][:, 2], atol=1e-5)
    with torch.no_grad():
        assert torch.allclose(network.head(read["embedding"]), network(pixels), atol=1e-5)
    assert (encoder.depths, encoder.levels) == ((64, 64), ((64, 4), (64, 4)))


def test_means_of_the_stages_of_a_convolutional_network(tmp_path: Path) -> None:
    weights = load_file(weights_of(CONV, tmp_path / "conv.safetensors"))
    encoder = named_encoder(CONV, weights)
    network: Any = timm.create_model(CONV[5:], pretrained=False).eval()
    network.load_state_dict(weights)
    pixels = (_crops() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    maps = _outputs(network, list(network.stages), pixels)
    read = encoder.read(_crops(), {"depths", "levels"})
    torch.testing.assert_close(read["depths"], torch.cat([each.mean(dim=(2, 3)) for each in maps], dim=1))
    torch.testing.assert_close(read["levels"], torch.cat([each.flatten(1) for each in maps], dim=1))
    assert encoder.depths == (8, 8, 16, 16)


@pytest.fixture(scope="module")
def wang(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the file that CNNDetection's authors publish."""
    return as_training_saves(tmp_path_factory.mktemp("wang") / "wang.pth", resnet50_state())


def test_blocks_of_a_resnet(wang: Path) -> None:
    encoder = open_encoder(str(wang)).encoder
    network = resnet50(num_classes=1).eval()
    network.load_state_dict(resnet50_state())
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    pixels = (_crops() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    blocks = _outputs(network, [block for stage in stages for block in stage], pixels)
    read = encoder.read(_crops(), {"depths", "levels"})
    means = torch.cat([block.mean(dim=(2, 3)) for block in blocks], dim=1)
    torch.testing.assert_close(read["depths"], means, rtol=1e-4, atol=1e-4)
    maps = torch.cat([blocks[number].flatten(1) for number in (2, 6, 12, 15)], dim=1)
    torch.testing.assert_close(read["levels"], maps, rtol=1e-4, atol=1e-4)
    assert encoder.depths == (256,) * 3 + (512,) * 4 + (1024,) * 6 + (2048,) * 3
    assert encoder.levels == ((256, 56), (512, 28), (1024, 14), (2048, 7))


def test_rine_on_wangs_resnet(sidscan: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset reads the network below the last layer of an installed detector; here a shallow one."""
    monkeypatch.setattr(CnnDetectionFamily, "plan", ResNetPlan("ResNet-50", (1, 1, 1, 1)))
    shallow = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=1).state_dict()
    file = as_training_saves(tmp_path / "wang.pth", random_like(shallow))
    assert sidscan("models", "import", file, "--as", "cnndet-p01", "--accept-licence").code == 0
    data, out = progan_like(tmp_path / "data", ("cat",), count=1), tmp_path / "h.safetensors"
    ended = sidscan("train", data, "--preset", "wang-4class", "--classes", "cat", "--out", out, *SMALL)
    assert ended.code == 0, ended.err
    checkpoint, _ = checkpoints.read_checkpoint(out)
    assert (checkpoint.head, checkpoint.encoder) == ("rine_depths", "cnndet-p01")
    assert checkpoint.facts["backbone"]["depths"] == [256, 512, 1024, 2048]
    ended = sidscan("scan", data, "--model", out, "--crops", "center", "--out", tmp_path / "r.csv", "--quiet")
    assert ended.code == 0, ended.err
    assert len(set(_scores(tmp_path / "r.csv"))) == 2


@pytest.fixture
def small_open_clip(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Weights of a small ViT; open_clip's ViT-B-32 and ViT-L-14 are as small then."""
    stated = open_clip.get_model_config

    def small(name: str) -> dict[str, Any]:
        config = stated(name)
        shape = {"layers": 2, "width": 64, "patch_size": 32} if name in ("ViT-B-32", "ViT-L-14") else {}
        return {**config, "embed_dim": 8, "vision_cfg": {**config["vision_cfg"], **shape}}

    monkeypatch.setattr("open_clip.get_model_config", small)
    return random_clip(width=64, blocks=2, patch=32, side=224, embedding=8)


def test_open_clip_by_name(small_open_clip: dict[str, Tensor]) -> None:
    """Its ViTs are read as OpenAI's, with the activation and the normalisation of the weights' tag."""
    state = small_open_clip
    weights = {f"visual.{name}": tensor for name, tensor in state.items()}
    exact = named_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k", weights)
    quick = named_encoder("open_clip:ViT-B-32/openai", weights)
    other = named_encoder("open_clip:ViT-L-14/laion2b_s32b_b82k", weights)
    assert other.description["mean"] == [0.5, 0.5, 0.5]
    assert (exact.description["activation"], quick.description["activation"]) == ("GELU", "QuickGELU")
    mean, std = torch.tensor(quick.description["mean"]), torch.tensor(quick.description["std"])
    pixels = (_crops() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        expected = open_clip_visual(state)(pixels)
    torch.testing.assert_close(quick.read(_crops(), {"embedding"})["embedding"], expected)
    assert not torch.allclose(exact.read(_crops(), {"embedding"})["embedding"], expected, atol=1e-3)
    with pytest.raises(ModelError, match="ViT-H-14 is not built as OpenAI's"):
        named_encoder("open_clip:ViT-H-14", weights)
    with pytest.raises(ModelError, match=r"weights are not those of open_clip:ViT-B-16: they are a 2 blocks"):
        named_encoder("open_clip:ViT-B-16", weights)


def test_one_file_under_two_names(small_open_clip: dict[str, Tensor], tmp_path: Path) -> None:
    """What weights don't tell, the name does: checkpoints that read them differently share no network."""
    save_file(
        {f"visual.{name}": tensor for name, tensor in small_open_clip.items()},
        file := tmp_path / "w.safetensors",
    )
    digest, encoders = hash_file(file, "sha256")["sha256"], Encoders(Store(), [file])
    plain, exact, quick, again = (
        encoders.trained_on({name: digest})[0].encoder
        for name in (file.name, "open_clip:ViT-B-32/laion2b_s34b_b79k", "open_clip:ViT-B-32/openai", "copy")
    )
    assert plain is again
    assert plain is not exact
    crops = _crops()
    assert torch.equal(plain.read(crops, {"blocks"})["blocks"], quick.read(crops, {"blocks"})["blocks"])
    assert not torch.allclose(
        plain.read(crops, {"blocks"})["blocks"], exact.read(crops, {"blocks"})["blocks"]
    )


@pytest.mark.parametrize(("name", "strides"), [("cnndet-p01", [2, 2]), ("dmid", [1, 1])])
def test_a_file_of_a_detector_of_the_catalog(wang: Path, name: str, strides: list[int]) -> None:
    """Wang's network and DMID's have the same tensors, and other strides."""
    opened = Encoders(Store(), [wang]).trained_on({name: hash_file(wang, "sha256")["sha256"]})
    assert opened[0].encoder.description["strides"] == strides


# ---- heads on features of several widths


def test_rine_with_a_projection_for_each_width() -> None:
    head = RineDepthsHead((3, 3, 5), proj_dim=4, num_proj_layers=2).eval()
    assert {name for name in head.state_dict() if name.startswith("proj1")} == {
        f"proj1.{width}.{layer}.{part}" for width in (3, 5) for layer in (1, 4) for part in ("weight", "bias")
    }
    features = torch.randn(2, 11, generator=torch.Generator().manual_seed(0))
    state = {name: tensor.double() for name, tensor in head.state_dict().items()}

    def project(x: Tensor, prefix: str) -> Tensor:
        for layer in (1, 4):
            x = (x @ state[f"{prefix}{layer}.weight"].T + state[f"{prefix}{layer}.bias"]).clamp(min=0)
        return x

    x = features.double()
    parts = [project(x[:, :3], "proj1.3."), project(x[:, 3:6], "proj1.3."), project(x[:, 6:], "proj1.5.")]
    weights = state["alpha"][0].exp() / state["alpha"][0].exp().sum(dim=0)
    fused = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    torch.testing.assert_close(head.embed(features).double(), project(fused, "proj2."), rtol=1e-5, atol=1e-6)
    again = with_weights(RineDepthsHead, head.state_dict())
    assert torch.equal(again(features), head(features))


def test_a_pyramid_over_maps_of_two_sides() -> None:
    head = FpnLevelsHead([(2, 4), (3, 2)], proj_dim=5).eval()
    first, second = torch.randn(2, 2, 4, 4), torch.randn(2, 3, 2, 2)
    top = functional.conv2d(second, *_conv(head, "lateral.1"))
    below = functional.conv2d(first, *_conv(head, "lateral.0"))
    below = below + top.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    smooth = [
        functional.conv2d(level, *_conv(head, f"smooth.{number}"), padding=1).mean(dim=(2, 3))
        for number, level in enumerate((below, top))
    ]
    joined = torch.cat([first.flatten(1), second.flatten(1)], dim=1)
    torch.testing.assert_close(head.embed(joined), (smooth[0] + smooth[1]) / 2)
    assert torch.equal(with_weights(FpnLevelsHead, head.state_dict())(joined), head(joined))


def _conv(head: FpnLevelsHead, name: str) -> tuple[Tensor, Tensor]:
    state = head.state_dict()
    return state[f"{name}.weight"], state[f"{name}.bias"]


DIMS = EncoderDims(3, 3, 0, widths=(3, 3, 5), levels=((2, 4), (3, 2)))


@pytest.mark.parametrize(
    ("recipe", "inputs"),
    [
        (Recipe(num_proj_layers=1, proj_dim=4), 11),
        (Recipe(num_proj_layers=1, proj_dim=4, ablate="tie"), 11),
        (Recipe(head="fpn", proj_dim=4), 44),
    ],
    ids=["rine", "without TIE", "fpn"],
)
def test_such_heads_are_fitted(recipe: Recipe, inputs: int) -> None:
    stack = HeadStack([recipe, recipe], DIMS, torch.device("cpu"))
    features, labels = torch.randn(6, inputs), torch.tensor([0.0, 1, 0, 1, 0, 1])
    before = build_head(recipe, DIMS).state_dict()
    stack.step(features, labels, 0.01)
    (head, _) = stack.heads()
    assert head.state_dict().keys() == before.keys()
    assert not torch.equal(head.state_dict()["head.0.weight"], before["head.0.weight"])
    assert torch.allclose(head(features), stack.logits(features)[0], atol=1e-6)
    again = complete_head(recipe, dict(head.state_dict()), DIMS)
    assert torch.equal(again(features), head(features))


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (Recipe(head="linear"), "this encoder has no image embedding for the head linear"),
        (
            Recipe(ablate="intermediate"),
            "ablate 'intermediate' needs an encoder whose blocks are of one width",
        ),
    ],
)
def test_heads_that_such_an_encoder_can_not_have(recipe: Recipe, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_fits(recipe, DIMS)


def test_a_scan_reads_the_maps_of_a_few_crops_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = named_encoder(CONV, load_file(weights_of(CONV, tmp_path / "conv.safetensors")))
    head = FpnLevelsHead(encoder.levels, proj_dim=4).eval()
    info = DetectorInfo("fpn", "", 0.5, {}, {})
    whole = forward.run_networks([Detector(info, encoder, head, False)], _crops(5))
    seen: list[int] = []
    monkeypatch.setattr(forward, "MAPS_AT_ONCE", 2)
    head.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    parts = forward.run_networks([Detector(info, encoder, head, False)], _crops(5))
    assert seen == [2, 2, 1]
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("mini", "mini gives no features of every depth"),
        ("rine-b16", "rine-b16 is not a network that others read"),
        ("localizer-b16", "localizer-b16 is not a network that others read"),
    ],
)
def test_models_that_no_head_reads(name: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        open_encoder(name)
