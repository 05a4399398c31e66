"""Crops -> logits -> one score per picture and model."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sidscan._version import __version__
from sidscan.calibration import Calibration
from sidscan.config import ScanConfig
from sidscan.models.detectors import DetectorInfo
from sidscan.readers.decode import decoder_name
from sidscan.records import Failure, Finding, Sample, Score, Settings, Stage, Status, View, Views
from sidscan.runtimes import Runtime

Calibrations = Mapping[str, Calibration]  # by model name; a model without one keeps its card's threshold
_UNCALIBRATED: Calibrations = {}
_SPARSE = 16  # every how many-th row and column of a crop tells most crops apart
# Lower bounds of the words, on the score relative to a model's threshold.
_WORDS = ((0.9, "very strong"), (0.7, "strong"), (0.5, "moderate"), (0.0, "weak"))


def settings(config: ScanConfig, runtime: Runtime, calibrations: Calibrations = _UNCALIBRATED) -> Settings:
    """What this scan's findings depend on."""
    info = runtime.info
    parts = [__version__, decoder_name(), config.crops, info.runtime, info.device, info.precision]
    parts += [f"{detector.name} {detector.files} {detector.threshold}" for detector in runtime.detectors]
    parts += [f"{name} calibrated {calibration.digest}" for name, calibration in calibrations.items()]
    permissions = config.permissions()
    return Settings(
        score=_digest(parts),
        limits=_digest([*parts, config.limits(), permissions]),
        urls=_digest([*parts, permissions]),
    )


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def score_once(
    batch: Sequence[Sample | Failure],
    runtime: Runtime,
    scanned_at: str,
    calibrations: Calibrations = _UNCALIBRATED,
    known: Callable[[str], Finding | None] = lambda _: None,
) -> list[Finding]:
    """As `score`, but bytes that were scored before, or earlier in the batch, are not scored again.

    Args:
        known: the finding of bytes with this sha256, if there is one that holds.
    """
    found: dict[str, Finding] = {}
    new: dict[int, Sample | Failure] = {}  # by place in the batch
    first: dict[str, int] = {}
    for place, entry in enumerate(batch):
        sha256 = entry.facts.sha256
        if isinstance(entry, Failure) or sha256 is None:
            new[place] = entry
        elif sha256 not in found and sha256 not in first:
            if (earlier := known(sha256)) is not None:
                found[sha256] = earlier
            else:
                first[sha256] = place
                new[place] = entry
    made = dict(zip(new, score(list(new.values()), runtime, scanned_at, calibrations), strict=True))
    found |= {sha256: made[place] for sha256, place in first.items()}
    return [
        made[place] if place in made else _again(entry, found, scanned_at)
        for place, entry in enumerate(batch)
    ]


def _again(entry: Sample | Failure, found: Mapping[str, Finding], scanned_at: str) -> Finding:
    """The finding of other bytes that are the same, for this input."""
    same = found[str(entry.facts.sha256)]
    return replace(same, name=entry.item.name, kind=entry.item.kind, facts=entry.facts, scanned_at=scanned_at)


def score(
    batch: Sequence[Sample | Failure],
    runtime: Runtime,
    scanned_at: str,
    calibrations: Calibrations = _UNCALIBRATED,
) -> list[Finding]:
    """Findings of a batch, in its order; all views of all pictures go through the encoder together."""
    samples = [sample for sample in batch if isinstance(sample, Sample)]
    per_picture = iter(_logits(samples, runtime) if samples else ())
    return [
        _finding(entry, next(per_picture), runtime.detectors, scanned_at, calibrations)
        if isinstance(entry, Sample)
        else Finding.of_failure(entry, scanned_at)
        for entry in batch
    ]


def evidence(logit: float, threshold: float) -> str:
    """A logit in words: weak < 0.5 <= moderate < 0.7 <= strong < 0.9 <= very strong.

    The scale is the score after shifting logits so that the model's threshold falls on 0.5.
    """
    return _word(logit - math.log(threshold / (1 - threshold)))


def sigmoid(logit: float) -> float:
    """1 / (1 + exp(-logit)), for logits of any size."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    return math.exp(logit) / (1 + math.exp(logit))


def _word(margin: float) -> str:
    """A logit's distance from the threshold in words."""
    if margin < 0:  # however little: a sigmoid would round it to 0.5
        return "weak"
    return next(word for bound, word in _WORDS if sigmoid(margin) >= bound)


def _logits(samples: Sequence[Sample], runtime: Runtime) -> list[NDArray[np.float32]]:
    """Per picture: (its views, detectors)."""
    logits = runtime.logits(_together([sample.views for sample in samples]))
    return np.split(logits, np.cumsum([len(sample.views.order) for sample in samples])[:-1])


def _together(several: Sequence[Views]) -> Views:
    """The views of several pictures in their order; crops that pictures share are there once."""
    alike: dict[bytes, list[int]] = {}  # crops by some of their pixels
    crops: list[NDArray[np.uint8]] = []
    order: list[View] = []
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
    return Views(np.stack(crops), tuple(order))


def _finding(
    sample: Sample,
    logits: NDArray[np.float32],
    detectors: Sequence[DetectorInfo],
    scanned_at: str,
    calibrations: Calibrations,
) -> Finding:
    if not np.isfinite(logits).all():
        message = "the model gave a value that is not a finite number; no score is shown"
        failure = Failure(sample.item, Stage.SCORE, "NonFiniteScore", message, sample.facts)
        return Finding.of_failure(failure, scanned_at)
    views = logits.astype(np.float64)
    return Finding(
        name=sample.item.name,
        kind=sample.item.kind,
        status=Status.SCORED,
        facts=sample.facts,
        scanned_at=scanned_at,
        scores=tuple(
            _score(views[:, column], detector, calibrations.get(detector.name))
            for column, detector in enumerate(detectors)
        ),
        views=len(views),
    )


def _score(logits: NDArray[np.float64], detector: DetectorInfo, calibration: Calibration | None) -> Score:
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
        crop_std=float(np.std(crops)),
    )
    return _calibrated(score, calibration) if calibration else score


def _calibrated(score: Score, calibration: Calibration) -> Score:
    """The same score, seen from the camera pictures of a calibration."""
    return replace(
        score,
        threshold=sigmoid(calibration.threshold_logit),
        evidence=_word(score.logit - calibration.threshold_logit),
        p_value=calibration.p_value(score.logit),
    )
