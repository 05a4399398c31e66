"""sidscan: triage an image archive for images that a machine may have made.

One image:

    import sidscan

    result = sidscan.load("mini").score("photo.jpg")
    print(result.scores[0].score, result.scores[0].evidence)

Many:

    run = sidscan.scan(["./images"])
    for result in run:
        print(result.name, result.status.value, [score.score for score in result.scores])
    sidscan.write_report(run, "report.csv")

Importing this package loads no torch. Progress is logged to the logger ``sidscan``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from sidscan._version import __version__
from sidscan.config import Crops, Device, Effort, ScanConfig
from sidscan.errors import (
    CalibrationError,
    DigestMismatch,
    ExitCode,
    ImageError,
    ModelError,
    ModelNotInstalled,
    NothingToScan,
    OutputError,
    PullFailed,
    RecordInUse,
    RuntimeUnavailable,
    SidscanError,
    UnknownModel,
    UsageError,
)
from sidscan.records import Counts, Exif, ImageInfo, Kind, Response, ScanResult, Score, Stage, Status

# ONNX Runtime, from 1.29 on, keeps an identifier of the machine and reports to its makers what it runs.
# It reads this once, when it is loaded, so it must be set before; nothing imported above loads it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from sidscan.scan_run import Progress, ScanRun
    from sidscan.scoring.model import Model

__all__ = [
    "CalibrationError",
    "Counts",
    "DigestMismatch",
    "Exif",
    "ExitCode",
    "ImageError",
    "ImageInfo",
    "Kind",
    "ModelError",
    "ModelNotInstalled",
    "NothingToScan",
    "OutputError",
    "PullFailed",
    "RecordInUse",
    "Response",
    "RuntimeUnavailable",
    "ScanConfig",
    "ScanResult",
    "Score",
    "SidscanError",
    "Stage",
    "Status",
    "UnknownModel",
    "UsageError",
    "__version__",
    "load",
    "scan",
    "write_report",
]

PathOrUrl: TypeAlias = "str | os.PathLike[str]"


def load(*models: str, device: Device = "auto", crops: Crops = "ten", effort: Effort = "normal") -> Model:
    """Detectors that score one image after another, in this process (`sidscan.scoring.model.Model`).

    Args:
        models: names of the catalog, checkpoints or exported graphs; none means rine-b16 where its
            encoder is installed, else mini.
        crops: ten-crop averaging, or the centre crop alone.
        effort: how many of the ten crops are scored, as ``--effort``.

    Raises:
        ModelError: a model is unknown, not installed, or not what it was.
        RuntimeUnavailable: the device asked for can't be used here.
    """
    from sidscan.scoring.model import open_model  # here: it loads numpy

    # A configuration names inputs; loading a model reads none.
    return open_model(ScanConfig(inputs=("-",), models=models, device=device, crops=crops, effort=effort))


def scan(
    inputs: ScanConfig | PathOrUrl | Sequence[PathOrUrl],
    *,
    models: str | Sequence[str] = (),
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> ScanRun:
    """A run over files, folders and URLs: iterate over it for one result per input, failures included.

    Results come as they are made. With ``journal`` set in the configuration, results of an earlier run that
    still hold come first.

    Args:
        inputs: what is scanned; or a `ScanConfig`, which has every option.
        models: as for `load`; a `ScanConfig` names its own.
        effort: as for `load`; None is ``normal``, or what the `ScanConfig` says.
        progress: called with the number of inputs done and of all inputs, after every result.

    Raises:
        SidscanError: the scan can't start.
    """
    from sidscan.pipeline import open_scan
    from sidscan.scan_run import ScanRun

    models = (models,) if isinstance(models, str) else tuple(models)
    if not isinstance(inputs, ScanConfig):
        if not isinstance(inputs, str | os.PathLike | list | tuple):
            raise UsageError(f"can't scan {inputs!r}", "Name a path or URL, or a list of them.")
        named = (inputs,) if isinstance(inputs, str | os.PathLike) else inputs
        names = tuple(os.fspath(name) if isinstance(name, os.PathLike) else name for name in named)
        inputs = ScanConfig(inputs=names, models=models, effort=effort or "normal")
    elif models:
        raise UsageError("models were named twice", "Name them in the ScanConfig.")
    elif effort is not None:
        raise UsageError("effort was given twice", "Give it in the ScanConfig.")
    return ScanRun(open_scan(inputs), progress)


def write_report(run: ScanRun, path: PathOrUrl, *, overwrite: bool = False) -> None:
    """Bring a run to its end and write its report.

    A file that can't be written is refused before the run goes on.

    Args:
        path: its suffix chooses the format, e.g. .csv.
        overwrite: replace whatever is there. Without it, only what this run wrote there is replaced.

    Raises:
        UsageError: an unknown suffix.
        OutputError: the file can't be written, or something else is there.
    """
    from sidscan import reports

    writer = reports.output_for(os.fspath(path), overwrite=overwrite)
    with reports.reserve_all(
        [writer], run.record.output_digests
    ):  # before the run: a wrong name is told at once
        run.finish()
        writer.write(run.record)
