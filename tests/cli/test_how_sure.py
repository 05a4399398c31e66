"""A scan says how often its model is right, at its end and in the head of JSON reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_images import folder
from sample_results import rows

Run = Callable[..., Any]
SENTENCE = (
    "mini, in the test of its card: finds 55 of 100 synthetic images, misses 45, and flags 4 of 100 "
    "photographs; saved again as JPEG 75: finds 21, flags 2 (sidscan models show mini)"
)


def test_the_closing_words_and_the_head_of_the_report_say_how_sure(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", side=448)
    outs = ("--out", tmp_path / "r.csv", "--out", tmp_path / "r.json", "--out", tmp_path / "r.jsonl")
    ended = sidscan("scan", images, "--model", "mini", *outs)
    assert (ended.code, ended.err.splitlines().count(SENTENCE)) == (0, 1)
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["run"]["reliability"] == {
        "mini": {
            "sentence": SENTENCE,
            "images": "windows of up to 320 x 320 pixels, ten crops",
            "encoder": None,
            "effort": "full",
            "threshold": 0.747,
            "photographs": 4552,
            "synthetic": 4396,
            "found": {"as_is": 0.548, "jpeg75": 0.2066},
            "flagged": {"as_is": 0.0417, "jpeg75": 0.02},
            "card": "sidscan models show mini",
        }
    }
    for row, result in zip(rows((tmp_path / "r.csv").read_text()), report["findings"], strict=True):
        assert row["highest_crop"] == result["scores"][0]["highest_crop"] != ""
        assert (row["share_scored"], result["share_scored"]) == ("1.0", 1.0)
    again = sidscan("scan", images, "--model", "mini", *outs)
    assert SENTENCE in again.err.splitlines(), "of rows that were kept, too"


def test_fewer_crops_than_the_card_tested(sidscan: Run, tmp_path: Path) -> None:
    images = folder(tmp_path / "images", side=448)
    ended = sidscan("scan", images, "--model", "mini", "--crops", "center", "--out", tmp_path / "r.csv")
    assert "measured with all ten crops, not with those of this scan (sidscan models show mini)" in ended.err
    (row, *_) = rows((tmp_path / "r.csv").read_text())
    assert (row["share_scored"], row["highest_crop"], row["score_percentile"]) == ("0.25", "centre", "")


def test_without_a_score_nothing_is_said(sidscan: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    ended = sidscan("scan", tmp_path / "a.jpg", "--model", "mini", "--out", tmp_path / "r.csv")
    assert (ended.code, "of 100" in ended.err) == (3, False)
