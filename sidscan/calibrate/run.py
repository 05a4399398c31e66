"""Calibrates detectors on known camera images: a scan as any other, and thresholds from its logits."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sidscan._version import __version__
from sidscan.calibrate.intervals import count_quantile, rate_quantile
from sidscan.config import ScanConfig
from sidscan.errors import NothingToScan, OutputError, UsageError
from sidscan.images.decode import decoder_name
from sidscan.models.detector_info import DetectorInfo
from sidscan.pipeline import Scan, open_scan
from sidscan.records import Status
from sidscan.reports.output_files import check_writable
from sidscan.scoring.calibration import (
    Calibration,
    check_calibration_path,
    min_images,
    model_options,
    save_calibration,
    saved_calibration_path,
)
from sidscan.scoring.evidence import evidence
from sidscan.util.clock import utc_now

_INTERVAL_TAILS = (0.025, 0.975)  # of a 95 % interval
_MIN_SPREAD = 1e-4  # logits; equal pixels differ by 1e-7 between batches


@dataclass(frozen=True)
class SavedCalibration:
    """A calibration that was saved.

    Attributes:
        scan_options: the options with which `sidscan scan` uses it.
        card_threshold: the threshold on the model's card.
        card_rate: share of the calibration images at or above that threshold.
    """

    calibration: Calibration
    path: Path
    scan_options: str
    card_threshold: float
    card_rate: float


@dataclass(frozen=True)
class FalseFlags:
    """How many of ``archive`` camera images reach the threshold: mean, and 95 % interval."""

    archive: int
    expected: float
    low: int
    high: int


@dataclass(frozen=True)
class _ScanLogits:
    """The logits of a scan of camera images: for each model those of the distinct images, ascending."""

    by_model: tuple[tuple[float, ...], ...]
    duplicates: int


def calibrate_models(
    config: ScanConfig,
    fpr: float,
    out: Path | None = None,
    run_scan: Callable[[Scan], object] = list,
    overwrite: bool = False,
    open_run: Callable[[ScanConfig], Scan] = open_scan,
) -> list[SavedCalibration]:
    """Scan known camera images, and save a calibration for each model.

    Args:
        fpr: the false-positive rate to stay below, 0 < fpr < 1.
        out: file to write, for a single model; None is where ``scan --calibrated`` looks.
        run_scan: runs the scan to its end, for instance with a progress bar.
        overwrite: replace ``out``, whatever it holds.
        open_run: opens the scan, for instance with a line that says so.

    Raises:
        UsageError: too few images for that rate, or all have the same score.
        NothingToScan: no image has a score.
        OutputError: the file can't be written; raised before the scan where that can be known.
        SidscanError: any other error of a scan.
    """
    if not 0 < fpr < 1:
        raise UsageError(
            f"a false-positive rate of {fpr} is not between 0 and 1", "Choose a rate like --fpr 0.05."
        )
    check = _output_check(out, overwrite)
    if out is not None:
        check(out)  # before the model loads
    scan = open_run(config)
    with closing(scan.journal):
        models = scan.runtime.detectors
        paths = _output_paths(models, scan.config, out, check)
        inputs = scan.counts().enumerated
        if at_most := scan.counts().scored + sum(not item.skip for item in scan.journal.pending()):
            _check_enough(at_most, inputs, fpr, "at most")  # which of them are damaged, only reading shows
        run_scan(scan)
        logits = _scan_logits(scan)
        calibrations = [
            _calibration(scan, model, model_logits, logits.duplicates, fpr)
            for model, model_logits in zip(models, logits.by_model, strict=True)
        ]
    for calibration, path in zip(calibrations, paths, strict=True):
        save_calibration(calibration, path, check)
    return [
        _saved(calibration, path, model, scan.config, out)
        for calibration, path, model in zip(calibrations, paths, models, strict=True)
    ]


def delivered_rate_interval(calibration: Calibration) -> tuple[float, float]:
    """95 % interval of the false-positive rate that this one threshold delivers, fractions."""
    ranks, n = _bounding_ranks(calibration), calibration.num_images
    low, high = (rate_quantile(p, k, n) if k else 0.0 for p, k in zip(_INTERVAL_TAILS, ranks, strict=True))
    return low, high


def expected_false_flags(calibration: Calibration, archive: int) -> FalseFlags:
    """Flags to expect in an archive of ``archive`` images that are all like the calibration images."""
    ranks, n = _bounding_ranks(calibration), calibration.num_images
    low, high = (
        count_quantile(p, k, n, archive) if k else 0 for p, k in zip(_INTERVAL_TAILS, ranks, strict=True)
    )
    return FalseFlags(archive, archive * calibration.false_flag_rate, low, high)


def has_ties_at_threshold(calibration: Calibration) -> bool:
    """Whether several images have the k-th highest logit; then the threshold flags fewer than it could."""
    return calibration.logits.count(calibration.logits[-calibration.rank]) > 1


def _bounding_ranks(calibration: Calibration) -> tuple[int, int]:
    """The ranks whose laws bound the rate from below and from above; both are k if no logits tie.

    Above tied logits lie fewer images than above the k-th of distinct logits, and more than above the lowest
    rank that is strictly higher (0 if none is).
    """
    if not has_ties_at_threshold(calibration):
        return calibration.rank, calibration.rank
    above = sum(logit >= calibration.threshold_logit for logit in calibration.logits)
    return above, calibration.rank


def _output_check(out: Path | None, overwrite: bool) -> Callable[[Path], None]:
    """What refuses a path: in the models folder all but calibrations, at ``out`` all that is there."""
    if overwrite and out is not None:
        return check_writable
    return partial(check_calibration_path, replace_it=out is None)


def _output_paths(
    models: tuple[DetectorInfo, ...], config: ScanConfig, out: Path | None, check: Callable[[Path], None]
) -> list[Path]:
    if out is not None and len(models) > 1:
        raise UsageError(
            f"--out names one file, but {len(models)} models are calibrated",
            "Leave --out out, or calibrate one model at a time.",
        )
    paths = [out or saved_calibration_path(model, config) for model in models]
    for path in paths:
        if out is None:
            _make_folder(path.parent)
        check(path)
    return paths


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"can't make {folder}: {error.strerror}",
            "Choose a file with --out, or move the models folder with SIDSCAN_MODELS.",
        ) from error


def _check_enough(usable: int, inputs: int, fpr: float, quantifier: str) -> None:
    if usable < min_images(fpr):
        found = (
            f"there are {usable}" if usable == inputs else f"{quantifier} {usable} of {inputs} can be used"
        )
        raise UsageError(
            f"a false-positive rate of {fpr:g} needs at least {min_images(fpr)} different images; {found}",
            "Add camera images, or choose a higher --fpr.",
        )


def _scan_logits(scan: Scan) -> _ScanLogits:
    """Logits of distinct images: files with equal bytes are one draw, not several."""
    by_hash = {
        result.facts.sha256: result.scores
        for result in scan.journal.results()
        if result.status is Status.SCORED
    }
    if not by_hash:
        raise NothingToScan(
            "no image could be scored", "Check the path; `sidscan scan` shows what is wrong with each file."
        )
    columns = zip(*([score.logit for score in scores] for scores in by_hash.values()), strict=True)
    return _ScanLogits(
        tuple(tuple(sorted(column)) for column in columns), scan.counts().scored - len(by_hash)
    )


def _calibration(
    scan: Scan, model: DetectorInfo, logits: tuple[float, ...], duplicates: int, fpr: float
) -> Calibration:
    _check_enough(len(logits), scan.counts().enumerated, fpr, "only")
    if logits[-1] - logits[0] < _MIN_SPREAD:
        raise UsageError(
            f"{model.name} gives all {len(logits)} images the same score, so no threshold can be chosen",
            "Calibrate with images that differ.",
        )
    counts, info = scan.counts(), scan.runtime.info
    return Calibration(
        model=model.name,
        weights=dict(model.files),
        crops=scan.config.crops,
        runtime=info.runtime,
        device=info.device,
        precision=info.precision,
        decoder=decoder_name(),
        sidscan_version=__version__,
        created=utc_now(),
        unreadable=counts.failed,
        skipped=counts.skipped,
        duplicates=duplicates,
        target_fpr=float(fpr),
        logits=logits,
        effort=scan.effort,
    )


def _saved(
    calibration: Calibration, path: Path, model: DetectorInfo, config: ScanConfig, out: Path | None
) -> SavedCalibration:
    words = [evidence(logit, model.threshold) for logit in calibration.logits]
    card_rate = sum(word != "weak" for word in words) / len(words)
    how = f"--calibration {shlex.quote(str(out))}" if out else "--calibrated"
    return SavedCalibration(
        calibration, path, f"{model_options(model.name, config)} {how}", model.threshold, card_rate
    )
