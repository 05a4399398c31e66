"""The card that is shipped is the one that its figures and its renderer make, of the file that is shipped."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import pytest

pytest.importorskip("cv2")

from sidscan.training.localizer_b16.card import CompositeCounts, stored_card
from sidscan.training.localizer_b16.card_text import render_card
from sidscan.training.localizer_b16.train import load_decoder

WEIGHTS = resources.files("sidscan.weights")


def test_the_card_is_rendered_from_its_figures() -> None:
    card = json.loads(WEIGHTS.joinpath("localizer_b16.json").read_text(encoding="utf-8"))
    assert WEIGHTS.joinpath("localizer_b16.md").read_text(encoding="utf-8") == render_card(card)


def test_what_was_not_measured_is_no_number() -> None:
    card = json.loads(WEIGHTS.joinpath("localizer_b16.json").read_text(encoding="utf-8"))
    (words,) = (
        line for line in render_card(card).splitlines() if "real regions in synthetic images;" in line
    )
    assert words.count("%") == 3
    for entry in card["composites"]:
        entry["alarms"] = entry["interval"] = None
    (words,) = (
        line for line in render_card(card).splitlines() if "real regions in synthetic images;" in line
    )
    assert words == f"  real regions in synthetic images; {', '.join(['an unknown share'] * 3)} of the"


def test_the_card_is_of_the_shipped_file() -> None:
    card = json.loads(WEIGHTS.joinpath("localizer_b16.json").read_text(encoding="utf-8"))
    path = Path(str(WEIGHTS.joinpath("localizer_b16.safetensors")))
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.stat().st_size < 15_000_000
    _, checkpoint = load_decoder(path)
    assert card["blocks"] == checkpoint.config["blocks"]
    assert card["alarm_area"] == checkpoint.alarm_area
    assert card["alarm_contrast"] == checkpoint.alarm_contrast
    assert card["threshold"] == checkpoint.threshold


def test_no_repository_lies_in_two_folds() -> None:
    card = json.loads(WEIGHTS.joinpath("localizer_b16.json").read_text(encoding="utf-8"))
    folds = [repo for fold in card["folds"] for repo in fold["repositories"]]
    assert len(folds) == len(set(folds)) > 500


def test_a_stored_card_is_of_the_file_beside_it(tmp_path: Path) -> None:
    assert stored_card(tmp_path) is None
    for name in ("localizer_b16.json", "localizer_b16.safetensors"):
        (tmp_path / name).write_bytes(WEIGHTS.joinpath(name).read_bytes())
    card = stored_card(tmp_path)
    assert card is not None
    assert card["name"] == "localizer-b16"
    (tmp_path / "localizer_b16.safetensors").write_bytes(b"another")
    assert stored_card(tmp_path) is None


def test_fewer_composites_do_not_stand_in_for_all() -> None:
    assert CompositeCounts().results_file != CompositeCounts(1, 1, 1, 1).results_file
