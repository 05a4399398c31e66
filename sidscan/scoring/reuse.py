"""What results depend on: which of an earlier run still hold, and what changed for the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.images.decoders import REVISIONS, decoders
from sidscan.journal.keys import Readers, ReuseKeys
from sidscan.models.detector_info import reading_crops
from sidscan.records import ModelRecord, RunHeader
from sidscan.runtimes import Runtime
from sidscan.scoring.calibration import Calibration
from sidscan.scoring.cascade import effort_used

_NO_CALIBRATIONS: Mapping[str, Calibration] = {}


def reuse_keys(
    config: ScanConfig,
    runtime: Runtime,
    calibrations: Mapping[str, Calibration] = _NO_CALIBRATIONS,
    earlier: RunHeader | None = None,
) -> ReuseKeys:
    """What the results of this scan depend on besides the bytes of the images.

    Args:
        calibrations: by model name.
        earlier: of the same record before this run; tells the digests that records of format 1 hold.
    """
    info, effort = runtime.info, effort_used(config, runtime.detectors)
    computed = [info.runtime, info.device, info.precision]
    models = [
        f"{detector.name} {detector.files} {detector.threshold} {detector.abstention}"
        for detector in runtime.detectors
    ]
    models += [f"{detector.name} {detector.cautions}" for detector in runtime.detectors if detector.cautions]
    models += [f"{detector.name} reads {detector.view!r}" for detector in runtime.detectors if detector.view]
    if effort == "normal":
        models += [f"{detector.name} {detector.cascade}" for detector in reading_crops(runtime.detectors)]
    models += [f"{name} calibrated {calibration.digest}" for name, calibration in calibrations.items()]
    now = _digests([config.crops, effort, *computed, *models], config)
    former: dict[str, str] = {}
    if earlier is not None:
        made_by = [earlier.sidscan_version, earlier.decoder, config.crops]
        former = dict(zip(_digests([*made_by, effort, *computed, *models], config), now, strict=True))
        if effort != "normal":  # 0.1.0 had no efforts
            former |= zip(_digests([*made_by, *computed, *models], config), now, strict=True)
    return ReuseKeys(*now, Readers(__version__, decoders(), REVISIONS), former)


def _digests(parts: Sequence[object], config: ScanConfig) -> tuple[str, str, str]:
    """Of what a score depends on; of that and the limits; of that and what may be fetched."""
    permissions = config.permissions()
    return _digest(parts), _digest([*parts, config.limits(), permissions]), _digest([*parts, permissions])


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def changes_between(earlier: RunHeader, now: RunHeader) -> Iterator[str]:
    """What two runs have otherwise, each as ``effort full (now normal)``; of what their headers tell."""
    yield from _model_changes(earlier.models, now.models)
    for name in ("effort", "crops", "runtime", "device", "precision"):
        before, after = getattr(earlier, name), getattr(now, name)
        if before != after:
            yield f"{name} {before} (now {after})"
    if _digests_of(earlier) != _digests_of(now):
        yield "other calibrations"
    limits = [dict(header.sessions[-1].limits) if header.sessions else {} for header in (earlier, now)]
    for name, after in limits[1].items():
        if name in limits[0] and limits[0][name] != after and name != "crops":
            yield f"--{name.replace('_', '-')} {limits[0][name]} (now {after})"


def _model_changes(earlier: Sequence[ModelRecord], now: Sequence[ModelRecord]) -> Iterator[str]:
    names = [", ".join(model.name for model in models) for models in (earlier, now)]
    if names[0] != names[1]:
        yield f"model {names[0]} (now {names[1]})"
        return
    for before, after in zip(earlier, now, strict=True):
        if before.files != after.files:
            yield f"other weights of {after.name}"
        elif any(
            getattr(before, name) != getattr(after, name)
            for name in ("threshold", "abstention", "cascade", "view")
        ):
            yield f"another card of {after.name}"


def _digests_of(header: RunHeader) -> Mapping[str, str]:
    return {name: calibration.sha256 for name, calibration in header.calibrations.items()}
