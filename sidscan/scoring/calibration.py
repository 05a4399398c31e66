"""Calibrations: the logits of known camera images, and what a scan computes from them.

With n calibration logits, an image's conformal p-value is (1 + how many are at least its logit) / (n + 1)
(Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", section 2.2). If a camera image is
exchangeable with the calibration images, its p-value is at most a with probability at most a. The threshold
is chosen so that an image reaches it exactly where its p-value is at most the target rate.
"""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import shlex
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, get_args

from sidscan.config import Effort, ScanConfig
from sidscan.errors import CalibrationError, OutputError
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.refs import ModelKind, ModelRef
from sidscan.models.store import default_root
from sidscan.reports.output_files import check_absent, check_folder
from sidscan.util.files import atomic_write

_T = TypeVar("_T")

_FORMAT = "sidscan calibration 1"
_CONTEXT = ("runtime", "device", "precision", "decoder", "sidscan_version")
_HOW_TO_MAKE = "`sidscan calibrate FOLDER` makes one from known camera images."


@dataclass(frozen=True, slots=True)
class Calibration:
    """One model's logits on known camera images, and how they were computed.

    Attributes:
        weights: sha256 of each weights file by name, as in `DetectorInfo.files`.
        crops: ``ten`` or ``center``.
        runtime, device, precision, decoder, sidscan_version: what computed the logits.
        created: ISO 8601, UTC.
        unreadable: number of images without a logit; they are not among ``logits``.
        skipped: number of inputs that were not images.
        duplicates: number of images with the same bytes as another one; only the first is among ``logits``.
        target_fpr: the requested false-positive rate, a fraction.
        logits: of the distinct images, ascending.
        effort: which of the crops were scored, as `effort_used` gives it; empty in files of 0.2.0.
    """

    model: str
    weights: Mapping[str, str]
    crops: str
    runtime: str
    device: str
    precision: str
    decoder: str
    sidscan_version: str
    created: str
    unreadable: int
    skipped: int
    duplicates: int
    target_fpr: float
    logits: tuple[float, ...]
    effort: str = ""

    @property
    def num_images(self) -> int:
        """n, the number of distinct calibration images; the file calls it ``pictures``."""
        return len(self.logits)

    @property
    def rank(self) -> int:
        """k: an image reaches the threshold where it would be among the k highest of n + 1."""
        return threshold_rank(self.target_fpr, self.num_images)

    @property
    def threshold_logit(self) -> float:
        """The smallest logit with a p-value of at most the target rate: just above the k-th highest."""
        return math.nextafter(self.logits[-self.rank], math.inf)

    @property
    def false_flag_rate(self) -> float:
        """k / (n + 1): the probability that a camera image reaches the threshold; less where logits tie."""
        return self.rank / (self.num_images + 1)

    def p_value(self, logit: float) -> float:
        """Share of images with at least this logit, among the n calibration images and the image itself."""
        return (1 + self.num_images - bisect_left(self.logits, logit)) / (self.num_images + 1)

    @property
    def effort_used(self) -> str:
        """``effort``, also of a file that does not state it."""
        return self.effort or ("fast" if self.crops == "center" else "full")

    def metadata(self) -> dict[str, Any]:
        """Everything but the logits, for JSON. The keys are those of the calibration file."""
        names = [field.name for field in fields(self) if field.name != "logits"]
        values = {name: getattr(self, name) for name in names}
        if not self.effort:  # a file of 0.2.0 keeps its digest
            del values["effort"]
        return {
            "format": _FORMAT,
            **values,
            "pictures": self.num_images,
            "threshold_logit": self.threshold_logit,
        }

    def to_json(self) -> str:
        """The file's text: strict JSON, the logits last."""
        return json.dumps({**self.metadata(), "logits": self.logits}, indent=1, allow_nan=False) + "\n"

    @property
    def digest(self) -> str:
        """The sha256 of the file that `save_calibration` writes, hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def differences(self, context: Mapping[str, object]) -> list[str]:
        """What computes scores differently now than then, e.g. ``precision fp16 then, fp32 now``."""
        then = {"effort": self.effort_used} | {name: getattr(self, name) for name in _CONTEXT}
        return [
            f"{name} {value} then, {context[name]} now"
            for name, value in then.items()
            if value != context[name]
        ]


def threshold_rank(fpr: float, num_images: int) -> int:
    """k = floor(fpr * (n + 1)), exactly: 0.07 * 100 is 7, not the binary fraction 7.000000000000001."""
    return math.floor(Fraction(repr(fpr)) * (num_images + 1))


def min_images(fpr: float) -> int:
    """The smallest number of calibration images that can guarantee a false-positive rate of ``fpr``."""
    return math.ceil(1 / Fraction(repr(fpr))) - 1


def default_calibration_path(
    info: DetectorInfo, crops: str, store_folder: Path | None = None, model_file: Path | None = None
) -> Path:
    """The file for a model's calibration: in the models folder, or beside the model if that is a file.

    The name contains the digest and the crops, so that no calibration replaces that of another model.
    """
    if model_file is not None:
        return _path_beside(model_file, crops)
    return _calibrations_folder(store_folder) / f"{info.name}-{info.digest}-{crops}.json"


def saved_calibration_path(info: DetectorInfo, config: ScanConfig) -> Path:
    """The default file for the calibration of one of a scan's models."""
    refs = map(ModelRef.parse, config.models)
    files = {ref.path.name: ref.path for ref in refs if ref.kind is not ModelKind.CATALOG}
    return default_calibration_path(info, config.crops, model_file=files.get(info.name))


