"""The columns of one model and its score."""

from __future__ import annotations

from sidscan.records import Score
from sidscan.reports.columns.column import Column


def _of_crops(score: Score, value: float) -> float | None:
    """A figure of several views; None where the model read one picture instead."""
    return None if score.model_input else value


COLUMNS: tuple[Column[Score], ...] = (
    Column("score", "the model's P(synthetic), 0 to 1: the sigmoid of `logit`", lambda s: s.score, "number"),
    Column("logit", "mean of the logits of all views", lambda s: s.logit, "number"),
    Column(
        "evidence",
        "`weak`, `moderate`, `strong`, `very strong` (relative to `threshold`), or `inconclusive`",
        lambda s: s.evidence,
        "evidence",
    ),
    Column(
        "inconclusive",
        "why the evidence is inconclusive, separated by spaces; else empty",
        lambda s: s.inconclusive,
        type="texts",
    ),
    Column(
        "cautions",
        "kinds with over 5 % false positives that the image looks like, separated by spaces",
        lambda s: s.cautions,
        type="texts",
    ),
    Column("threshold", "score, 0 to 1, at which evidence stops being weak", lambda s: s.threshold, "number"),
    Column(
        "p_value",
        "share, 0 to 1, of camera images that score at least as high; empty without a calibration",
        lambda s: s.p_value,
        "number",
    ),
    Column(
        "score_percentile",
        "percentage of the photographs of the model's card that score lower; empty if it does not say, "
        "and in rows of sidscan 0.2.0",
        lambda s: s.percentile,
        "number",
    ),
    Column(
        "crop_min",
        "lowest score of a single view, 0 to 1; empty where `model_input` is not",
        lambda s: _of_crops(s, s.crop_min),
        "number",
    ),
    Column(
        "crop_max",
        "highest score of a single view, 0 to 1",
        lambda s: _of_crops(s, s.crop_max),
        "number",
    ),
    Column(
        "crop_std",
        "standard deviation of the scores of single views",
        lambda s: _of_crops(s, s.crop_std),
        "number",
    ),
    Column(
        "highest_crop",
        "where the view with the highest score lies, e.g. `top left`; of equals, the centre",
        lambda s: s.highest_crop,
    ),
    Column(
        "model_input",
        "what the model read, where that is not crops of native pixels, e.g. "
        "`resized to 256 x 256 px (bilinear)`; else empty",
        lambda s: s.model_input,
    ),
)
# What the header states of each model; rows without a score have these cells, too.
OF_MODEL = {
    "model": "name of the model",
    "model_digest": "first 16 hex digits of each weights file's sha256, head before encoder, joined by `+`",
    "calibration": "first 16 hex digits of the sha256 of the calibration; empty without one",
}
