"""Checkpoints: `scan --model FILE`, and files that are refused."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file
from sample_images import folder
from tiny_networks import random_clip, random_head

from sidscan.errors import ModelError
from sidscan.models import checkpoints, detectors
from sidscan.models.checkpoints import Checkpoint
from sidscan.models.heads.base import Head
from sidscan.models.heads.feature_pyramid import FpnHead, FpnLevelsHead
from sidscan.models.heads.linear_probe import LinearProbe
from sidscan.models.heads.rine_depths import RineDepthsHead
from sidscan.models.store import Store

Run = Callable[..., Any]
CLIP = {"width": 64, "blocks": 2, "patch": 56, "side": 224, "embedding": 8}


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """The weights of a small CLIP."""
    path = tmp_path / "small-clip.safetensors"
    save_file({f"visual.{name}": tensor for name, tensor in random_clip(**CLIP).items()}, path)
    return path


def _head(kind: str) -> Head:
    torch.manual_seed(1)
    if kind == "rine":
        return random_head(2, 64, 16, 2)
    return LinearProbe(8) if kind == "linear" else FpnHead(2, 64, 4)


def _write(path: Path, encoder: Path, head: Head, kind: str, threshold: float = 0.4) -> Path:
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    checkpoint = Checkpoint(dict(head.state_dict()), kind, encoder.name, sha256, threshold, {"seed": 0})
    path.write_bytes(checkpoint.to_bytes())
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["rine", "linear", "fpn"])
def test_a_checkpoint_scores(sidscan: Run, tmp_path: Path, encoder: Path, kind: str) -> None:
    head = _head(kind)
    model = _write(tmp_path / "my.safetensors", encoder, head, kind)
    images = folder(tmp_path / "images")
    ended = sidscan("scan", images, "--model", model, "--encoder", encoder, "--out", tmp_path / "r.csv")
    assert ended.code == 0, ended.err
    files = [hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in (model, encoder)]
    (loaded,) = detectors.load_detectors([str(model)], encoder=encoder)
    for name, tensor in loaded.head.state_dict().items():
        assert torch.equal(tensor, head.state_dict()[name])
    for row in _rows(tmp_path / "r.csv"):
        assert (row["model"], row["model_digest"], row["threshold"]) == (
            "my.safetensors",
            "+".join(files),
            "0.4",
        )
        assert row["model_provenance"] == (
            "my.safetensors: file given by the user; small-clip.safetensors: file given by the user"
        )
        assert 0 < float(row["score"]) < 1


def test_checkpoints_and_the_bundled_model_score_side_by_side(
    sidscan: Run, tmp_path: Path, encoder: Path
) -> None:
    names = [_write(tmp_path / f"{k}.safetensors", encoder, _head(k), k) for k in ("rine", "linear")]
    arguments = [part for name in (*names, "mini") for part in ("--model", name)]
    ended = sidscan(
        "scan", folder(tmp_path / "i"), *arguments, "--encoder", encoder, "--out", tmp_path / "r.csv"
    )
    assert ended.code == 0
    for row in _rows(tmp_path / "r.csv"):
        assert (row["model"], row["linear.safetensors.model"], row["mini.model"]) == (
            "rine.safetensors",
            "linear.safetensors",
            "mini",
        )


def test_a_folder_stands_for_its_checkpoints(sidscan: Run, tmp_path: Path, encoder: Path) -> None:
    heads = tmp_path / "heads"
    heads.mkdir()
    ended = sidscan("scan", folder(tmp_path / "i"), "--model", heads, "--encoder", encoder)
    assert (ended.code, ended.err) == (
        4,
        f"sidscan: the folder {heads} holds no checkpoint\n`sidscan train` and `study` write them.\n",
    )
    for kind in ("rine", "linear"):
        _write(heads / f"{kind}.safetensors", encoder, _head(kind), kind)
    ended = sidscan(
        "scan", tmp_path / "i", "--model", heads, "--encoder", encoder, "--out", tmp_path / "r.csv"
    )
    assert ended.code == 0
    assert {row["model"] for row in _rows(tmp_path / "r.csv")} == {"linear.safetensors"}
    assert "model: linear.safetensors, rine.safetensors (asked for)" in ended.err


def test_the_bundled_file_is_a_checkpoint_too(tmp_path: Path) -> None:
    bundled = Store().require("mini")
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(bundled.path.read_bytes())
    (copied, catalogued) = detectors.load_detectors([str(copy), "mini"])
    assert copied.info.name == "copy.safetensors"
    assert copied.info.digest == catalogued.info.digest
    assert copied.info.threshold == pytest.approx(catalogued.info.threshold)
    crops = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    assert torch.equal(copied.head(copied.encoder(crops)), catalogued.head(catalogued.encoder(crops)))


def test_another_encoder_is_refused(sidscan: Run, tmp_path: Path, encoder: Path) -> None:
    model = _write(tmp_path / "my.safetensors", encoder, _head("rine"), "rine")
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    other = tmp_path / "other.safetensors"
    state = random_clip(**CLIP, seed=5)
    save_file({f"visual.{name}": tensor for name, tensor in state.items()}, other)
    ended = sidscan("scan", folder(tmp_path / "images"), "--model", model)
    assert ended.code == 4
    assert ended.err == (
        "sidscan: this checkpoint was trained on the encoder small-clip.safetensors with sha256 "
        f"{sha256}, which is not here\nName its weights with --encoder FILE.\n"
    )
    given = hashlib.sha256(other.read_bytes()).hexdigest()
    ended = sidscan("scan", tmp_path / "images", "--model", model, "--encoder", other)
    assert ended.code == 4
    assert ended.err == (
        f"sidscan: {other} is not the encoder small-clip.safetensors that this checkpoint was trained on: "
        f"sha256 {given}, expected {sha256}\nName the weights that it was trained on, whole and unchanged.\n"
    )


def test_a_head_that_does_not_fit_its_encoder(sidscan: Run, tmp_path: Path, encoder: Path) -> None:
    model = _write(tmp_path / "my.safetensors", encoder, random_head(3, 64, 8, 1), "rine")
    ended = sidscan("scan", folder(tmp_path / "images"), "--model", model, "--encoder", encoder)
    assert (ended.code, ended.err) == (
        4,
        f"sidscan: {model}: this rine head does not fit the encoder that is named with it\n",
    )


def test_two_files_with_the_same_name(tmp_path: Path, encoder: Path) -> None:
    (tmp_path / "a").mkdir()
    names = [
        str(_write(tmp_path / subfolder / "m.safetensors", encoder, _head("rine"), "rine"))
        for subfolder in ("", "a")
    ]
    with pytest.raises(ModelError, match=r"two models are called m\.safetensors"):
        detectors.load_detectors(names, encoder=encoder)


def test_a_missing_file(sidscan: Run, tmp_path: Path) -> None:
    ended = sidscan("scan", folder(tmp_path / "images"), "--model", "nowhere/my.safetensors")
    assert (ended.code, ended.err) == (
        4, "sidscan: nowhere/my.safetensors can't be read: No such file or directory\nCheck the path.\n"
    )  # fmt: skip


WRITTEN_BY = "`sidscan train` writes files that --model takes; `sidscan models import` takes published ones."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "not a whole safetensors file", id="empty"),
        pytest.param(b"PK\x03\x04 a published head", "not a whole safetensors file", id="a-zip"),
        pytest.param(
            save({"a": torch.zeros(1)}), "it does not say what head it is, on which encoder", id="no-metadata"
        ),
        pytest.param(
            save({"a": torch.zeros(1)}, {"sidscan": "[]"}),
            "it does not say what head it is, on which encoder",
            id="a-list",
        ),
        pytest.param(
            save({"a": torch.zeros(1)}, {"sidscan": '{"threshold": 2}'}),
            "it does not say what head it is, on which encoder",
            id="threshold",
        ),
        pytest.param(
            save(
                {"a": torch.zeros(1)},
                {"sidscan": f'{{"threshold": 0.5, "format": "{checkpoints._FORMAT}", "head": "other"}}'},
            ),
            "it does not say what head it is, on which encoder",
            id="unknown-head",
        ),
    ],
)
def test_files_that_are_not_checkpoints_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError) as refused:
        checkpoints.read_checkpoint(path)
    assert refused.value.message == f"{path} is not a checkpoint: {message}"
    assert refused.value.remedy == WRITTEN_BY


def test_a_truncated_checkpoint_is_refused(tmp_path: Path, encoder: Path) -> None:
    path = _write(tmp_path / "x.safetensors", encoder, _head("rine"), "rine")
    whole = path.read_bytes()
    for length in (9, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="not a whole safetensors file"):
            checkpoints.read_checkpoint(path)


def test_tensors_that_do_not_match_the_stated_head(tmp_path: Path, encoder: Path) -> None:
    path = _write(tmp_path / "x.safetensors", encoder, _head("linear"), "rine")
    with pytest.raises(ModelError, match="tensors are not those of a rine head"):
        detectors.load_detectors([str(path)], encoder=encoder)


@pytest.mark.parametrize(
    ("kind", "changed", "why"),
    [
        pytest.param(
            "rine_depths",
            {"widths": torch.tensor([10**9, 5]), "alpha": torch.zeros(1, 2, 10**5)},
            r"proj1.5.1.weight has shape \(4, 5\), not \(100000, 5\)",
            id="more than memory holds",
        ),
        pytest.param("rine_depths", {"widths": torch.tensor(3)}, "", id="no list of widths"),
        pytest.param("rine_depths", {"alpha": torch.zeros(2, 4)}, "", id="alpha of another rank"),
        pytest.param("fpn_levels", {"sides": torch.tensor([10**9, 2])}, "does not fit", id="another side"),
        pytest.param("fpn_levels", {"sides": torch.tensor(4)}, "", id="no list of sides"),
        pytest.param("fpn_levels", {"lateral.0.weight": torch.zeros(())}, "", id="a number"),
    ],
)
def test_heads_of_several_widths_from_a_stranger(
    tmp_path: Path, encoder: Path, kind: str, changed: dict[str, torch.Tensor], why: str
) -> None:
    """They state their own shape: nothing of the size that they state is made before it is checked."""
    head = RineDepthsHead((3, 5), 4, 1) if kind == "rine_depths" else FpnLevelsHead([(2, 4), (3, 2)], 5)
    sha256 = hashlib.sha256(encoder.read_bytes()).hexdigest()
    checkpoint = Checkpoint(head.state_dict() | changed, kind, encoder.name, sha256, 0.5, {})
    (path := tmp_path / "x.safetensors").write_bytes(checkpoint.to_bytes())
    with pytest.raises(ModelError, match=why or f"tensors are not those of a {kind} head"):
        detectors.load_detectors([str(path)], encoder=encoder)


def test_facts_survive_the_round_trip(tmp_path: Path, encoder: Path) -> None:
    path = _write(tmp_path / "x.safetensors", encoder, _head("rine"), "rine", threshold=0.123456789)
    checkpoint, sha256 = checkpoints.read_checkpoint(path)
    assert (checkpoint.threshold, checkpoint.facts) == (0.123456789, {"seed": 0})
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert json.loads(json.dumps(checkpoint.facts)) == checkpoint.facts
