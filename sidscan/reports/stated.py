"""One input as a report or a record states it: enough to compare it with what another one states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sidscan.records import JsonObject, SampleRecord

PENDING = "no result yet"
"""In place of a status: an input that a sample, or a scan that did not end, has not looked at."""
UNFINISHED = "a scan that did not end"
COMPARED_COLUMNS = frozenset(
    (
        *("path", "status", "error_message", "model", "model_digest", "score", "evidence", "threshold"),
        *("calibration", "views", "format", "decoder"),
    )
)
"""Columns without which the rows of a report can't be compared."""
_RUN_COLUMNS = ("runtime", "device", "precision", "effort", "sidscan_version")
_MARK_COLUMNS = ("mark", "mark_by", "mark_at", "note")
STATED_COLUMNS = (*sorted(COMPARED_COLUMNS), *_RUN_COLUMNS, *_MARK_COLUMNS, "sha256", "sample", "map_model")
"""Columns that `stated_row` reads."""
_LIBRARIES = {"HEIF": "pillow-heif", "JXL": "imagecodecs"}  # format -> its decoder; Pillow has the others


@dataclass(frozen=True, slots=True)
class StatedModel:
    """A model as far as scores depend on it; None is not known.

    Attributes:
        calibration: start of its sha256, hex; empty without one.
    """

    name: str
    digest: str | None = None
    threshold: float | None = None
    calibration: str | None = None


@dataclass(frozen=True, slots=True)
class StatedScore:
    """One model's score."""

    model: str
    score: float
    evidence: str


@dataclass(frozen=True, slots=True)
class MadeBy:
    """What a row was made by. Many rows share one; None is not known.

    Attributes:
        models: all that the row names, in their order, also where it has no score.
        crops: number of crops averaged.
        part: of a report that lacks inputs since its run did not look at them: what it shows, e.g. ``a sample
            of 500 of 102331 images, seed 0, by folder``.
    """

    models: tuple[StatedModel, ...] = ()
    runtime: str | None = None
    device: str | None = None
    precision: str | None = None
    effort: str | None = None
    crops: int | None = None
    decoder: str | None = None
    sidscan_version: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class StatedMark:
    """What a person decided; texts are empty where nothing is stated."""

    mark: str
    by: str = ""
    at: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class StatedResult:
    """One input.

    Attributes:
        sha256: of the bytes that were read, hex; None if reading failed.
        status: as `records.Status`, or `PENDING`.
        message: why there is no score; may be empty.
        scores: of each model that the report states; HTML states the first model's.
        marks_known: whether the report says of its images if they are marked.
        localizer: that made a map of it; HTML states that of the run. None without one.
    """

    name: str
    sha256: str | None
    status: str
    message: str = ""
    scores: tuple[StatedScore, ...] = ()
    made_by: MadeBy = MadeBy()
    mark: StatedMark | None = None
    marks_known: bool = False
    localizer: str | None = None


def part_of(run: JsonObject, pending: int = 0) -> str | None:
    """What of its inputs a run looked at, in words; None for all, as far as a report states.

    Args:
        run: the facts about the run.
        pending: inputs without a result; 0 where that is not stated.
    """
    if sample := run.get("sample"):
        return str(SampleRecord.from_dict(sample))
    return UNFINISHED if pending or not run.get("listing_complete", True) else None


def stated_result(name: str, raw: JsonObject, run: JsonObject, part: str | None = None) -> StatedResult:
    """A result of a JSON report or of a record.

    Args:
        raw: the result's object; versions of sidscan differ in their keys.
        run: the facts about the run; JSON Lines have few of them.
        part: as in `MadeBy`; a record names all inputs, so it has none.
    """
    facts = raw["facts"]
    return StatedResult(
        name=name,
        sha256=facts["sha256"],
        status=_text(raw["status"]),
        message=_text(raw["message"] or ""),
        scores=tuple(
            StatedScore(_text(score["model"]), float(score["score"]), _text(score["evidence"]))
            for score in raw["scores"]
        ),
        made_by=made_by(
            stated_models(run, {score["model"]: score for score in raw["scores"]}),
            run,
            crops=raw.get("views"),
            decoder=decoder_in(raw.get("decoder") or run.get("decoder") or "", facts["format"]),
            sidscan_version=raw.get("sidscan_version") or run.get("sidscan_version"),
            part=part,
        ),
        mark=_mark(raw.get("mark")),
        marks_known="mark" in raw,
        localizer=_text(seen["localizer"]) if (seen := raw.get("localization")) else None,
    )


