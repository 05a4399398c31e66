"""Crops -> logits -> one score per picture and model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.images.decode import decoder_name
from sidscan.models.abstention import INCONCLUSIVE
from sidscan.models.detector_info import DetectorInfo
from sidscan.records import (
    CropRef,
    CropSet,
    DecodedImage,
    Failure,
    ReuseKeys,
    ScanResult,
    Score,
    Stage,
    Status,
)
from sidscan.runtimes import Runtime
from sidscan.scoring.calibration import Calibration
from sidscan.scoring.evidence import band, evidence, sigmoid

Calibrations = Mapping[str, Calibration]  # by model name; a model without one keeps its card's threshold
_UNCALIBRATED: Calibrations = {}
_SPARSE = 16  # every how many-th row and column of a crop tells most crops apart


def reuse_keys(config: ScanConfig, runtime: Runtime, calibrations: Calibrations = _UNCALIBRATED) -> ReuseKeys:
    """What this scan's findings depend on."""
    info = runtime.info
    parts = [__version__, decoder_name(), config.crops, info.runtime, info.device, info.precision]
    parts += [
        f"{detector.name} {detector.files} {detector.threshold} {detector.abstention}"
        for detector in runtime.detectors
    ]
    parts += [f"{name} calibrated {calibration.digest}" for name, calibration in calibrations.items()]
    permissions = config.permissions()
    return ReuseKeys(
        score=_digest(parts),
        limits=_digest([*parts, config.limits(), permissions]),
        urls=_digest([*parts, permissions]),
    )


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass
class Job:
    """A batch that is being scored.

    Attributes:
        new: what of it has to be looked at, by place in the batch.
        own: places of bytes that no earlier job looks at, by their sha256.
        others: the jobs that look at the rest, by sha256.
        found: findings by sha256: of bytes scored before, and when the job ends, of all others.
        made: findings of what was new, by place.
    """

    batch: Sequence[DecodedImage | Failure]
    scanned_at: str
    new: dict[int, DecodedImage | Failure] = field(default_factory=dict)
    own: dict[str, int] = field(default_factory=dict)
    others: dict[str, Job] = field(default_factory=dict)
    found: dict[str, ScanResult] = field(default_factory=dict)
    made: dict[int, ScanResult] = field(default_factory=dict)


class Scorer:
    """Batches -> findings. Bytes that were scored before, or are in a job under way, are not scored again.

    Jobs begin and end in one thread and one order; between, several may be scored at once, in any thread.

    Args:
        known: the finding of bytes with this sha256, if there is one that holds.
    """

    def __init__(
        self,
        runtime: Runtime,
        calibrations: Calibrations = _UNCALIBRATED,
        known: Callable[[str], ScanResult | None] = lambda _: None,
    ) -> None:
        self._runtime, self._calibrations, self._known = runtime, calibrations, known
        self._jobs: dict[str, Job] = {}  # under way, by sha256 of what they look at

    def begin(self, batch: Sequence[DecodedImage | Failure], scanned_at: str) -> Job:
        """Find out what of a batch is new."""
        job = Job(batch, scanned_at)
        for place, entry in enumerate(batch):
            sha256 = entry.facts.sha256
            if isinstance(entry, Failure) or sha256 is None:
                job.new[place] = entry
            elif sha256 in self._jobs:
                job.others[sha256] = self._jobs[sha256]
            elif (earlier := self._known(sha256)) is not None:
                job.found[sha256] = earlier
            else:
                self._jobs[sha256] = job
                job.own[sha256] = place
                job.new[place] = entry
        return job

    def score(self, job: Job) -> Job:
        """Look at what is new; the job itself is handed back."""
        findings = score(list(job.new.values()), self._runtime, job.scanned_at, self._calibrations)
        job.made = dict(zip(job.new, findings, strict=True))
        return job

    def end(self, job: Job) -> list[ScanResult]:
        """The findings of a job that was scored, in the order of its batch."""
        for sha256, place in job.own.items():
            job.found[sha256] = job.made[place]
            del self._jobs[sha256]
        job.found |= {sha256: other.found[sha256] for sha256, other in job.others.items()}
        job.others.clear()  # jobs that repeat one another would hold on to all before them
        return [
            job.made[place] if place in job.made else _again(entry, job.found, job.scanned_at)
            for place, entry in enumerate(job.batch)
        ]


