"""Crops -> logits -> one score per image and model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidscan._version import __version__
from sidscan.config import Effort
from sidscan.images.crops import CENTRE, share_covered, view_names
from sidscan.images.decoders import decoder_of
from sidscan.models.detector_info import DetectorInfo, probe_columns, reading_crops
from sidscan.models.reliability import Reliability, stated_reliability
from sidscan.records import (
    INCONCLUSIVE,
    CropSet,
    DecodedImage,
    Failure,
    ImageInfo,
    ScanResult,
    Score,
    Stage,
    Status,
)
from sidscan.runtimes import Runtime
from sidscan.scoring.calibration import Calibration
from sidscan.scoring.cascade import Cascades
from sidscan.scoring.crop_logits import Compute, CropLogits
from sidscan.scoring.crop_parts import CropParts
from sidscan.scoring.evidence import band, evidence, logit_of, sigmoid
from sidscan.scoring.view_logits import ViewLogits

Calibrations = Mapping[str, Calibration]
"""By model name; a model without a calibration keeps the threshold of its card."""
_UNCALIBRATED: Calibrations = {}


@dataclass
class ScoringJob:
    """A batch that is being scored.

    Attributes:
        to_score: the entries that no earlier result answers, by position in the batch.
        first_seen: positions of the bytes that no earlier job scores, by their sha256.
        pending_in: the jobs under way that score the other bytes, by sha256.
        cached: results by sha256: of bytes scored before, and when the job ends, of all others.
        results: of the entries to score, by position.
    """

    batch: Sequence[DecodedImage | Failure]
    scanned_at: str
    to_score: dict[int, DecodedImage | Failure] = field(default_factory=dict)
    first_seen: dict[str, int] = field(default_factory=dict)
    pending_in: dict[str, ScoringJob] = field(default_factory=dict)
    cached: dict[str, ScanResult] = field(default_factory=dict)
    results: dict[int, ScanResult] = field(default_factory=dict)


class Scorer:
    """Batches -> results. Bytes that were scored before, or are in a job under way, are not scored again.

    Jobs begin and end in one thread and one order; in between, several may be scored at once, in any thread.

    Args:
        known: the result of bytes with this sha256, if one still holds.
        effort: which crops of an image are computed, as `cascade.effort_used` gives it.
    """

    def __init__(
        self,
        runtime: Runtime,
        calibrations: Calibrations = _UNCALIBRATED,
        known: Callable[[str], ScanResult | None] = lambda _: None,
        effort: Effort = "full",
    ) -> None:
        self._runtime, self._calibrations, self._known = runtime, calibrations, known
        self._effort, self._abandoned = effort, threading.Event()
        self._in_parts, self._of_views = CropParts(runtime.logits), ViewLogits(runtime, self._check_wanted)
        self._under_way: dict[str, ScoringJob] = {}  # by the sha256 of the bytes that they score

    def begin(self, batch: Sequence[DecodedImage | Failure], scanned_at: str) -> ScoringJob:
        """Find out what of a batch has to be scored."""
        job = ScoringJob(batch, scanned_at)
        for position, entry in enumerate(batch):
            sha256 = entry.facts.sha256
            if isinstance(entry, Failure) or sha256 is None:
                job.to_score[position] = entry
            elif sha256 in self._under_way:
                job.pending_in[sha256] = self._under_way[sha256]
            elif (earlier := self._known(sha256)) is not None:
                job.cached[sha256] = earlier
            else:
                self._under_way[sha256] = job
                job.first_seen[sha256] = position
                job.to_score[position] = entry
        return job

    def score(self, job: ScoringJob) -> ScoringJob:
        """Score what has to be scored; returns the job itself."""
        batch = list(job.to_score.values())
        self._check_wanted()
        results = score(
            batch,
            self._runtime,
            job.scanned_at,
            self._calibrations,
            self._effort,
            self._compute,
            self._of_views,
        )
        job.results = dict(zip(job.to_score, results, strict=True))
        return job

    def abandon(self) -> None:
        """Give up what is being scored as far as possible: no further stage of a cascade begins."""
        self._abandoned.set()
        self._runtime.abandon()

    def _check_wanted(self) -> None:
        """Raise CancelledError once what is being scored was given up."""
        if self._abandoned.is_set():
            raise CancelledError

    def _compute(self, crops: CropSet) -> NDArray[np.float32]:
        self._check_wanted()
        return self._in_parts(crops)

    def end(self, job: ScoringJob) -> list[ScanResult]:
        """The results of a job that was scored, in the order of its batch."""
        for sha256, position in job.first_seen.items():
            job.cached[sha256] = job.results[position]
            del self._under_way[sha256]
        job.cached |= {sha256: other.cached[sha256] for sha256, other in job.pending_in.items()}
        job.pending_in.clear()  # jobs that repeat one another would hold on to all before them
        return [
            job.results[position] if position in job.results else _for_input(entry, job)
            for position, entry in enumerate(job.batch)
        ]


def _for_input(entry: DecodedImage | Failure, job: ScoringJob) -> ScanResult:
    """The result of the same bytes under another name, for this input."""
    same = job.cached[str(entry.facts.sha256)]
    return replace(
        same, name=entry.item.name, kind=entry.item.kind, facts=entry.facts, scanned_at=job.scanned_at
    )


def score(
    batch: Sequence[DecodedImage | Failure],
    runtime: Runtime,
    scanned_at: str,
    calibrations: Calibrations = _UNCALIBRATED,
    effort: Effort = "full",
    compute: Compute | None = None,
    of_views: ViewLogits | None = None,
) -> list[ScanResult]:
    """Results of a batch, in its order; crops of all images go through the encoder together.

    Args:
        effort: as `cascade.effort_used` gives it; with ``normal`` every detector states a cascade.
        compute: computes logits of crops; `Runtime.logits` by default.
        of_views: computes those of pictures of whole images; made for this batch alone by default.
    """
    images = [entry for entry in batch if isinstance(entry, DecodedImage)]
    crops = _crop_logits(images, runtime, calibrations, effort, compute or runtime.logits)
    logits = map(_ImageLogits, crops, (of_views or ViewLogits(runtime))(images))
    known = [stated_reliability(detector, effort) for detector in runtime.detectors]
    return [
        _result(entry, next(logits), runtime.detectors, scanned_at, calibrations, known)
        if isinstance(entry, DecodedImage)
        else _failed(entry, scanned_at)
        for entry in batch
    ]


class _ImageLogits(NamedTuple):
    """Logits of one image.

    Attributes:
        crops: (its crops that were computed, columns), as `Runtime.logits` orders these.
        views: of the detectors that read a picture of it instead, by name.
    """

    crops: NDArray[np.float32]
    views: Mapping[str, float]

    @property
    def are_finite(self) -> bool:
        return bool(np.isfinite(self.crops).all() and np.isfinite(list(self.views.values())).all())

    def by_detector(self, detectors: Sequence[DetectorInfo]) -> list[NDArray[np.float64]]:
        """Of each detector, those of its crops, or of its picture alone."""
        columns = iter(self.crops.astype(np.float64).T)
        return [
            next(columns) if each.view is None else np.array([self.views[each.name]]) for each in detectors
        ]

    def by_probe(self, detectors: Sequence[DetectorInfo]) -> dict[tuple[str, str], float]:
        """The mean of each probe, by detector and kind."""
        means = self.crops.astype(np.float64).mean(axis=0)[len(reading_crops(detectors)) :]
        return dict(zip(probe_columns(detectors), means.tolist(), strict=True))


def _crop_logits(
    images: Sequence[DecodedImage],
    runtime: Runtime,
    calibrations: Calibrations,
    effort: Effort,
    compute: Compute,
) -> list[NDArray[np.float32]]:
    """Per image: (its crops that were computed, columns); (1, 0) where no detector reads crops."""
    if not reading_crops(runtime.detectors):
        return [np.empty((1, 0), np.float32) for _ in images]
    cascades = _cascades(runtime, calibrations, effort)
    crops = CropLogits(compute)
    views = [crops.add(image.crop_set) for image in images]
    if cascades is not None:
        return cascades.logits(crops, views)
    crops.compute(chain.from_iterable(views))
    return [crops.of(refs) for refs in views]


def _cascades(runtime: Runtime, calibrations: Calibrations, effort: Effort) -> Cascades | None:
    """What chooses the crops of an image; None where all that were cut are computed."""
    if effort != "normal":
        return None
    detectors = reading_crops(runtime.detectors)
    thresholds = [
        calibrations[detector.name].threshold_logit
        if detector.name in calibrations
        else logit_of(detector.threshold)
        for detector in detectors
    ]
    return Cascades(detectors, thresholds)


def _result(
    image: DecodedImage,
    logits: _ImageLogits,
    detectors: Sequence[DetectorInfo],
    scanned_at: str,
    calibrations: Calibrations,
    known: Sequence[Reliability | None],
) -> ScanResult:
    if not logits.are_finite:
        message = "the model gave a value that is not a finite number; no score is shown"
        failure = Failure(image.item, Stage.SCORE, "NonFiniteScore", message, image.facts)
        return _failed(failure, scanned_at)
    probes = logits.by_probe(detectors)
    return ScanResult(
        name=image.item.name,
        kind=image.item.kind,
        status=Status.SCORED,
        facts=image.facts,
        scanned_at=scanned_at,
        scores=tuple(
            _score(image, own, detector, calibrations.get(detector.name), reliability, probes)
            for own, detector, reliability in zip(
                logits.by_detector(detectors), detectors, known, strict=True
            )
        ),
        views=len(logits.crops),
        share_scored=_share_scored(image, len(logits.crops), detectors),
        decoder=decoder_of(image.facts),
        sidscan_version=__version__,
    )


def _share_scored(image: DecodedImage, views: int, detectors: Sequence[DetectorInfo]) -> float | None:
    """Of the pixels, in the crops; where no detector reads crops, in what the first one reads."""
    width, height = image.facts.scored_size
    if not width or not height:
        return None
    if reading_crops(detectors):
        return share_covered(width, height, views)
    return next((each.view.share(width, height) for each in detectors if each.view), None)


def _failed(failure: Failure, scanned_at: str) -> ScanResult:
    decoder = decoder_of(failure.facts) if failure.stage in (Stage.DECODE, Stage.SCORE) else None
    return replace(ScanResult.of_failure(failure, scanned_at), decoder=decoder, sidscan_version=__version__)


def _score(
    image: DecodedImage,
    logits: NDArray[np.float64],
    detector: DetectorInfo,
    calibration: Calibration | None,
    known: Reliability | None,
    probes: Mapping[tuple[str, str], float],
) -> Score:
    """What one detector says of one image, from the logits (crops,) of its crops.

    Args:
        probes: mean logits of the detectors' probes, by detector and kind.
    """
    logit = float(logits.mean())
    crop_scores = [sigmoid(value) for value in logits.tolist()]
    score = Score(
        model=detector.name,
        digest=detector.digest,
        threshold=detector.threshold,
        score=sigmoid(logit),
        logit=logit,
        evidence=evidence(logit, detector.threshold),
        crop_min=min(crop_scores),
        crop_max=max(crop_scores),
        crop_std=float(np.std(np.subtract(crop_scores, crop_scores[0]))),  # exactly 0 where all are equal
        highest_crop=_highest(crop_scores) if detector.view is None else None,
        percentile=known.percentile(logit) if known else None,
        cautions=_cautions(image.facts, detector, probes),
        crop_scores=tuple(round(value, 4) for value in crop_scores),
        model_input=_model_input(image.facts, detector),
    )
    if calibration:
        score = _calibrated(score, calibration)
    reasons = detector.abstention.reasons(image.facts, image.crop_set.crops, logits)
    return replace(score, evidence=INCONCLUSIVE, inconclusive=reasons) if reasons else score


def _model_input(facts: ImageInfo, detector: DetectorInfo) -> str:
    """What a detector read of an image, in words; empty for crops."""
    width, height = facts.scored_size
    if detector.view is None:
        return ""
    return detector.view.describe(width, height) if width and height else str(detector.view)


def _highest(crop_scores: Sequence[float]) -> str:
    """The view with the highest score: the centre, or else the first, of several with the same."""
    names, highest = view_names(len(crop_scores)), max(crop_scores)
    if len(crop_scores) == 1 or highest in crop_scores[CENTRE : CENTRE + 1]:
        return view_names(1)[0]
    return names[crop_scores.index(highest)]


def _cautions(
    facts: ImageInfo, detector: DetectorInfo, probes: Mapping[tuple[str, str], float]
) -> tuple[str, ...]:
    """The kinds, of those that the detector calls synthetic too often, that an image looks like."""
    own = {kind: mean for (name, kind), mean in probes.items() if name == detector.name}
    return tuple(caution.kind for caution in detector.cautions if caution.holds(facts, own))


def _calibrated(score: Score, calibration: Calibration) -> Score:
    """The same score, measured against the camera images of a calibration."""
    return replace(
        score,
        threshold=sigmoid(calibration.threshold_logit),
        evidence=band(score.logit - calibration.threshold_logit),
        p_value=calibration.p_value(score.logit),
    )