def stated_row(name: str, row: Mapping[str, Any], part: str | None = None) -> StatedResult:
    """A row of a report with columns; those that an older report lacks are not known.

    Args:
        row: by the names of the columns, None where a cell is empty.
        part: as in `MadeBy`; None for what the row states.
    """
    prefixes = _prefixes(tuple(row))
    mark = [_text(row.get(column) or "") for column in _MARK_COLUMNS]
    return StatedResult(
        name=name,
        sha256=row["sha256"],
        status=_text(row["status"] or ""),
        message=_text(row["error_message"] or ""),
        scores=tuple(
            StatedScore(
                _text(row[f"{prefix}model"]), float(row[f"{prefix}score"]), _text(row[f"{prefix}evidence"])
            )
            for prefix in prefixes
            if row[f"{prefix}score"] is not None
        ),
        made_by=MadeBy(
            models=tuple(_stated_model(row, prefix) for prefix in prefixes),
            **{column: _optional(row.get(column)) for column in _RUN_COLUMNS},
            crops=_count(row["views"]),
            decoder=decoder_in(_text(row["decoder"] or ""), _optional(row["format"])),
            part=part or _optional(row.get("sample")),
        ),
        mark=StatedMark(*mark) if any(mark) else None,
        marks_known="mark" in row,
        localizer=_optional(row.get("map_model")),
    )


@cache
def _prefixes(names: tuple[str, ...]) -> tuple[str, ...]:
    """What stands before the columns of each model: nothing for the first, its name and a dot for others."""
    return tuple(name.removesuffix("model_digest") for name in names if f".{name}".endswith(".model_digest"))


def _stated_model(row: Mapping[str, Any], prefix: str) -> StatedModel:
    return StatedModel(
        _text(row[f"{prefix}model"] or ""),
        _optional(row[f"{prefix}model_digest"]),
        None if (threshold := row[f"{prefix}threshold"]) is None else float(threshold),
        _text(row[f"{prefix}calibration"] or ""),
    )


def made_by(
    models: tuple[StatedModel, ...],
    run: JsonObject,
    crops: int | None,
    decoder: str | None,
    sidscan_version: str | None,
    part: str | None,
) -> MadeBy:
    """What a row was made by, from what it states itself and from the facts about its run."""
    runtime, device, precision, effort = (
        run.get(name) or None for name in ("runtime", "device", "precision", "effort")
    )
    version = sidscan_version or None
    return MadeBy(models, runtime, device, precision, effort, crops or None, decoder, version, part)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _count(value: object) -> int | None:
    if value is None or type(value) is int:
        return value
    raise TypeError(value)


def _mark(raw: JsonObject | None) -> StatedMark | None:
    return (
        StatedMark(**{key: str(raw.get(key) or "") for key in ("mark", "by", "at", "note")}) if raw else None
    )


def stated_models(run: JsonObject, scores: Mapping[str, JsonObject]) -> tuple[StatedModel, ...]:
    """The models of a run.

    Args:
        scores: by model, what states digest and threshold better than the run does.
    """
    calibrations = run.get("calibrations")
    return tuple(
        StatedModel(
            model["name"],
            (score := scores.get(model["name"], model)).get("digest"),
            score.get("threshold"),
            None if calibrations is None else calibrations.get(model["name"], {}).get("sha256", "")[:16],
        )
        for model in run.get("models", ())
    )


def decoder_in(stated: str, image_format: str | None) -> str | None:
    """The decoder of a format among those that a report states; early versions stated all that they had.

    Args:
        stated: e.g. ``Pillow 13.0.0``, or ``Pillow 13.0.0 pillow-heif 1.8.1``.
    """
    words = stated.split()
    if len(words) <= 2:
        return stated or None
    versions = dict(zip(words[::2], words[1::2], strict=False))
    library = _LIBRARIES.get(image_format or "", "Pillow")
    return f"{library} {versions[library]}" if library in versions else None
