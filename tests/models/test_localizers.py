"""Localizers: checkpoints are read whole or refused, and encoders are those that a decoder was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from sample_localizers import random_checkpoint, write_fusion_localizer, write_localizer

from sidscan.errors import DigestMismatch, ModelError, UnknownModel
from sidscan.models.checkpoints import read_checkpoint
from sidscan.models.digests import hash_file
from sidscan.models.localizer_checkpoints import LocalizerCheckpoint, read_localizer_checkpoint
from sidscan.models.localizers import TileSpec, load_localizer


def test_a_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    sha256 = {path.name: hash_file(path, "sha256")["sha256"] for path in (model, encoder)}
    info, network, fp16_safe = load_localizer(model, encoders=[encoder])
    assert info.name == "localizer.safetensors"
    assert info.files == sha256
    assert info.digest == "+".join(digest[:16] for digest in sha256.values())
    assert info.provenance == dict.fromkeys(sha256, "file given by the user")
    assert (info.tile, info.threshold, info.alarm_area) == (TileSpec(256, 224, 128), 0.5, 0.02)
    assert (info.licence, info.card) == ("Apache-2.0", {"seed": 7})
    assert fp16_safe
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    checkpoint, _ = read_localizer_checkpoint(model)
    assert checkpoint.to_bytes() == model.read_bytes()
    assert random_checkpoint(encoder).to_bytes() == model.read_bytes()


def _resaved(checkpoint: LocalizerCheckpoint, without: str = "", **stated: Any) -> bytes:
    """The file with other metadata, or without some."""
    data = checkpoint.to_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    before = json.loads(header["__metadata__"]["sidscan"])
    before.pop(without, None)
    return save(dict(checkpoint.tensors), {"sidscan": json.dumps({**before, **stated})})


@pytest.mark.parametrize(
    "stated",
    [
        {"format": "sidscan localizer 9"},
        {"family": "rine"},
        {"family": ["declip"]},
        {"threshold": 1.0},
        {"threshold": "nan"},
        {"alarm_area": 1.5},
        {"alarm_contrast": -0.1},
        {"alarm_contrast": "inf"},
        {"tile": {"side": 256, "read": 224}},
        {"tile": {"side": 256, "read": 257, "stride": 128}},
        {"tile": {"side": 256, "read": 224, "stride": 0}},
        {"tile": {"side": "256", "read": 224, "stride": 128}},
        {"encoders": ["clip"]},
        {"config": 3},
    ],
    ids=str,
)
def test_other_metadata_is_refused(tmp_path: Path, stated: dict[str, Any]) -> None:
    _, encoder = write_localizer(tmp_path)
    path = tmp_path / "other.safetensors"
    path.write_bytes(_resaved(random_checkpoint(encoder), **stated))
    with pytest.raises(ModelError, match="is not a localizer's checkpoint, or not all of it"):
        load_localizer(path, encoders=[encoder])


def test_a_file_from_before_contrasts_were_measured_states_none(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    model.write_bytes(_resaved(random_checkpoint(encoder), without="alarm_contrast"))
    assert load_localizer(model, encoders=[encoder]).info.alarm_contrast is None
    assert b"alarm_contrast" not in model.read_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x08\0\0\0\0\0\0\0{}      "], ids=["empty", "zip", "bare"]
)
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="is not a localizer's checkpoint, or not all of it"):
        load_localizer(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("fc.0.bias"), 'Missing key.*"fc.0.bias"'),
        (lambda tensors: tensors.update({"fc.1.bias": torch.zeros(1)}), 'Unexpected key.*"fc.1.bias"'),
        (lambda tensors: tensors.update({"fc.0.bias": torch.zeros(2)}), "size mismatch for fc.0.bias"),
    ],
    ids=["missing", "surplus", "another size"],
)
def test_tensors_that_are_not_the_decoders_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    model, encoder = write_localizer(tmp_path)
    checkpoint = random_checkpoint(encoder)
    change(checkpoint.tensors)
    model.write_bytes(checkpoint.to_bytes())
    with pytest.raises(ModelError, match=f"(?s)these tensors are not those of a declip decoder: .*{message}"):
        load_localizer(model, encoders=[encoder])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layer": 5}, "this declip decoder does not fit the encoders that are named with it"),
        ({"decoder": "conv-8"}, "DeCLIP has no conv-8 decoder"),
    ],
)
def test_another_layer_or_decoder_is_refused(tmp_path: Path, config: dict[str, object], message: str) -> None:
    model, encoder = write_localizer(tmp_path)
    checkpoint = random_checkpoint(encoder)
    model.write_bytes(replace(checkpoint, config={**checkpoint.config, **config}).to_bytes())
    with pytest.raises(ModelError, match=message) as refused:
        load_localizer(model, encoders=[encoder])
    assert refused.value.message.startswith(f"{model}: ")


def test_another_encoder_is_refused(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    encoder.write_bytes(encoder.read_bytes() + b" ")
    with pytest.raises(DigestMismatch, match="is not the encoder"):
        load_localizer(model, encoders=[encoder])


def test_two_encoders_are_named_in_any_order(tmp_path: Path) -> None:
    model, encoders = write_fusion_localizer(tmp_path)
    names = ["fusion.safetensors", "clip.safetensors", "resnet.safetensors"]
    loaded = load_localizer(model, encoders=encoders)
    assert list(loaded.info.files) == names
    assert load_localizer(model, encoders=encoders[::-1]).info == loaded.info
    tiles = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    assert loaded.network(tiles).shape[-2:] == (256, 256)
    with pytest.raises(DigestMismatch, match=r"the encoder resnet\.safetensors .* which is not here"):
        load_localizer(model, encoders=encoders[:1])
    with pytest.raises(DigestMismatch, match=r"fusion.* is not the encoder clip\.safetensors or resnet\.saf"):
        load_localizer(model, encoders=[*encoders, model])


def test_maps_are_of_the_size_of_tiles(tmp_path: Path) -> None:
    model, encoder = write_localizer(tmp_path)
    model.write_bytes(replace(random_checkpoint(encoder), tile=TileSpec(224, 224, 112)).to_bytes())
    with pytest.raises(ModelError, match="its maps are of 256 px, its tiles of 224 px"):
        load_localizer(model, encoders=[encoder])
    model.write_bytes(replace(random_checkpoint(encoder), tile=TileSpec(256, 200, 128)).to_bytes())
    with pytest.raises(ModelError, match="its tiles are resized to 200 px, and encoders read 224 px"):
        load_localizer(model, encoders=[encoder])


def test_unknown_names_and_other_kinds_are_refused() -> None:
    with pytest.raises(UnknownModel):
        load_localizer("nothing")
    with pytest.raises(ModelError, match="mini is not a localizer: its kind is detector"):
        load_localizer("mini")


def test_a_localizer_is_not_taken_for_a_detector(tmp_path: Path) -> None:
    model, _ = write_localizer(tmp_path)
    with pytest.raises(ModelError) as refused:
        read_checkpoint(model)
    assert str(refused.value) == (
        f"{model} is a localizer, which makes maps and gives no scores\n"
        f"`sidscan localize --model {model}` makes maps with it."
    )