def model_options(model: str, config: ScanConfig) -> str:
    """The options with which a command uses this model, crops and effort, e.g. ``--model mini``."""
    names = [name for name in config.models if Path(name).name == model] or [model]
    words = ["--model", names[0]]
    if config.encoder and ModelRef.parse(names[0]).kind is not ModelKind.CATALOG:
        words += ["--encoder", str(config.encoder)]
    if config.effort != "normal":
        words += ["--effort", config.effort]
    elif config.crops != "ten":
        words += ["--crops", config.crops]
    return shlex.join(words)


def choose_calibrations(config: ScanConfig, models: Sequence[DetectorInfo]) -> dict[str, Calibration]:
    """The calibrations that a scan asks for, by model name.

    Raises:
        CalibrationError: one is missing or damaged, or was made with other weights or other crops.
    """
    chosen: dict[str, Calibration] = {}
    for path, calibration in [(path, load_calibration(path)) for path in config.calibrations]:
        info = _model_of(calibration, path, models)
        if info.name in chosen:
            raise CalibrationError(f"two calibrations of {info.name} were given", "Name one of them.")
        chosen[info.name] = _checked(calibration, path, info, config)
    for info in models if config.calibrated else ():
        if info.name not in chosen:
            path = saved_calibration_path(info, config)
            if not path.exists():
                raise _not_saved(info.name, config)
            chosen[info.name] = _checked(load_calibration(path), path, info, config)
    return chosen


def check_calibrations_saved(config: ScanConfig, models: Sequence[ModelRef]) -> None:
    """Check, before models are loaded, that `choose_calibrations` may find one for every model.

    Raises:
        CalibrationError: none of a model is saved.
    """
    for model in models:
        if not _may_be_saved(model, config.crops):
            raise _not_saved(model.path.name, config)


