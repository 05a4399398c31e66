"""Training a decoder from the command line, and what it leaves; small random encoders, generated data."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from masked_sets import dolos_like
from safetensors.torch import save_file
from sample_localizers import small_resnet
from tiny_networks import random_clip
from torch.nn import functional

from sidscan.cli import cli, localizer_options
from sidscan.errors import OutputError, UsageError
from sidscan.models.families import localizer_family
from sidscan.models.families.declip import DECODERS
from sidscan.models.heads.declip import make_decoder
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint, read_localizer_checkpoint
from sidscan.training.localization import recipe as recipes
from sidscan.training.localization import run
from sidscan.training.localization.augmentation import AUGMENTATIONS
from sidscan.training.localization.config import LocalizerConfig
from sidscan.training.localization.encoders import decoder_shape, default_layer, freeze, open_encoder
from sidscan.training.localization.fit import (
    DecoderFit,
    build_decoder,
    epoch_batches,
    localization_loss,
    trained_parameters,
)
from sidscan.training.localization.recipe import LocalizerRecipe
from sidscan.training.localization.tokens import FrozenEncoders
from sidscan.training.localization.train import train

CLIP = {"width": 64, "blocks": 2, "patch": 14, "side": 224, "embedding": 8}  # 16 x 16 patches
QUICK = ("--decoder", "linear", "--epochs", "2", "--batch-size", "4", "--lr", "0.01", "--quiet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dolos_like(tmp_path_factory.mktemp("data") / "celebahq", {"train": 10, "valid": 4, "test": 4})


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return patch_clip(tmp_path_factory.mktemp("encoder") / "tiny.safetensors")


def patch_clip(path: Path, patch: int = 14) -> Path:
    """Random weights whose patches reflect fine detail: high-pass filters, equal position embeddings."""
    state = random_clip(**{**CLIP, "patch": patch})
    kernel = state["conv1.weight"]
    state["conv1.weight"] = 8 * (kernel - functional.avg_pool2d(kernel, 3, 1, 1))
    state["positional_embedding"][:] = state["positional_embedding"][1].clone()
    save_file({f"visual.{name}": tensor for name, tensor in state.items()}, path)
    return path


def invoke(data: Path, encoder: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(
        cli,
        ["train-localizer", str(data), "--encoder", str(encoder), "--out", str(out), *QUICK, *options],
        standalone_mode=False,
    )


def trained(data: Path, encoder: Path, out: Path, *options: str) -> LocalizerCheckpoint:
    result = invoke(data, encoder, out, *options)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return read_localizer_checkpoint(out)[0]


def settings(data: Path, encoder: Path, epochs: int = 3, **choices: Any) -> LocalizerConfig:
    recipe = LocalizerRecipe(decoder="linear", batch=4, epochs=epochs, **{"lr": 0.01, **choices})
    return LocalizerConfig(data=data, recipe=recipe, encoders=(str(encoder),), bars=False, device="cpu")


def test_an_epoch_learns_and_the_checkpoint_says_how(data: Path, encoder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    train(settings(data, encoder, epochs=8, lr=0.03), tmp_path / "a.safetensors", lines.append)
    checkpoint, _ = read_localizer_checkpoint(tmp_path / "a.safetensors")
    facts = checkpoint.facts
    scores = [epoch["validation"] for epoch in facts["epochs"]]
    assert max(scores) > scores[0]
    assert max(scores) > 40  # percent; a constant map reaches the share of the regions, about 25
    best = facts["best_epoch"]
    assert scores[best - 1] == max(scores)
    train(settings(data, encoder, epochs=best, lr=0.03), tmp_path / "best.safetensors", lines.append)
    shorter, _ = read_localizer_checkpoint(tmp_path / "best.safetensors")
    assert torch.equal(shorter.tensors["fc.0.weight"], checkpoint.tensors["fc.0.weight"])
    assert facts["data"]["sets"] == ["ldm"]
    assert facts["data"]["train"]["synthetic"] == 10
    assert facts["left_out"] == {"train": [], "valid": []}
    assert checkpoint.config == {
        "arch": "CLIP:ViT-L/14",
        "layer": 1,
        "decoder": "linear",
        "channels": 64,
    }
    assert str(tmp_path) not in json.dumps(facts)
    assert lines[0] == "train: 10 images with masks (ldm)"
    assert f"best: epoch {best} of 8" in lines
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_same_seed_gives_the_same_file_and_another_one_another(
    data: Path, encoder: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        trained(data, encoder, tmp_path / f"{name}.safetensors", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.parametrize("options", [(), ("--augment", "all"), ("--target", "images")], ids=str)
@pytest.mark.parametrize("stop_after", [2, 3], ids=["within an epoch", "at the end of an epoch"])
def test_a_stopped_run_goes_on_to_the_same_weights(
    data: Path,
    encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    stop_after: int,
) -> None:
    whole = trained(data, encoder, tmp_path / "whole.safetensors", *options)
    steps, step = 0, DecoderFit.step

    def counted(self: DecoderFit, *arguments: Any) -> float:
        nonlocal steps
        steps += 1
        if steps == stop_after + 1:
            raise KeyboardInterrupt  # as a kill: nothing of this run is saved but what was saved before
        return step(self, *arguments)

    monkeypatch.setattr(run, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(DecoderFit, "step", counted)
    out = tmp_path / "stopped.safetensors"
    assert invoke(data, encoder, out, *options).exit_code != 0
    assert not out.exists()
    assert out.with_name("stopped.safetensors.unfinished").exists()
    monkeypatch.setattr(DecoderFit, "step", step)
    again = trained(data, encoder, out, *options)
    assert whole.facts == again.facts
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, again.tensors[name]), name


def test_ctrl_c_stops_between_two_steps_and_saves(
    data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(data, encoder, tmp_path / "whole.safetensors")
    step = DecoderFit.step

    def interrupted(self: DecoderFit, *arguments: Any) -> float:
        signal.raise_signal(signal.SIGINT)
        return step(self, *arguments)

    monkeypatch.setattr(DecoderFit, "step", interrupted)
    lines: list[str] = []
    out = tmp_path / "stopped.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(settings(data, encoder, epochs=2), out, lines.append)
    assert lines[-1].startswith("stopped after epoch 0, batch 1; saved in")
    monkeypatch.setattr(DecoderFit, "step", step)
    train(settings(data, encoder, epochs=2), out, lines.append)
    assert "going on after epoch 0, batch 1 of an unfinished run" in lines
    again = read_localizer_checkpoint(out)[0]
    assert torch.equal(whole.tensors["fc.0.weight"], again.tensors["fc.0.weight"])


def test_a_run_may_end_sooner_than_it_was_begun_for(data: Path, encoder: Path, tmp_path: Path) -> None:
    out, lines = tmp_path / "a.safetensors", []  # type: Path, list[str]
    setup = settings(data, encoder, epochs=2)

    def stop(line: str) -> None:
        lines.append(line)
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(data, encoder, epochs=400), out, stop)
    train(setup, out, lines.append)
    assert "going on after epoch 1, batch 0 of an unfinished run" in lines
    assert len(read_localizer_checkpoint(out)[0].facts["epochs"]) == 2


def test_cached_features_give_nearly_the_same_and_are_made_once(
    data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ("--cache", str(tmp_path / "cache"))
    fresh = trained(data, encoder, tmp_path / "fresh.safetensors")
    cached = trained(data, encoder, tmp_path / "cached.safetensors", *cache)
    assert fresh.tensors["fc.0.weight"].numpy() == pytest.approx(
        cached.tensors["fc.0.weight"].numpy(), abs=0.01
    )
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 14
    assert len(list((tmp_path / "cache").rglob("facts.json"))) == 1
    encode = FrozenEncoders.encode
    calls: list[int] = []

    def counted(self: FrozenEncoders, images: list[np.ndarray[Any, Any]]) -> list[torch.Tensor]:
        calls.append(len(images))
        return encode(self, images)

    monkeypatch.setattr(FrozenEncoders, "encode", counted)
    again = trained(data, encoder, tmp_path / "again.safetensors", *cache)
    assert not calls
    assert torch.equal(again.tensors["fc.0.weight"], cached.tensors["fc.0.weight"])


def test_a_file_in_declips_format_has_its_keys(data: Path, encoder: Path, tmp_path: Path) -> None:
    assert invoke(data, encoder, tmp_path / "a.pth").exit_code == 0
    stored = torch.load(tmp_path / "a.pth", weights_only=True)
    assert list(stored) == ["model", "optimizer", "total_steps", "feature_layer", "decoder_type"]
    assert list(stored["model"]) == ["fc.0.weight", "fc.0.bias"]
    assert (stored["feature_layer"], stored["decoder_type"]) == ("layer1", "linear")
    assert stored["total_steps"] in (3, 6)
    assert len(stored["optimizer"]["state"]) == 2
    steps = {int(state["step"]) for state in stored["optimizer"]["state"].values()}
    assert steps == {stored["total_steps"]}  # the optimiser is that of the best epoch, not of the last


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        pytest.param(("--layer", "2"), 2, "an encoder has no layer 2", id="layer"),
        pytest.param(("--sets", "lama"), 2, "has no set called lama", id="set"),
        pytest.param(("--synthetic-is", "white", "--layout", "autosplice"), 2, "AutoSplice", id="layout"),
        pytest.param(("--cache", "c", "--augment", "blur"), 2, "--cache has no effect", id="cache"),
    ],
)
def test_what_can_not_be_trained_is_refused(
    data: Path, encoder: Path, tmp_path: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    result = invoke(data, encoder, tmp_path / "a.safetensors", *options)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
    assert result.exception.exit_code == code


def test_convolutions_take_patches_of_any_size(data: Path, tmp_path: Path) -> None:
    coarse = patch_clip(tmp_path / "coarse.safetensors", patch=28)
    checkpoint = trained(data, coarse, tmp_path / "a.safetensors", "--decoder", "conv-4", "--epochs", "1")
    decoder = localizer_family("declip").untrained(checkpoint.config).eval()
    decoder.load_state_dict(checkpoint.tensors, strict=True)
    with torch.no_grad():
        assert decoder(torch.rand(1, 64, 8, 8)).shape == (1, 256, 256)


def test_a_residual_network_is_read_alone_or_beside_a_transformer(encoder: Path, tmp_path: Path) -> None:
    opened = [open_encoder(str(path)) for path in (encoder, small_resnet(tmp_path / "resnet.safetensors"))]
    networks = [each.encoder for each in opened]
    assert default_layer(networks[1:]) == 3
    alone = decoder_shape("conv-4", 3, networks[1:])
    both = decoder_shape("conv-4", 1, networks)
    assert (alone["arch"], alone["layer"], alone["channels"]) == ("CLIP:RN50", 3, 128)
    assert (both["arch"], both["layer"], both["channels"]) == ("CLIP:ViT-L/14,RN50", 1, 64 + 128)
    decoder = build_decoder(both, LocalizerRecipe(decoder="conv-4"))
    frozen = freeze(opened, decoder, "cpu", "fp32")  # checks that maps have 256 px
    shapes = [tuple(part.shape) for part in frozen.encode([np.zeros((224, 224, 3), np.uint8)])]
    assert shapes == [(1, 64, 16, 16), (1, 128, 14, 14)]
    with pytest.raises(UsageError, match="these encoders don't go together"):
        decoder_shape("conv-4", 1, networks[::-1])


FOREIGN = "does not say that sidscan wrote it; it is left alone"


def test_fresh_replaces_checkpoints_and_overwrite_anything(data: Path, encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    out.write_bytes(b"mine")
    assert "exists" in str(invoke(data, encoder, out).exception)
    refused = invoke(data, encoder, out, "--fresh").exception
    assert isinstance(refused, OutputError)
    assert FOREIGN in refused.message
    assert out.read_bytes() == b"mine"
    assert trained(data, encoder, out, "--overwrite").family == "declip"
    assert "exists" in str(invoke(data, encoder, out).exception)
    assert trained(data, encoder, out, "--fresh", "--seed", "1").family == "declip"


def test_a_file_that_appeared_during_the_training_stays(data: Path, encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"

    def put(line: str) -> None:
        if line.startswith("epoch 3"):
            out.write_bytes(b"mine")

    with pytest.raises(UsageError, match="exists"):
        train(settings(data, encoder), out, put)
    assert out.read_bytes() == b"mine"
    out.rename(tmp_path / "elsewhere")
    lines: list[str] = []
    train(settings(data, encoder), out, lines.append)  # nothing of the training was lost
    assert "going on after epoch 3, batch 0 of an unfinished run" in lines
    assert read_localizer_checkpoint(out)


def test_a_published_file_is_not_taken_for_one_of_sidscan(data: Path, encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.pth"
    assert invoke(data, encoder, out).exit_code == 0
    assert FOREIGN in str(invoke(data, encoder, out, "--fresh").exception)


def test_an_unfinished_run_of_other_settings_is_refused(data: Path, encoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"

    def stop(line: str) -> None:
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings(data, encoder), out, stop)
    with pytest.raises(UsageError, match="belongs to a run with other data"):
        train(settings(data, encoder, seed=5), out, lambda _: None)


def test_an_unreadable_mask_stops_training_or_is_named(encoder: Path, tmp_path: Path) -> None:
    data = dolos_like(tmp_path / "data", {"train": 3, "valid": 2}, real=False)
    (data / "fake/ldm/masks/train/001-0.png").write_bytes(b"no image")
    result = invoke(data, encoder, tmp_path / "a.safetensors")
    assert "001-0.png can't be read" in str(result.exception)
    result = invoke(data, encoder, tmp_path / "a.safetensors", "--skip-unreadable")
    assert result.exception is None
    assert result.return_value == 3
    checkpoint, _ = read_localizer_checkpoint(tmp_path / "a.safetensors")
    assert checkpoint.facts["left_out"]["train"] == ["fake/ldm/images/train/001-0.png"]


def test_published_first_weights_are_drawn_for_all_of_fc() -> None:
    shape = {"arch": "CLIP:ViT-L/14", "layer": 1, "decoder": "conv-4", "channels": 8}
    decoder = build_decoder(shape, LocalizerRecipe(decoder="conv-4", init="published"))
    for name, parameter in decoder.named_parameters():
        if name.endswith("weight"):  # factors of batch normalisation too, which PyTorch sets to 1
            assert abs(float(parameter.detach().mean())) < 0.01
            assert float(parameter.detach().std()) == pytest.approx(0.02, rel=0.3)
    default = build_decoder(shape, LocalizerRecipe(decoder="conv-4"))
    factors = [value for name, value in default.named_parameters() if name == "fc.1.weight"]
    assert bool((factors[0] == 1).all())


@pytest.mark.parametrize("init", get_args(recipes.Init))
def test_the_optimiser_is_the_published_one(init: recipes.Init) -> None:
    shape = {"arch": "CLIP:ViT-L/14", "layer": 1, "decoder": "linear", "channels": 8}
    recipe = LocalizerRecipe(init=init)
    fit = DecoderFit(build_decoder(shape, recipe), recipe, torch.device("cpu"))
    (group,) = fit.optimiser.param_groups
    assert isinstance(fit.optimiser, torch.optim.AdamW)
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-3, (0.9, 0.999), 0)
    assert (recipe.decoder, recipe.layer, recipe.batch, recipe.epochs) == ("conv-20", 20, 64, 400)
    assert recipe.augment == "none"


def test_batches_are_shuffled_anew_in_every_epoch_and_hold_each_image_once() -> None:
    recipe = LocalizerRecipe(batch=4)
    first, second = epoch_batches(10, recipe, 0), epoch_batches(10, recipe, 1)
    for batches in (first, second):
        assert [len(batch) for batch in batches] == [4, 4, 2]  # the last one is not left out
        assert sorted(number for batch in batches for number in batch) == list(range(10))
    assert first != second


def test_as_published_only_fc_is_trained() -> None:
    decoder = make_decoder("attention", "CLIP:ViT-L/14", 1, 64)
    published = trained_parameters(decoder, LocalizerRecipe(decoder="attention", init="published"))
    names = [name for name, value in decoder.named_parameters() if any(value is one for one in published)]
    assert sorted(names) == [
        *(f"att{block}.mlp.c_fc.{part}" for block in (1, 2) for part in ("bias", "weight")),
        *("fc.0.bias", "fc.0.weight"),
    ]
    everything = trained_parameters(decoder, LocalizerRecipe(decoder="attention"))
    assert len(everything) == len(list(decoder.parameters()))


def test_the_loss_against_a_float64_computation() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(3, 8, 8)), rng.random((3, 8, 8))
    targets[2] = 0
    tensors = torch.from_numpy(logits).float(), torch.from_numpy(targets).float()
    chance = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(chance) + (1 - targets) * np.log(1 - chance)).mean()
    assert float(localization_loss(*tensors, "pixels")) == pytest.approx(expected, rel=1e-5)
    mean = 1 / (1 + np.exp(-logits.mean(axis=(1, 2))))
    by_image = -np.log([mean[0], mean[1], 1 - mean[2]]).mean()
    assert float(localization_loss(*tensors, "images")) == pytest.approx(by_image, rel=1e-5)


def test_the_command_and_the_library_know_the_same_names() -> None:
    assert localizer_options.DECODERS == DECODERS
    assert set(localizer_options.AUGMENTATIONS) == {"none", *AUGMENTATIONS}
    assert get_args(recipes.Init) == localizer_options.INITS
    assert get_args(recipes.Target) == localizer_options.TARGETS
    assert get_args(recipes.Augment) == localizer_options.AUGMENTATIONS