def _again(entry: DecodedImage | Failure, found: Mapping[str, ScanResult], scanned_at: str) -> ScanResult:
    """The finding of other bytes that are the same, for this input."""
    same = found[str(entry.facts.sha256)]
    return replace(same, name=entry.item.name, kind=entry.item.kind, facts=entry.facts, scanned_at=scanned_at)


def score(
    batch: Sequence[DecodedImage | Failure],
    runtime: Runtime,
    scanned_at: str,
    calibrations: Calibrations = _UNCALIBRATED,
) -> list[ScanResult]:
    """Findings of a batch, in its order; all views of all pictures go through the encoder together."""
    samples = [sample for sample in batch if isinstance(sample, DecodedImage)]
    per_picture = iter(_logits(samples, runtime) if samples else ())
    return [
        _finding(entry, next(per_picture), runtime.detectors, scanned_at, calibrations)
        if isinstance(entry, DecodedImage)
        else ScanResult.of_failure(entry, scanned_at)
        for entry in batch
    ]


def _logits(samples: Sequence[DecodedImage], runtime: Runtime) -> list[NDArray[np.float32]]:
    """Per picture: (its views, detectors)."""
    logits = runtime.logits(_together([sample.views for sample in samples]))
    return np.split(logits, np.cumsum([len(sample.views.order) for sample in samples])[:-1])


def _together(several: Sequence[CropSet]) -> CropSet:
    """The views of several pictures in their order; crops that pictures share are there once."""
    alike: dict[bytes, list[int]] = {}  # crops by some of their pixels
    crops: list[NDArray[np.uint8]] = []
    order: list[CropRef] = []
    for views in several:
        places = []
        for crop in views.crops:
            others = alike.setdefault(crop[::_SPARSE, ::_SPARSE].tobytes(), [])
            same = next((place for place in others if np.array_equal(crops[place], crop)), None)
            if same is None:
                same = len(crops)
                others.append(same)
                crops.append(crop)
            places.append(same)
        order += [(places[index], mirrored) for index, mirrored in views.order]
    return CropSet(np.stack(crops), tuple(order))


def _finding(
    sample: DecodedImage,
    logits: NDArray[np.float32],
    detectors: Sequence[DetectorInfo],
    scanned_at: str,
    calibrations: Calibrations,
) -> ScanResult:
    if not np.isfinite(logits).all():
        message = "the model gave a value that is not a finite number; no score is shown"
        failure = Failure(sample.item, Stage.SCORE, "NonFiniteScore", message, sample.facts)
        return ScanResult.of_failure(failure, scanned_at)
    views = logits.astype(np.float64)
    return ScanResult(
        name=sample.item.name,
        kind=sample.item.kind,
        status=Status.SCORED,
        facts=sample.facts,
        scanned_at=scanned_at,
        scores=tuple(
            _score(sample, views[:, column], detector, calibrations.get(detector.name))
            for column, detector in enumerate(detectors)
        ),
        views=len(views),
    )


def _score(
    sample: DecodedImage, logits: NDArray[np.float64], detector: DetectorInfo, calibration: Calibration | None
) -> Score:
    logit = float(logits.mean())
    crops = [sigmoid(value) for value in logits.tolist()]
    score = Score(
        model=detector.name,
        digest=detector.digest,
        threshold=detector.threshold,
        score=sigmoid(logit),
        logit=logit,
        evidence=evidence(logit, detector.threshold),
        crop_min=min(crops),
        crop_max=max(crops),
        crop_std=float(np.std(np.subtract(crops, crops[0]))),  # exactly 0 where all are equal
    )
    if calibration:
        score = _calibrated(score, calibration)
    reasons = detector.abstention.reasons(sample.facts, sample.views.crops, logits)
    return replace(score, evidence=INCONCLUSIVE, inconclusive=reasons) if reasons else score


def _calibrated(score: Score, calibration: Calibration) -> Score:
    """The same score, seen from the camera pictures of a calibration."""
    return replace(
        score,
        threshold=sigmoid(calibration.threshold_logit),
        evidence=band(score.logit - calibration.threshold_logit),
        p_value=calibration.p_value(score.logit),
    )
