"""The card that is shipped is the one that its figures and its renderer make, of the file that is shipped."""

from __future__ import annotations

import hashlib
import json
from importlib import resources

from sidscan.training.rine_b16.card_text import render_card

WEIGHTS = resources.files("sidscan.weights")


def test_the_card_is_rendered_from_its_figures() -> None:
    card = json.loads(WEIGHTS.joinpath("rine_b16.json").read_text(encoding="utf-8"))
    assert WEIGHTS.joinpath("rine_b16.md").read_text(encoding="utf-8") == render_card(card)


def test_the_card_is_of_the_shipped_file() -> None:
    card = json.loads(WEIGHTS.joinpath("rine_b16.json").read_text(encoding="utf-8"))
    data = WEIGHTS.joinpath("rine_b16.safetensors").read_bytes()
    assert card["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(data) < 10_000_000
