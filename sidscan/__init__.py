"""sidscan: triage an image archive for pictures that a machine may have made.

    from sidscan import ScanConfig, scan

    for finding in scan(ScanConfig(inputs=("./images",))):
        print(finding.name, finding.status.value, finding.scores)

Importing this package loads no torch; the first scan does.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidscan._version import __version__
from sidscan.config import ScanConfig
from sidscan.errors import (
    CalibrationError,
    DigestMismatch,
    ExitCode,
    ModelError,
    ModelNotInstalled,
    NothingToScan,
    OutputError,
    PullFailed,
    RuntimeUnavailable,
    SidscanError,
    UnknownModel,
    UsageError,
)
from sidscan.records import Exif, ImageInfo, Kind, Response, ScanResult, Score, Stage, Status

__all__ = [
    "CalibrationError",
    "DigestMismatch",
    "Exif",
    "ExitCode",
    "ImageInfo",
    "Kind",
    "ModelError",
    "ModelNotInstalled",
    "NothingToScan",
    "OutputError",
    "PullFailed",
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
    "scan",
]


def scan(config: ScanConfig) -> Iterator[ScanResult]:
    """One finding per input, failures included, as they are made.

    With ``config.journal`` set, findings of an earlier run that still hold come first.

    Raises:
        SidscanError: the scan can't start, or its journal can't be written.
    """
    from sidscan.pipeline import open_scan

    run = open_scan(config)
    try:
        yield from run.journal.results()
        yield from run
    finally:
        run.journal.close()
