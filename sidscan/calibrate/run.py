"""Calibrates detectors on known camera pictures: a scan like any other, and what follows from its logits."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sidscan._version import __version__
from sidscan.calibrate.intervals import count_quantile, rate_quantile
from sidscan.config import ScanConfig
from sidscan.errors import NothingToScan, OutputError, UsageError
from sidscan.images.decode import decoder_name
from sidscan.models.detector_info import DetectorInfo
from sidscan.pipeline import Scan, open_scan
from sidscan.records import Status
from sidscan.runtimes import RuntimeInfo
from sidscan.scoring.calibration import (
    Calibration,
    check_calibration_path,
    min_images,
    model_options,
    save_calibration,
    saved_calibration_path,
)
from sidscan.scoring.evidence import evidence

_TAILS = (0.025, 0.975)  # of a 95 % interval
_SAME = 1e-4  # logits this close are one score: equal pixels differ by 1e-7 between batches


@dataclass(frozen=True)
class Made:
    """A calibration that was saved.

    Attributes:
        options: by which a scan uses it.
        shipped_rate: share of the calibration pictures at or above the threshold of the model's card.
    """

    calibration: Calibration
    path: Path
    options: str
    shipped_threshold: float
    shipped_rate: float


@dataclass(frozen=True)
class FalseFlags:
    """How many of ``archive`` camera pictures reach the threshold: mean, and 95 % interval."""

    archive: int
    expected: float
    low: int
    high: int


@dataclass(frozen=True)
class _Scored:
    """What a scan of camera pictures gave; ``logits`` one tuple per model, ascending."""

    logits: tuple[tuple[float, ...], ...]
    duplicates: int


def calibrate(
    config: ScanConfig,
    fpr: float,
    out: Path | None = None,
    watch: Callable[[Scan], object] = list,
) -> list[Made]:
    """Scan known camera pictures, and save a calibration for each model used.

    Args:
        fpr: false-positive rate to keep, 0 < fpr < 1.
        out: file to write, for a single model; None is where ``scan --calibrated`` looks.
        watch: runs the scan to its end, e.g. showing progress.

    Raises:
        UsageError: too few pictures for that rate, or all score the same.
        NothingToScan: no picture could be scored.
        OutputError: the file can't be written; said before the scan where it can be known.
        SidscanError: whatever else a scan raises.
    """
    if not 0 < fpr < 1:
        raise UsageError(f"a false-positive rate of {fpr} is not between 0 and 1", "Give --fpr 0.05, say.")
    run = open_scan(config)
    with closing(run.journal):
        models = run.runtime.detectors
        places = _places(models, run.config, out)
        if run.counts().enumerated:
            _enough(run.counts().enumerated, fpr)
        watch(run)
        scored = _scored(run)
        made = [_calibration(run, model, scored, logits, fpr) for model, logits in _columns(models, scored)]
    for calibration, place in zip(made, places, strict=True):
        save_calibration(calibration, place)
    return [_made(*parts, run.config, out) for parts in zip(made, places, models, strict=True)]


def delivered_rate(calibration: Calibration) -> tuple[float, float]:
    """95 % interval of the false-positive rate that this very threshold delivers, fractions."""
    ranks, n = _ranks(calibration), calibration.pictures
    low, high = (rate_quantile(p, k, n) if k else 0.0 for p, k in zip(_TAILS, ranks, strict=True))
    return low, high


def false_flags(calibration: Calibration, archive: int) -> FalseFlags:
    """Flags to expect among ``archive`` pictures that are all like the calibration pictures."""
    ranks, n = _ranks(calibration), calibration.pictures
    low, high = (count_quantile(p, k, n, archive) if k else 0 for p, k in zip(_TAILS, ranks, strict=True))
    return FalseFlags(archive, archive * calibration.false_flag_rate, low, high)


def tied(calibration: Calibration) -> bool:
    """Whether pictures share the k-th highest logit: then the threshold flags fewer than it might."""
    return calibration.logits.count(calibration.logits[-calibration.rank]) > 1


def _ranks(calibration: Calibration) -> tuple[int, int]:
    """The ranks whose laws bound the rate from below and from above; the same one where no logit ties.

    Fewer pictures lie above tied logits than above the k-th of distinct ones, and more than above the lowest
    rank that is strictly higher (0: none is).
    """
    if not tied(calibration):
        return calibration.rank, calibration.rank
    reach = sum(logit >= calibration.threshold_logit for logit in calibration.logits)
    return reach, calibration.rank


def _places(models: tuple[DetectorInfo, ...], config: ScanConfig, out: Path | None) -> list[Path]:
    if out is not None and len(models) > 1:
        raise UsageError(
            f"--out names one file, and {len(models)} models are calibrated",
            "Leave --out away, or calibrate one by one.",
        )
    places = [out or saved_calibration_path(model, config) for model in models]
    for place in places:
        if out is None:
            _make_folder(place.parent)
        check_calibration_path(place)
    return places


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} can't be made: {error.strerror}",
            "Give --out FILE, or move the models folder with SIDSCAN_MODELS.",
        ) from error


def _enough(pictures: int, fpr: float) -> None:
    if pictures < min_images(fpr):
        raise UsageError(
            f"a false-positive rate of {fpr:g} needs at least {min_images(fpr)} different pictures, "
            f"{pictures} are here",
            "Add camera pictures, or choose a higher --fpr.",
        )


def _scored(run: Scan) -> _Scored:
    """Logits of distinct pictures: bytes that come twice are one draw, not two."""
    by_hash = {f.facts.sha256: f.scores for f in run.journal.results() if f.status is Status.SCORED}
    if not by_hash:
        raise NothingToScan(
            "no picture could be scored", "Check the path; `sidscan scan` says what is wrong."
        )
    columns = zip(*([score.logit for score in scores] for scores in by_hash.values()), strict=True)
    return _Scored(tuple(tuple(sorted(column)) for column in columns), run.counts().scored - len(by_hash))


def _columns(
    models: tuple[DetectorInfo, ...], scored: _Scored
) -> Iterable[tuple[DetectorInfo, tuple[float, ...]]]:
    return zip(models, scored.logits, strict=True)


def _calibration(
    run: Scan, model: DetectorInfo, scored: _Scored, logits: tuple[float, ...], fpr: float
) -> Calibration:
    _enough(len(logits), fpr)
    if logits[-1] - logits[0] < _SAME:
        raise UsageError(
            f"{model.name} gives all {len(logits)} pictures the same score, which tells no threshold",
            "Calibrate with pictures that differ.",
        )
    counts, info = run.counts(), run.runtime.info
    return Calibration(
        model=model.name,
        weights=dict(model.files),
        crops=run.config.crops,
        **_context(info),
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        unreadable=counts.failed,
        skipped=counts.skipped,
        duplicates=scored.duplicates,
        target_fpr=float(fpr),
        logits=logits,
    )


def _context(info: RuntimeInfo) -> dict[str, str]:
    return {
        "runtime": info.runtime,
        "device": info.device,
        "precision": info.precision,
        "decoder": decoder_name(),
        "sidscan_version": __version__,
    }


def _made(
    calibration: Calibration, path: Path, model: DetectorInfo, config: ScanConfig, out: Path | None
) -> Made:
    words = [evidence(logit, model.threshold) for logit in calibration.logits]
    shipped = sum(word != "weak" for word in words) / len(words)
    how = f"--calibration {shlex.quote(str(out))}" if out else "--calibrated"
    return Made(calibration, path, f"{model_options(model, config)} {how}", model.threshold, shipped)
