"""Cascades: what is taken for one, and how cards, checkpoints and graphs state it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from sidscan.errors import ModelError
from sidscan.models.cascade import Cascade
from sidscan.models.catalog import find_entry
from sidscan.models.checkpoints import Checkpoint, read_checkpoint
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.onnx_graph import LAYOUT, GraphInfo
from sidscan.models.origins import Bundled

CASCADE = Cascade(centre=2.5, mirrors=0.5)
WRONG = [
    pytest.param({}, id="empty"),
    pytest.param({"centre": 1.0}, id="incomplete"),
    pytest.param({"centre": 1.0, "mirrors": 1.0, "corners": 1.0}, id="unknown field"),
    pytest.param({"centre": "1", "mirrors": 1.0}, id="text"),
    pytest.param({"centre": True, "mirrors": 1.0}, id="truth value"),
    pytest.param({"centre": -1.0, "mirrors": 1.0}, id="negative"),
    pytest.param({"centre": math.inf, "mirrors": 1.0}, id="infinite"),
    pytest.param({"centre": math.nan, "mirrors": 1.0}, id="not a number"),
    pytest.param(["centre", "mirrors"], id="list"),
    pytest.param("centre", id="string"),
]


@pytest.mark.parametrize("raw", WRONG)
def test_anything_else_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match="cascade"):
        Cascade.from_dict(raw)


def test_a_cascade_survives_json() -> None:
    assert Cascade.from_dict(json.loads(json.dumps(asdict(CASCADE)))) == CASCADE
    assert Cascade.from_dict({"centre": 2, "mirrors": 0}) == Cascade(2.0, 0.0)
    assert Cascade.from_optional(None) is None


def card(folder: Path, **facts: object) -> Bundled:
    """A bundled model with this card."""
    stated = {"sha256": "ab" * 32, "threshold": 0.4, "metrics": {}, "abstention": {}, **facts}
    (folder / "m.json").write_text(json.dumps(stated))
    return Bundled("m.safetensors", "m.json", folder)


def test_a_card_may_state_a_cascade(tmp_path: Path) -> None:
    assert card(tmp_path).cascade is None
    assert card(tmp_path, cascade=asdict(CASCADE)).cascade == CASCADE


@pytest.mark.parametrize("raw", WRONG)
def test_a_card_with_another_cascade_is_damaged(tmp_path: Path, raw: Any) -> None:
    with pytest.raises(ModelError, match="states an unusable cascade"):
        _ = card(tmp_path, cascade=raw).cascade


@pytest.mark.parametrize("name", ["mini", "rine-4class", "ufd"])
def test_the_catalogs_detectors_state_none(name: str) -> None:
    assert find_entry(name).cascade is None


def test_a_checkpoint_of_a_head_may_state_a_cascade(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    tensors = {"weight": torch.zeros(1, 8), "bias": torch.zeros(1)}
    plain = Checkpoint(tensors, "linear", "encoder", "ab" * 32, 0.4, {})
    for cascade in (None, CASCADE):
        path.write_bytes(
            Checkpoint(tensors, "linear", "encoder", "ab" * 32, 0.4, {}, cascade=cascade).to_bytes()
        )
        assert read_checkpoint(path)[0].cascade == cascade
    assert b"cascade" not in plain.to_bytes()


def test_a_checkpoint_with_an_encoder_may_state_a_cascade(tmp_path: Path) -> None:
    path = tmp_path / "both.safetensors"
    tensors = {"encoder.weight": torch.zeros(1)}
    path.write_bytes(save(tensors, {"threshold": "0.4"}))
    assert read_checkpoint(path)[0].cascade is None
    path.write_bytes(save(tensors, {"threshold": "0.4", "cascade": json.dumps(asdict(CASCADE))}))
    assert read_checkpoint(path)[0].cascade == CASCADE
    path.write_bytes(save(tensors, {"threshold": "0.4", "cascade": "[]"}))
    with pytest.raises(ModelError, match="is not a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("cascade", [None, CASCADE])
def test_a_graph_states_the_cascades_of_its_detectors(cascade: Cascade | None) -> None:
    detector = DetectorInfo("one", "d", 0.4, {"one": "d"}, {}, cascade=cascade)
    info = GraphInfo((detector,), "fp32", "fp32", LAYOUT, {}, {}, {}, "1", "2")
    text = info.to_json()
    assert GraphInfo.from_json(text).detectors == (detector,)
    assert ("cascade" in text) is (cascade is not None), "sidscan 0.2.0 reads graphs without the key alone"
