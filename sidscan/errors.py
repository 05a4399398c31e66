"""The errors that a command ends with, and the exit code that each one stands for.

    SidscanError
    |-- UsageError          2   the request contradicts itself or names what does not exist
    |-- ModelError          4   a model can't be found, read or trusted
    |   |-- ModelNotInstalled
    |   |-- UnknownModel
    |   |-- NoModelsFolder      there is no home folder to keep models in
    |   |-- PullFailed          the download did not complete; run the same command again
    |   |   `-- ModelLocked     another sidscan is installing the model
    |   |-- DigestMismatch      the bytes are not the ones that were pinned
    |   `-- CalibrationError    a calibration is missing, damaged, or of another model or other crops
    |-- ImageError          3   one image can't be scored (`sidscan.load(...).score`; in a scan it is a row)
    |-- NothingToScan       5   no input is an image
    |-- RuntimeUnavailable  6   the device or precision asked for can't be used here
    |-- OutputError         7   a report or the run's record can't be written
    `-- RunIncomplete       9   shards of a run have no results yet

Other endings have codes of their own: 0 done, 3 done but some inputs could not be read, 8 `sidscan verify`
found evidence changed or missing, 9 also where the time of --budget or --until was up, 130 interrupted.

In a scan, an image that can't be read raises nothing: it becomes a row (`records.Failure`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """What `sidscan` tells the shell; documented in docs/reference/exit-codes.md."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    DONE_WITH_FAILURES = 3
    MODEL = 4
    NOTHING_TO_SCAN = 5
    RUNTIME = 6
    OUTPUT = 7
    EVIDENCE_CHANGED = 8
    STOPPED = 9
    INTERRUPTED = 130


class SidscanError(Exception):
    """Base of all expected errors.

    Args:
        message: what is wrong, in one sentence.
        remedy: what to do next, in one sentence; names the option or command to try.
        details: lines below the remedy, e.g. what there is to choose among.
    """

    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, remedy: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message, self.remedy, self.details = message, remedy, tuple(details)

    def __str__(self) -> str:
        return "\n".join(filter(None, (self.message, self.remedy, *self.details)))


def was_interrupted(error: BaseException) -> bool:
    """Whether an error comes of Ctrl-C; a library that loads then says that it can't be imported."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen is not None


class UsageError(SidscanError):
    """The request contradicts itself or names what does not exist."""

    exit_code = ExitCode.USAGE


class ModelError(SidscanError):
    """A model can't be found, read or trusted."""

    exit_code = ExitCode.MODEL


class UnknownModel(ModelError):
    """No model of that name is in the catalog."""


class ModelNotInstalled(ModelError):
    """The model is known but its weights are not on this machine."""


class NoModelsFolder(ModelError):
    """Models and calibrations have no folder, since the user has no home folder."""

    def __init__(self) -> None:
        super().__init__(
            "there is no models folder: this user has no home folder",
            "Set SIDSCAN_MODELS to a folder for models and calibrations. The bundled `mini` needs none.",
        )


class PullFailed(ModelError):
    """A download did not complete."""


class ModelLocked(PullFailed):
    """Another sidscan is installing the model."""


class DigestMismatch(ModelError):
    """The bytes are not the ones that were pinned."""


class CalibrationError(ModelError):
    """A calibration is missing, damaged, or was made of another model or other crops."""


class NothingToScan(SidscanError):
    """No input is an image."""

    exit_code = ExitCode.NOTHING_TO_SCAN


class ImageError(SidscanError):
    """One image can't be read, decoded or scored; in a scan it would be a row instead.

    Attributes:
        error_class, status: as its row would have them.
    """

    exit_code = ExitCode.DONE_WITH_FAILURES

    def __init__(self, message: str, error_class: str, status: str) -> None:
        super().__init__(message)
        self.error_class, self.status = error_class, status


class RuntimeUnavailable(SidscanError):
    """The device or precision asked for can't be used here."""

    exit_code = ExitCode.RUNTIME


class RunIncomplete(SidscanError):
    """Shards of a run have no results yet, so a report would lack inputs."""

    exit_code = ExitCode.STOPPED


class OutputError(SidscanError):
    """A report or the run's record can't be written."""

    exit_code = ExitCode.OUTPUT


class RecordInUse(OutputError):
    """Another scan has the run's record open."""
