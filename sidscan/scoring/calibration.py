"""What `sidscan calibrate` measured on known camera pictures, and what a scan makes of it.

With n calibration logits, a picture's conformal p-value is (1 + how many reach its logit) / (n + 1) (Vovk,
Gammerman and Shafer, "Algorithmic Learning in a Random World", section 2.2). If a camera picture and the
calibration pictures are exchangeable, it is at most a with probability at most a. The threshold is chosen so
that a picture reaches it exactly where its p-value is at most the target rate.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shlex
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from sidscan.config import ScanConfig
from sidscan.errors import CalibrationError, OutputError
from sidscan.models.catalog import CATALOG
from sidscan.models.detector_info import DetectorInfo
from sidscan.models.store import default_root
from sidscan.util.files import atomic_write

FORMAT = "sidscan calibration 1"
_CONTEXT = ("runtime", "device", "precision", "decoder", "sidscan_version")


@dataclass(frozen=True, slots=True)
class Calibration:
    """One model's logits on known camera pictures, and how they were made.

    Attributes:
        weights: sha256 of each weights file by name, as in `DetectorInfo.files`.
        crops: ``ten`` or ``center``.
        runtime, device, precision, decoder, sidscan_version: what computed the logits.
        created: ISO 8601, UTC.
        unreadable: pictures that gave no logit, skipped: inputs that were no picture, duplicates: pictures
            whose bytes repeat another's; none of these is among ``logits``.
        target_fpr: the false-positive rate asked for, a fraction.
        logits: of the distinct pictures, ascending.
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

    @property
    def pictures(self) -> int:
        """n, the number of distinct calibration pictures."""
        return len(self.logits)

    @property
    def rank(self) -> int:
        """k: a picture reaches the threshold where it would be among the k highest of n + 1."""
        return threshold_rank(self.target_fpr, self.pictures)

    @property
    def threshold_logit(self) -> float:
        """The smallest logit with a p-value of at most the target rate: just above the k-th highest."""
        return math.nextafter(self.logits[-self.rank], math.inf)

    @property
    def false_flag_rate(self) -> float:
        """k / (n + 1): the chance that a camera picture reaches the threshold; less where logits tie."""
        return self.rank / (self.pictures + 1)

    def p_value(self, logit: float) -> float:
        """Share of the n calibration pictures and the picture itself that score at least as high."""
        return (1 + self.pictures - bisect_left(self.logits, logit)) / (self.pictures + 1)

    def facts(self) -> dict[str, Any]:
        """All that is known but the logits, for JSON."""
        facts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "logits"}
        return {"format": FORMAT, **facts, "pictures": self.pictures, "threshold_logit": self.threshold_logit}

    def dumps(self) -> str:
        """The file's text: strict JSON, the logits last."""
        return json.dumps({**self.facts(), "logits": self.logits}, indent=1, allow_nan=False) + "\n"

    @property
    def digest(self) -> str:
        """The sha256 of the file that `save` writes, hex."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()

    def differences(self, context: Mapping[str, Any]) -> list[str]:
        """What computes scores otherwise now than then, e.g. ``precision fp16 then, fp32 now``."""
        pairs = ((name, getattr(self, name), context[name]) for name in _CONTEXT)
        return [f"{name} {then} then, {now} now" for name, then, now in pairs if then != now]


def threshold_rank(fpr: float, pictures: int) -> int:
    """floor(fpr * (n + 1)) of the decimal fraction that was meant: 0.07 * 100 is 7, not 7.000000000000001."""
    return math.floor(Fraction(repr(fpr)) * (pictures + 1))


def min_images(fpr: float) -> int:
    """The fewest calibration pictures by which a rate of ``fpr`` can be promised."""
    return math.ceil(1 / Fraction(repr(fpr))) - 1


def default_calibration_path(
    info: DetectorInfo, crops: str, store_folder: Path | None = None, model_file: Path | None = None
) -> Path:
    """Where a model's calibration is kept: in the models folder, or beside a model FILE of one's own.

    The name holds digest and crops, so that one calibration never replaces that of something else.
    """
    if model_file is not None:
        return model_file.with_name(f"{model_file.name}.{crops}.calibration.json")
    return (store_folder or default_root()) / "calibrations" / f"{info.name}-{info.digest}-{crops}.json"


def saved_calibration_path(info: DetectorInfo, config: ScanConfig) -> Path:
    """Where the calibration of one of a scan's models is kept."""
    files = {Path(name).name: Path(name) for name in config.models if name not in CATALOG}
    return default_calibration_path(info, config.crops, model_file=files.get(info.name))


def model_options(info: DetectorInfo, config: ScanConfig) -> str:
    """The options by which a command uses this very model and these crops, e.g. ``--model mini``."""
    asked = [name for name in config.models if Path(name).name == info.name] or [info.name]
    words = ["--model", asked[0]]
    words += ["--encoder", str(config.encoder)] if config.encoder and asked[0] not in CATALOG else []
    words += ["--crops", config.crops] if config.crops != "ten" else []
    return shlex.join(words)


