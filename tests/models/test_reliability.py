"""How often a detector is right, by its card, and that nothing is made up where no card says it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidscan.config import Effort
from sidscan.models.catalog import CATALOG
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.origins import Bundled
from sidscan.models.reliability import CONDITIONS, Reliability, describe, stated_reliability

BUNDLED = [
    name for name, entry in CATALOG.items() if entry.kind == "detector" and isinstance(entry.origin, Bundled)
]
FIGURES = Reliability(
    "images",
    None,
    0.5,
    4,
    4,
    {"as_is": 1, "jpeg75": 1},
    {"as_is": 0, "jpeg75": 0},
    (-4.0, -2.0, -2.0, 0.0, 4.0),
)


SHARES = {"found": 1, "flagged": 0}


def detector(entry_name: str, **changes: Any) -> DetectorInfo:
    """A detector of the catalog, its encoder that of the card."""
    entry = CATALOG[entry_name]
    assert entry.threshold is not None
    files = {entry_name: entry.pin.digest if entry.is_pinned else "p", "clip-vit-b16-q8": "e"}
    return replace(DetectorInfo(entry_name, "d", entry.threshold, files, {}), **changes)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_card_says_what_its_metrics_say(name: str) -> None:
    origin = CATALOG[name].origin
    assert isinstance(origin, Bundled)
    card = origin.facts()
    metrics = card[{"mini": "pooled", "rine-b16": "whole"}[name]]
    figures = stated_reliability(detector(name), "full")
    assert figures is not None
    for condition, key in zip(CONDITIONS, ("clean", "jpeg75"), strict=True):
        stated = metrics[key]
        assert (figures.found[condition], figures.flagged[condition]) == (stated["tpr"], stated["fpr"])
        assert (figures.photographs, figures.synthetic) == (stated["real"], stated["synthetic"])


@pytest.mark.parametrize("effort", get_args(Effort))
@pytest.mark.parametrize("name", BUNDLED)
def test_percentiles_agree_with_the_false_positives(name: str, effort: Effort) -> None:
    figures = stated_reliability(detector(name), effort)
    if figures is None or not figures.quantiles:
        pytest.skip("not measured")
    from sidscan.scoring.evidence import logit_of

    at_threshold = figures.percentile(logit_of(figures.threshold))
    assert at_threshold == pytest.approx(100 * (1 - figures.flagged["as_is"]), abs=0.5)


def test_sentences() -> None:
    sentence = describe(detector("rine-b16"), "full")["sentence"]
    assert sentence == (
        "rine-b16, in the test of its card: finds 92 of 100 synthetic images, misses 8, and flags 5 of "
        "100 photographs; saved again as JPEG 75: finds 77, flags 5 (sidscan models show rine-b16)"
    )
    sentence = str(describe(detector("rine-b16"), "normal", calibrated=True)["sentence"])
    assert "finds 91 of 100 synthetic images, misses 9, and flags 4 of 100" in sentence
    assert "at the card's threshold 0.5744, not the calibration's" in sentence
    other = detector("rine-b16", files={"rine-b16": CATALOG["rine-b16"].pin.digest, "clip-vit-b16": "f"})
    assert "; measured with clip-vit-b16-q8 (" in str(describe(other, "full")["sentence"])
    sentence = str(describe(detector("mini"), "fast")["sentence"])
    assert "; measured with all ten crops, not with those of this scan (sidscan models show mini)" in sentence


@pytest.mark.parametrize("name", ["cnndet-p05", "rine-4class"])
def test_the_authors_figures_are_named_where_we_measured_nothing(name: str) -> None:
    sentence = f"{name}: not measured by us; its authors' figures: `sidscan models show {name}`"
    assert describe(detector(name), "full") == {"sentence": sentence}


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(detector("patch-forensics"), id="published weights without figures"),
        pytest.param(detector("mini", name="mine.safetensors"), id="a file of the user"),
        pytest.param(detector("mini", files={"mini": "0" * 64}), id="other weights of that name"),
        pytest.param(detector("mini", threshold=0.5), id="another threshold"),
    ],
)
def test_without_a_card_nothing_is_known(unknown: DetectorInfo) -> None:
    assert stated_reliability(unknown, "full") is None
    described = describe(unknown, "full")
    assert list(described) == ["sentence"]
    assert str(described["sentence"]).startswith(
        f"{unknown.name}: nothing is known of how many synthetic images"
    )


@pytest.mark.parametrize(
    ("logit", "expected"),
    [
        (-5.0, 0.0),
        (-4.0, 0.0),
        (-3.0, 12.5),
        (-2.0, 50.0),
        (-1.0, 62.5),
        (3.0, 93.8),
        (4.0, 100.0),
        (9.0, 100.0),
    ],
)
def test_percentiles(logit: float, expected: float) -> None:
    assert FIGURES.percentile(logit) == expected


def test_no_quantiles_no_percentile() -> None:
    assert replace(FIGURES, quantiles=()).percentile(0.0) is None


@given(st.lists(st.floats(-50, 50), min_size=2).map(sorted))
def test_a_higher_logit_has_no_lower_percentile(logits: list[float]) -> None:
    percentiles = [FIGURES.percentile(logit) or 0.0 for logit in logits]
    assert all(low <= high for low, high in pairwise(percentiles))


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param({"as_is": {"found": 1, "flagged": 0}}, id="a condition is missing"),
        pytest.param({key: {"found": 1} for key in CONDITIONS}, id="a share is missing"),
        pytest.param(
            {"as_is": SHARES, "jpeg75": SHARES, "photograph_quantiles": [1, 0]},
            id="falling",
        ),
    ],
)
def test_other_figures_are_refused(figures: dict[str, Any]) -> None:
    card = {
        "threshold": 0.5,
        "reliability": {
            "images": "images",
            "encoder": None,
            "photographs": 1,
            "synthetic": 1,
            "efforts": {"full": figures},
        },
    }
    with pytest.raises(ValueError, match=r"quantiles do not rise|figures are missing"):
        Reliability.from_card(card, "full")
    assert Reliability.from_card(card, "fast") is None
    assert Reliability.from_card({}, "full") is None
