"""What `sidscan calibrate` prints: figures, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sidscan.calibrate.run import Made, delivered_rate, false_flags, tied
from sidscan.scoring.evidence import sigmoid

FEW = 1000  # calibration pictures below which the delivered rate is known only roughly

ASSUMES = (
    "The archive's camera pictures are exchangeable with these: same cameras, sizes, processing, encoding.",
    "None of these pictures is synthetic; synthetic ones among them raise the threshold.",
    "The scan uses the same model and crops (checked), and precision, runtime and decoder (told if not).",
    "The rate is kept on average over calibration folders drawn alike; this folder's own is in the interval.",
)
PROMISES_NOT = (
    "The rate for each source alone: one camera or one website may be flagged far more often than another.",
    "How many synthetic pictures are found, or that a flagged one is synthetic: p is no P(synthetic).",
    "Anything about pictures that can't be read: they have no score.",
)


def as_json(made: Made, archives: Sequence[int]) -> dict[str, Any]:
    """Everything that `as_text` says, for machines."""
    calibration = made.calibration
    return {
        **calibration.facts(),
        "path": str(made.path),
        "sha256": calibration.digest,
        "threshold": sigmoid(calibration.threshold_logit),
        "expected_rate": calibration.false_flag_rate,
        "delivered_rate_interval": list(delivered_rate(calibration)),
        "few": calibration.pictures < FEW,
        "false_flags": [asdict(false_flags(calibration, archive)) for archive in archives],
        "card_threshold": made.shipped_threshold,
        "card_threshold_rate": made.shipped_rate,
        "assumes": list(ASSUMES),
        "does_not_promise": list(PROMISES_NOT),
    }


def as_text(made: Made, archives: Sequence[int]) -> str:
    """One model's calibration in words."""
    return "\n".join([*_figures(made), "", *_archives(made, archives), "", *_use(made)])


def assumptions() -> str:
    """What all of it rests on."""
    return "\n".join(
        [
            "What this assumes:",
            *(f"  - {line}" for line in ASSUMES),
            "What it does not promise:",
            *(f"  - {line}" for line in PROMISES_NOT),
        ]
    )


def _figures(made: Made) -> list[str]:
    one = made.calibration
    low, high = delivered_rate(one)
    left_out = f"{one.unreadable} unreadable, {one.skipped} skipped, {one.duplicates} duplicates left out"
    lines = [
        f"{one.model}, {one.crops} crops, for a false-positive rate of at most {_percent(one.target_fpr)}",
        f"  pictures    {one.pictures} ({left_out})",
        f"  threshold   {sigmoid(one.threshold_logit):.6g} (logit {one.threshold_logit:.6g})",
        f"  delivers    {_percent(low)} to {_percent(high)} (95 % interval)",
        f"  by default  {made.shipped_threshold:.6g}, which {_percent(made.shipped_rate)} of these reach",
    ]
    if one.pictures < FEW:
        lines.append(
            f"With only {one.pictures} pictures the rate is known roughly; {FEW} or more narrow the interval."
        )
    return lines


def _archives(made: Made, archives: Sequence[int]) -> list[str]:
    counts = [false_flags(made.calibration, archive) for archive in archives]
    width = max(len(f"{archive:,}") for archive in archives)
    about = "at most" if tied(made.calibration) else "about"
    lines = (
        f"  {one.archive:>{width},}: {about} {one.expected:,.0f} (95 % interval {one.low:,} to {one.high:,})"
        for one in counts
    )
    return ["False flags to expect in an archive of camera pictures like these:", *lines]


def _use(made: Made) -> list[str]:
    return [f"saved: {made.path}", f"use it: sidscan scan FOLDER {made.options} --out report.csv"]


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