def load_calibration(path: Path) -> Calibration:
    """The calibration in a file. What the file states is checked against its own logits.

    Raises:
        CalibrationError: the file can't be read, is something else, or contradicts itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CalibrationError(f"{path} can't be read: {reason}", _HOW_TO_MAKE) from error
    try:
        calibration, threshold = _parse(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CalibrationError(f"{path} is not a complete sidscan calibration", _HOW_TO_MAKE) from error
    if threshold != calibration.threshold_logit:
        raise CalibrationError(
            f"{path} was altered: its threshold does not follow from its own scores", _HOW_TO_MAKE
        )
    return calibration


def check_calibration_path(path: Path, replace_it: bool = True) -> None:
    """Check before a long scan that a calibration can be saved there.

    Args:
        replace_it: whether a calibration that is there may be replaced.

    Raises:
        OutputError: the folder can't be written, or something else is there.
    """
    if not replace_it:
        check_absent(path)
    elif path.exists():
        try:
            load_calibration(path)
        except CalibrationError as error:
            raise OutputError(
                f"{path} exists and is not a calibration; sidscan does not replace it",
                "Choose another --out.",
            ) from error
    check_folder(path)
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {path.parent} is not writable", "Choose another --out.")


def save_calibration(
    calibration: Calibration, path: Path, check: Callable[[Path], None] = check_calibration_path
) -> None:
    """Write the file completely, or not at all.

    Args:
        check: called with ``path`` right before it is written; an error that it raises stops that.

    Raises:
        OutputError: the file can't be written; an older file of that name stays as it was.
    """
    try:
        with atomic_write(path, lambda _: check(path)) as partial:
            partial.write_text(calibration.to_json(), encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}", "Choose another --out.") from error


def _not_saved(model: str, config: ScanConfig) -> CalibrationError:
    return CalibrationError(
        f"no calibration of {model} with {config.crops} crops is saved",
        f"`sidscan calibrate FOLDER {model_options(model, config)}` makes one from known camera images; "
        "--calibration FILE uses one from elsewhere.",
    )


def _may_be_saved(model: ModelRef, crops: str) -> bool:
    """Whether a calibration of a model is saved, perhaps for other weights of the same name."""
    if model.kind is ModelKind.GRAPH:  # only its bytes say whose detectors it holds
        return True
    if model.kind is ModelKind.CHECKPOINT:
        return _path_beside(model.path, crops).exists()
    return any(_calibrations_folder().glob(f"{glob.escape(model.name)}-*-{crops}.json"))


def _path_beside(model_file: Path, crops: str) -> Path:
    return model_file.with_name(f"{model_file.name}.{crops}.calibration.json")


def _calibrations_folder(store_folder: Path | None = None) -> Path:
    return (store_folder or default_root()) / "calibrations"


def _model_of(calibration: Calibration, path: Path, models: Sequence[DetectorInfo]) -> DetectorInfo:
    """The model that a file is for: the one with the same weights, else the one with the same name."""
    same = [info for info in models if _digests(info.files) == _digests(calibration.weights)]
    named = [info for info in models if info.name == calibration.model]
    if not same and not named:
        used = ", ".join(info.name for info in models)
        raise CalibrationError(
            f"{path} is a calibration of {calibration.model}; this scan uses {used}",
            f"Add --model {calibration.model}, or leave that file out.",
        )
    return (same or named)[0]


def _checked(calibration: Calibration, path: Path, info: DetectorInfo, config: ScanConfig) -> Calibration:
    if _digests(calibration.weights) != _digests(info.files):
        raise CalibrationError(
            f"{path} was made with other weights of {calibration.model} than the installed ones",
            f"Calibrate again: `sidscan calibrate FOLDER {model_options(info.name, config)}`.",
        )
    if calibration.crops != config.crops:
        raise CalibrationError(
            f"{path} was made with {calibration.crops} crops, this scan uses {config.crops}",
            f"Scan with --crops {calibration.crops}, or calibrate with --crops {config.crops}."
            if config.effort == "normal"
            else f"Calibrate with --effort {config.effort}, or scan with another effort.",
        )
    return calibration


def _digests(files: Mapping[str, str]) -> list[str]:
    """Only the bytes of weights files count: a file may have been renamed."""
    return list(files.values())


def _parse(raw: object) -> tuple[Calibration, float]:
    """The calibration, and the threshold that the file states.

    Raises ValueError, KeyError or TypeError where something is missing or contradicts the rest.
    """
    values: dict[str, object] = _typed(dict, raw)
    weights: dict[object, object] = _typed(dict, values["weights"])
    logits: list[object] = _typed(list, values["logits"])
    calibration = Calibration(
        model=_typed(str, values["model"]),
        weights={_typed(str, name): _typed(str, digest) for name, digest in weights.items()},
        crops=_typed(str, values["crops"]),
        runtime=_typed(str, values["runtime"]),
        device=_typed(str, values["device"]),
        precision=_typed(str, values["precision"]),
        decoder=_typed(str, values["decoder"]),
        sidscan_version=_typed(str, values["sidscan_version"]),
        created=_typed(str, values["created"]),
        unreadable=_typed(int, values["unreadable"]),
        skipped=_typed(int, values["skipped"]),
        duplicates=_typed(int, values["duplicates"]),
        target_fpr=_typed(float, values["target_fpr"]),
        logits=tuple(_typed(float, logit) for logit in logits),
        effort=_typed(str, values.get("effort", "")),
    )
    consistent = (
        values["format"] == _FORMAT
        and all(map(math.isfinite, calibration.logits))
        and list(calibration.logits) == sorted(calibration.logits)
        and 0 < calibration.target_fpr < 1
        and calibration.rank >= 1
        and values["pictures"] == calibration.num_images
        and calibration.effort in ("", *get_args(Effort))
    )
    if not consistent:
        raise ValueError("the file contradicts itself")
    return calibration, _typed(float, values["threshold_logit"])


def _typed(kind: type[_T], value: object) -> _T:
    if type(value) is not kind:  # isinstance would take True for an integer
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value
