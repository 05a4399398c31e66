"""What `sidscan calibrate` prints: the figures, and what they assume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sidscan.calibrate.run import (
    SavedCalibration,
    delivered_rate_interval,
    expected_false_flags,
    has_ties_at_threshold,
)
from sidscan.scoring.evidence import sigmoid

_FEW_IMAGES = 1000  # with fewer calibration images the delivered rate is known only roughly

_CROPS = {"fast": "centre crop", "normal": "one to ten crops (effort normal)", "full": "ten crops"}
_ASSUMPTIONS = (
    "The archive's camera images are exchangeable with these: same cameras, sizes, processing, encoding.",
    "None of these images is synthetic; synthetic images among them raise the threshold.",
    "The scan uses the same model, crops (checked), effort, precision, runtime, decoder (reported if not).",
    "The rate holds on average over calibration folders drawn alike; the interval is for this folder.",
)
_NO_PROMISES = (
    "The rate for each source alone: one camera or one website may be flagged far more often than another.",
    "How many synthetic images a scan finds, or that a flagged image is synthetic: p is not P(synthetic).",
    "Anything about images that can't be read: they have no score.",
)


def calibration_dict(saved: SavedCalibration, archives: Sequence[int]) -> dict[str, object]:
    """Everything that `calibration_text` says, for JSON."""
    calibration = saved.calibration
    return {
        **calibration.metadata(),
        "path": str(saved.path),
        "sha256": calibration.digest,
        "threshold": sigmoid(calibration.threshold_logit),
        "expected_rate": calibration.false_flag_rate,
        "delivered_rate_interval": list(delivered_rate_interval(calibration)),
        "few": calibration.num_images < _FEW_IMAGES,
        "false_flags": [asdict(expected_false_flags(calibration, archive)) for archive in archives],
        "card_threshold": saved.card_threshold,
        "card_threshold_rate": saved.card_rate,
        "assumes": list(_ASSUMPTIONS),
        "does_not_promise": list(_NO_PROMISES),
    }


def calibration_text(saved: SavedCalibration, archives: Sequence[int]) -> str:
    """One model's calibration in words."""
    usage = [
        f"saved: {saved.path}",
        f"use it: sidscan scan FOLDER {saved.scan_options} --out report.csv",
    ]
    return "\n".join([*_figures(saved), "", *_false_flags(saved, archives), "", *usage])


def assumptions_text() -> str:
    """What the figures of all models assume, and what they do not promise."""
    return "\n".join(
        [
            "What this assumes:",
            *(f"  - {line}" for line in _ASSUMPTIONS),
            "What it does not promise:",
            *(f"  - {line}" for line in _NO_PROMISES),
        ]
    )


def _figures(saved: SavedCalibration) -> list[str]:
    calibration, threshold = saved.calibration, saved.calibration.threshold_logit
    low, high = delivered_rate_interval(calibration)
    target, crops = _percent(calibration.target_fpr), _CROPS[calibration.effort_used]
    left_out = (
        f"{calibration.unreadable} unreadable, {calibration.skipped} skipped, "
        f"{calibration.duplicates} duplicates left out"
    )
    lines = [
        f"{calibration.model}, {crops}, for a false-positive rate of at most {target}",
        f"  images      {calibration.num_images} ({left_out})",
        f"  threshold   {sigmoid(threshold):.6g} (logit {threshold:.6g})",
        f"  delivers    {_percent(low)} to {_percent(high)} (95 % interval)",
        f"  by default  {saved.card_threshold:.6g}, which {_percent(saved.card_rate)} of these images reach",
    ]
    if calibration.num_images < _FEW_IMAGES:
        lines.append(
            f"With only {calibration.num_images} images the rate is known roughly; "
            f"{_FEW_IMAGES} or more narrow the interval."
        )
    return lines


def _false_flags(saved: SavedCalibration, archives: Sequence[int]) -> list[str]:
    counts = [expected_false_flags(saved.calibration, archive) for archive in archives]
    width = max(len(f"{archive:,}") for archive in archives)
    about = "at most" if has_ties_at_threshold(saved.calibration) else "about"
    lines = (
        f"  {count.archive:>{width},}: {about} {count.expected:,.0f} "
        f"(95 % interval {count.low:,} to {count.high:,})"
        for count in counts
    )
    return ["False flags to expect in an archive of camera images like these:", *lines]


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