def choose_calibrations(config: ScanConfig, models: Sequence[DetectorInfo]) -> dict[str, Calibration]:
    """The calibrations that a scan asks for, by model name.

    Raises:
        CalibrationError: one is missing or damaged, or was made of other weights or other crops.
    """
    given = [(path, load_calibration(path)) for path in config.calibrations]
    chosen: dict[str, Calibration] = {}
    for path, calibration in given:
        info = _model_of(calibration, path, models)
        if info.name in chosen:
            raise CalibrationError(f"two calibrations of {info.name} were given", "Name one of them.")
        chosen[info.name] = _checked(calibration, path, info, config)
    for info in models if config.calibrated else ():
        if info.name not in chosen:
            path = saved_calibration_path(info, config)
            chosen[info.name] = _checked(_saved(path, info, config), path, info, config)
    return chosen


def load_calibration(path: Path) -> Calibration:
    """The calibration in a file; what it states is checked against its own logits.

    Raises:
        CalibrationError: the file can't be read, is something else, or contradicts itself.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CalibrationError(f"{path} can't be read: {reason}", _MAKE) from error
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CalibrationError(f"{path} is not a whole calibration of sidscan", _MAKE) from error


def check_calibration_path(path: Path) -> None:
    """Find out before a long scan whether a calibration could be saved there.

    Raises:
        OutputError: the folder can't be written, or a file of that name is something else.
    """
    folder = path.parent
    if path.exists():
        try:
            load_calibration(path)
        except CalibrationError as error:
            raise OutputError(
                f"{path} is there and is not a calibration; it is left alone", "Choose another --out."
            ) from error
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} is not there or not writable", "Choose another --out.")


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        OutputError: it can't be written; an older one of that name is left as it was.
    """
    try:
        with atomic_write(path) as partial:
            partial.write_text(calibration.dumps(), encoding="utf-8", newline="")
    except OSError as error:
        raise OutputError(f"can't write {path}: {error.strerror}", "Choose another --out.") from error


_MAKE = "`sidscan calibrate FOLDER` makes one from known camera pictures."


def _saved(path: Path, info: DetectorInfo, config: ScanConfig) -> Calibration:
    if not path.exists():
        raise CalibrationError(
            f"no calibration of {info.name} with {config.crops} crops is saved",
            f"`sidscan calibrate FOLDER {model_options(info, config)}` makes one from known camera pictures; "
            "--calibration FILE names one that is elsewhere.",
        )
    return load_calibration(path)


def _model_of(calibration: Calibration, path: Path, models: Sequence[DetectorInfo]) -> DetectorInfo:
    """The model that a file speaks of: by its weights, else by its name."""
    same = [info for info in models if _weights(info.files) == _weights(calibration.weights)]
    named = [info for info in models if info.name == calibration.model]
    if not same and not named:
        used = ", ".join(info.name for info in models)
        raise CalibrationError(
            f"{path} is a calibration of {calibration.model}; this scan uses {used}",
            f"Add --model {calibration.model}, or leave that file out.",
        )
    return (same or named)[0]


def _checked(calibration: Calibration, path: Path, info: DetectorInfo, config: ScanConfig) -> Calibration:
    if _weights(calibration.weights) != _weights(info.files):
        raise CalibrationError(
            f"{path} was made with other weights of {calibration.model} than those that are installed",
            f"Calibrate again: `sidscan calibrate FOLDER {model_options(info, config)}`.",
        )
    if calibration.crops != config.crops:
        raise CalibrationError(
            f"{path} was made with {calibration.crops} crops, this scan uses {config.crops}",
            f"Scan with --crops {calibration.crops}, or calibrate with --crops {config.crops}.",
        )
    return calibration


def _weights(files: Mapping[str, str]) -> list[str]:
    """The bytes alone count: a weights file may have been renamed."""
    return list(files.values())


def _parsed(raw: Any) -> Calibration:
    """Raises ValueError, KeyError or TypeError where something is missing or contradicts the rest."""
    texts = ("model", "crops", *_CONTEXT, "created")
    counts = ("unreadable", "skipped", "duplicates")
    calibration = Calibration(
        weights={_of(str, name): _of(str, digest) for name, digest in _of(dict, raw["weights"]).items()},
        target_fpr=_of(float, raw["target_fpr"]),
        logits=tuple(_of(float, logit) for logit in _of(list, raw["logits"])),
        **{name: _of(str, raw[name]) for name in texts},
        **{name: _of(int, raw[name]) for name in counts},
    )
    logits = calibration.logits
    consistent = (
        raw["format"] == FORMAT
        and all(map(math.isfinite, logits))
        and list(logits) == sorted(logits)
        and 0 < calibration.target_fpr < 1
        and calibration.rank >= 1
        and raw["pictures"] == calibration.pictures
        and raw["threshold_logit"] == calibration.threshold_logit
    )
    if not consistent:
        raise ValueError("the file contradicts itself")
    return calibration


def _of(kind: type, value: Any) -> Any:
    if type(value) is not kind:  # a bool is no number here
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
