"""What files say of their origin, in sentences."""

from __future__ import annotations

import pytest

from sidscan.provenance.families import marker_kinds
from sidscan.records import PROVENANCE_STRENGTHS, PROVENANCE_WORDS, Marker, Provenance
from sidscan.reports.provenance_words import MARKERS, SHORT, STRENGTHS, VERDICTS, said, verdict_text

GRAPH = Marker("comfyui-graph", "ai_generated", "plain", "PNG tEXt", "prompt", "{}", 33)
STATED = Marker("iptc-generated", "ai_generated", "plain", "XMP", "DigitalSourceType", "t", 99)
HINT = Marker("artist-hash", "ai_hint", "weak", "EXIF", "Artist", "0", 12)


def test_every_word_has_a_sentence() -> None:
    assert set(VERDICTS) == set(PROVENANCE_WORDS)
    assert set(STRENGTHS) == set(PROVENANCE_STRENGTHS)
    assert set(MARKERS) <= {kind.id for kind in marker_kinds()}
    assert set(SHORT) == {*VERDICTS, *MARKERS}


def test_signs_stand_at_what_claims_ai_and_nowhere_else() -> None:
    verdicts = {**dict.fromkeys(VERDICTS, ""), **{kind.id: kind.verdict for kind in marker_kinds()}}
    for key, short in SHORT.items():
        claims = (verdicts[key] or key) in ("ai_generated", "ai_edited", "ai_hint")
        assert {bool(words) for words in (short.sign, short.copy_sign, short.copy_claim)} == {claims}, key


@pytest.mark.parametrize(
    ("markers", "sentence"),
    [
        pytest.param((GRAPH,), MARKERS["comfyui-graph"], id="a graph alone"),
        pytest.param((GRAPH, HINT), MARKERS["comfyui-graph"], id="a graph and what counts less"),
        pytest.param((GRAPH, STATED), VERDICTS["ai_generated"], id="a graph and a statement"),
        pytest.param((STATED,), VERDICTS["ai_generated"], id="a statement"),
    ],
)
def test_a_marker_that_says_something_else_has_its_own_sentence(
    markers: tuple[Marker, ...], sentence: str
) -> None:
    provenance = Provenance("ai_generated", "plain", markers=markers)
    assert verdict_text(provenance) == sentence
    is_less = sentence == MARKERS["comfyui-graph"]
    assert SHORT[said(provenance)].sign == ("ComfyUI graph" if is_less else "says AI")


def test_a_file_without_markers_has_the_sentence_of_its_word() -> None:
    assert verdict_text(Provenance()) == VERDICTS["none"]
