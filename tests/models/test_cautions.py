"""Cautions: what is taken for one, and how cards, checkpoints and graphs state them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from sidscan.errors import ModelError
from sidscan.models.catalog import find_entry
from sidscan.models.cautions import Caution
from sidscan.models.checkpoints import Checkpoint, read_checkpoint
from sidscan.models.detector_info import DetectorInfo, probe_columns
from sidscan.models.onnx_graph import LAYOUT, GraphInfo, output_names
from sidscan.models.origins import Bundled
from sidscan.records import ImageInfo

LOSSLESS = Caution("lossless", "file", 0.07, 185)
DRAWN = Caution("drawn", "probe", 0.094, 180, threshold=1.5)
BOTH = (DRAWN, LOSSLESS)
RAW = [asdict(caution) for caution in BOTH]


def changed(**values: object) -> dict[str, object]:
    return {**asdict(DRAWN), **values}


WRONG = [
    pytest.param([{}], id="empty"),
    pytest.param([changed(colour="red")], id="unknown field"),
    pytest.param([changed(kind=1)], id="a number as kind"),
    pytest.param([changed(kind="hand drawn")], id="two words"),
    pytest.param([changed(told_by="name")], id="told by something else"),
    pytest.param([changed(threshold=None)], id="a probe without threshold"),
    pytest.param([changed(threshold=math.inf)], id="infinite"),
    pytest.param([changed(threshold=True)], id="truth value"),
    pytest.param([changed(false_positive_rate=1.1)], id="rate above 1"),
    pytest.param([changed(false_positive_rate=math.nan)], id="rate that is not a number"),
    pytest.param([changed(images=0.5)], id="half an image"),
    pytest.param([changed(told_by="file", threshold=None)], id="what no file tells"),
    pytest.param([{**asdict(LOSSLESS), "threshold": 0.5}], id="a file with threshold"),
    pytest.param([asdict(DRAWN), asdict(DRAWN)], id="twice"),
    pytest.param(asdict(DRAWN), id="not a list"),
    pytest.param("drawn", id="text"),
    pytest.param(["drawn"], id="a list of texts"),
    pytest.param(0, id="number"),
]


@pytest.mark.parametrize("raw", WRONG)
def test_anything_else_is_refused(raw: Any) -> None:
    with pytest.raises(ValueError, match=r"caution|kind|told_by|false_positive_rate"):
        Caution.all_from(raw)


def test_cautions_survive_json() -> None:
    assert Caution.all_from(json.loads(json.dumps(RAW))) == BOTH
    assert Caution.all_from(None) == Caution.all_from([]) == ()


@pytest.mark.parametrize(("lossless", "holds"), [(True, True), (False, False), (None, False)])
def test_a_file_that_may_be_lossless_is_not_said_to_be(lossless: bool | None, holds: bool) -> None:
    assert LOSSLESS.holds(ImageInfo(lossless=lossless), {}) is holds


@pytest.mark.parametrize(("logit", "holds"), [(1.4999, False), (1.5, True), (-9.0, False)])
def test_a_probe_tells_from_its_threshold_on(logit: float, holds: bool) -> None:
    assert DRAWN.holds(ImageInfo(lossless=True), {"drawn": logit}) is holds


def card(folder: Path, **facts: object) -> Bundled:
    """A bundled model with this card."""
    stated = {"sha256": "ab" * 32, "threshold": 0.4, "metrics": {}, "abstention": {}, **facts}
    (folder / "m.json").write_text(json.dumps(stated))
    return Bundled("m.safetensors", "m.json", folder)


def test_a_card_may_state_cautions(tmp_path: Path) -> None:
    assert card(tmp_path).cautions == ()
    assert card(tmp_path, cautions=RAW).cautions == BOTH


@pytest.mark.parametrize("raw", WRONG)
def test_a_card_with_other_cautions_is_damaged(tmp_path: Path, raw: Any) -> None:
    with pytest.raises(ModelError, match="states unusable cautions"):
        _ = card(tmp_path, cautions=raw).cautions


@pytest.mark.parametrize("name", ["mini", "rine-4class", "ufd"])
def test_nobody_measured_those_of_other_detectors(name: str) -> None:
    assert find_entry(name).cautions == ()


def test_a_checkpoint_of_a_head_may_state_cautions(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    tensors = {"weight": torch.zeros(1, 8), "bias": torch.zeros(1)}
    plain = Checkpoint(tensors, "linear", "encoder", "ab" * 32, 0.4, {})
    for cautions in ((), BOTH):
        path.write_bytes(replace(plain, cautions=cautions).to_bytes())
        assert read_checkpoint(path)[0].cautions == cautions
    assert b"cautions" not in plain.to_bytes()


def test_a_checkpoint_with_an_encoder_may_state_cautions(tmp_path: Path) -> None:
    path = tmp_path / "both.safetensors"
    tensors = {"encoder.weight": torch.zeros(1)}
    path.write_bytes(save(tensors, {"threshold": "0.4"}))
    assert read_checkpoint(path)[0].cautions == ()
    path.write_bytes(save(tensors, {"threshold": "0.4", "cautions": json.dumps(RAW)}))
    assert read_checkpoint(path)[0].cautions == BOTH
    path.write_bytes(save(tensors, {"threshold": "0.4", "cautions": "{}"}))
    with pytest.raises(ModelError, match="is not a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("cautions", [(), BOTH])
def test_a_graph_states_the_cautions_of_its_detectors(cautions: tuple[Caution, ...]) -> None:
    detector = DetectorInfo("one", "d", 0.4, {"one": "d"}, {}, cautions=cautions)
    info = GraphInfo((detector,), "fp32", "fp32", LAYOUT, {}, {}, {}, "1", "2")
    text = info.to_json()
    assert GraphInfo.from_json(text).detectors == (detector,)
    assert ("cautions" in text) is bool(cautions), "sidscan 0.2.0 reads graphs without the key alone"


def test_probes_have_columns_after_all_detectors() -> None:
    plain = DetectorInfo("plain", "d", 0.4, {}, {})
    detectors = [replace(plain, name="one", cautions=BOTH), plain, replace(plain, name="two", cautions=BOTH)]
    assert probe_columns(detectors) == [("one", "drawn"), ("two", "drawn")]
    assert output_names(detectors) == ["one", "plain", "two", "one:drawn", "two:drawn"]
