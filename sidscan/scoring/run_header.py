"""The facts about a run, from what was opened for it."""

from __future__ import annotations

from dataclasses import asdict

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.images import decode
from sidscan.models import reliability
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.refs import ModelChoice
from sidscan.records import CalibrationRecord, ModelRecord, RunHeader
from sidscan.runtimes import Runtime
from sidscan.scoring.cascade import effort_used
from sidscan.scoring.scorer import Calibrations
from sidscan.util.threads import available_cores
from sidscan.util.urls import mask_credentials


def run_header(
    config: ScanConfig, runtime: Runtime, choice: ModelChoice, calibrations: Calibrations, started: str
) -> RunHeader:
    """The facts about a run, its sessions excepted.

    Args:
        started: when it starts, ISO 8601, UTC.
    """
    effort = effort_used(config, runtime.detectors)
    provenance = {name: how for detector in runtime.detectors for name, how in detector.provenance.items()}
    return RunHeader(
        sidscan_version=__version__,
        started=started,
        models=tuple(map(_model_record, runtime.detectors)),
        model_choice=str(choice),
        model_provenance="; ".join(f"{name}: {how}" for name, how in provenance.items()),
        **asdict(runtime.info),
        decoder=decode.decoder_name(),
        crops=config.crops,
        effort=effort,
        inputs=tuple(mask_credentials(name) for name in config.inputs),
        lists=config.lists,
        calibrations=_calibration_records(config, calibrations, runtime),
        reliability={
            detector.name: reliability.describe(detector, effort, detector.name in calibrations)
            for detector in runtime.detectors
        },
        private=config.private,
    )


def _model_record(detector: DetectorInfo) -> ModelRecord:
    view = str(detector.view) if detector.view else ""
    return ModelRecord(**{**asdict(detector), "view": view})


def _calibration_records(
    config: ScanConfig, calibrations: Calibrations, runtime: Runtime
) -> dict[str, CalibrationRecord]:
    """Per model: its calibration, and how its logits were computed otherwise than in this run."""
    now = {
        **asdict(runtime.info),
        "effort": effort_used(config, runtime.detectors),
        "decoder": decode.decoder_name(),
        "sidscan_version": __version__,
    }
    return {
        name: CalibrationRecord(
            **{**calibration.metadata(), "effort": calibration.effort_used},
            sha256=calibration.digest,
            differences=tuple(calibration.differences(now)),
        )
        for name, calibration in calibrations.items()
    }


def session_resources(config: ScanConfig, runtime: Runtime) -> dict[str, int]:
    """The threads, batches and devices that the config or the machine chose."""
    return {
        "cores": available_cores(),
        "workers": config.workers or available_cores(),
        "batch": config.batch or runtime.batch,
        "batches_at_once": runtime.at_once,
        "devices": runtime.devices,
    }
