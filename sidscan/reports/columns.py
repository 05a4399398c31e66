"""The columns of a report: their names, what they mean, and the cells that a result has in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Generic, Literal, TypeVar

from sidscan.errors import UsageError
from sidscan.records import Copies, Mark, Response, RunHeader, ScanResult, Score
from sidscan.records.localization import Localization
from sidscan.reports.base import REPORT_FORMAT_NUMBER
from sidscan.reports.exif_names import is_name, shortened

_Source = TypeVar("_Source")
Cell = str | int | float | None
Value = Cell | tuple[str, ...] | tuple[int, ...]
"""What a column says of a result, bool included; a list becomes one cell, bool becomes yes or no."""
CellKind = Literal["text", "number", "date", "evidence"]
"""What the cells of a column are; dates are ISO 8601, evidence is one of `records.EVIDENCE_WORDS`."""
ColumnType = Literal["text", "integer", "real", "boolean", "time", "texts", "integers"]
"""What the values of a column are in formats with types; a time is ISO 8601 with an offset from UTC."""
_TYPES: dict[CellKind, ColumnType] = {"text": "text", "number": "real", "date": "time", "evidence": "text"}
NUMBER_COLUMN = "report_format"
_MOST_NEAR = 3  # names that a message proposes
_NO_RESPONSE, _NO_MARK, _NO_COPIES = Response(final_url=""), Mark("", "", ""), Copies()


@dataclass(frozen=True, slots=True)
class _Column(Generic[_Source]):
    """A column: its name, what it means, how to get its values, and what these are.

    Attributes:
        type: None for that of the kind.
        separator: between the entries of a list, in a cell.
    """

    name: str
    description: str
    value: Callable[[_Source], Value]
    kind: CellKind = "text"
    type: ColumnType | None = None
    separator: str = " "


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """A column of one report.

    Attributes:
        of: what a value is a fact about: an input, one model's score of it, a model, or the run.
        model: name of the model of a score.
    """

    name: str
    value: Callable[[ScanResult], Value]
    kind: CellKind = "text"
    type: ColumnType = "text"
    separator: str = " "
    of: Literal["image", "score", "model", "run"] = "image"
    model: str = ""

    def cell(self, result: ScanResult) -> Cell:
        """The value as one text or number."""
        value = self.value(result)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return self.separator.join(map(str, value)) if isinstance(value, tuple) else value


def _credit_value(name: str, result: ScanResult) -> Value:
    value: str | None = getattr(result.facts.provenance, name, None)
    return value


_ERROR_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column(
        "path",
        "file or URL, as given or as the walk found it; `***` hides a user name and password",
        lambda r: r.name,
    ),
    _Column("status", "`scored`, `skipped`, or the reason for having no score", lambda r: r.status.value),
    _Column(
        "error_stage",
        "where the input failed or was skipped: `list`, `read`, `fetch`, `decode` or `score`",
        lambda r: r.stage.value if r.stage else None,
    ),
    _Column("error_class", "class name of the error", lambda r: r.error),
    _Column("error_message", "why the input has no score, in words", lambda r: r.message),
)
_SCORE_COLUMNS: tuple[_Column[Score], ...] = (
    _Column("score", "the model's P(synthetic), 0 to 1: the sigmoid of `logit`", lambda s: s.score, "number"),
    _Column("logit", "mean of the logits of all views", lambda s: s.logit, "number"),
    _Column(
        "evidence",
        "`weak`, `moderate`, `strong`, `very strong` (relative to `threshold`), or `inconclusive`",
        lambda s: s.evidence,
        "evidence",
    ),
    _Column(
        "inconclusive",
        "why the evidence is inconclusive, separated by spaces; else empty",
        lambda s: s.inconclusive,
        type="texts",
    ),
    _Column(
        "cautions",
        "kinds with over 5 % false positives that the image looks like, separated by spaces",
        lambda s: s.cautions,
        type="texts",
    ),
    _Column(
        "threshold", "score, 0 to 1, at which evidence stops being weak", lambda s: s.threshold, "number"
    ),
    _Column(
        "p_value",
        "share, 0 to 1, of camera images that score at least as high; empty without a calibration",
        lambda s: s.p_value,
        "number",
    ),
    _Column(
        "score_percentile",
        "percentage of the photographs of the model's card that score lower; empty if it does not say, "
        "and in rows of sidscan 0.2.0",
        lambda s: s.percentile,
        "number",
    ),
    _Column("crop_min", "lowest score of a single view, 0 to 1", lambda s: s.crop_min, "number"),
    _Column("crop_max", "highest score of a single view, 0 to 1", lambda s: s.crop_max, "number"),
    _Column("crop_std", "standard deviation of the scores of single views", lambda s: s.crop_std, "number"),
    _Column(
        "highest_crop",
        "where the view with the highest score lies, e.g. `top left`; of equals, the centre",
        lambda s: s.highest_crop,
    ),
)
# What the header states of each model; rows without a score have these cells, too.
_MODEL_COLUMNS = {
    "model": "name of the model",
    "model_digest": "first 16 hex digits of each weights file's sha256, head before encoder, joined by `+`",
    "calibration": "first 16 hex digits of the sha256 of the calibration; empty without one",
}
_IMAGE_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column(
        "views",
        "number of crops averaged: 10, 5 or 1, as `effort` says; empty without a score",
        lambda r: r.views or None,
        "number",
        "integer",
    ),
    _Column(
        "share_scored",
        "share, 0 to 1, of the image's pixels that lie in one of these crops; empty without a score",
        lambda r: r.share_scored,
        "number",
    ),
    _Column(
        "flags",
        "remarks on how the image was read, separated by spaces",
        lambda r: r.facts.flags,
        type="texts",
    ),
    _Column(
        "width",
        "pixels, as stored: EXIF orientation is not applied",
        lambda r: r.facts.width,
        "number",
        "integer",
    ),
    _Column("height", "pixels, as stored", lambda r: r.facts.height, "number", "integer"),
    _Column("format", "image format, e.g. `JPEG`", lambda r: r.facts.format),
    _Column(
        "jpeg_quality",
        "libjpeg quality, 1 to 100, that quantises as coarsely as this JPEG file does",
        lambda r: r.facts.jpeg_quality,
        "number",
        "integer",
    ),
    _Column(
        "preview_width",
        "pixels, of the preview that was scored instead of the image (flag `preview`)",
        lambda r: r.facts.preview_width,
        "number",
        "integer",
    ),
    _Column(
        "preview_height", "pixels, of the preview", lambda r: r.facts.preview_height, "number", "integer"
    ),
    _Column(
        "lossless",
        "`yes` if the file keeps every pixel value as it was saved, else `no`; empty where that is not known",
        lambda r: r.facts.lossless,
        type="boolean",
    ),
    _Column(
        "perceptual_hash",
        "hash of what the image shows, 64 hex digits, by which copies are found; empty where none was made",
        lambda r: r.facts.perceptual_hash,
    ),
    _Column("bytes", "size of the original file, bytes", lambda r: r.facts.bytes, "number", "integer"),
    _Column(
        "modified_at",
        "when the file was last modified, ISO 8601, UTC; empty for URLs",
        lambda r: r.facts.modified_at,
        "date",
    ),
    _Column("sha256", "SHA-256 of the original bytes, 64 hex digits", lambda r: r.facts.sha256),
    _Column(
        "same_as",
        "first input with the same bytes; empty for that one, and without copies",
        lambda r: (r.copies or _NO_COPIES).same_as,
    ),
    _Column(
        "copy_group",
        "of the inputs that show the same, the one with the strongest evidence; empty without copies",
        lambda r: (r.copies or _NO_COPIES).group,
    ),
    _Column(
        "copy_distance",
        "bits in which its perceptual hash differs from that image's",
        lambda r: (r.copies or _NO_COPIES).distance,
        "number",
        "integer",
    ),
    _Column(
        "copy_transform",
        "what was done to that image besides, e.g. `mirrored`; empty if nothing",
        lambda r: (r.copies or _NO_COPIES).transform,
    ),
    _Column(
        "copy_count",
        "inputs that show the same",
        lambda r: (r.copies or _NO_COPIES).count,
        "number",
        "integer",
    ),
    _Column(
        "copy_score_min",
        "lowest score of these inputs, by the first model",
        lambda r: (r.copies or _NO_COPIES).score_min,
        "number",
    ),
    _Column(
        "copy_score_max",
        "highest score of these inputs, by the first model",
        lambda r: (r.copies or _NO_COPIES).score_max,
        "number",
    ),
    _Column(
        "mark",
        "what people decided: `suspicious`, `cleared` or `later`; `conflict` where they differ; else empty",
        lambda r: (r.mark or _NO_MARK).mark,
    ),
    _Column("mark_by", "who decided; with their marks in a conflict", lambda r: (r.mark or _NO_MARK).by),
    _Column(
        "mark_at", "when the last of them decided, ISO 8601, UTC", lambda r: (r.mark or _NO_MARK).at, "date"
    ),
    _Column("note", "what they wrote", lambda r: (r.mark or _NO_MARK).note),
    _Column("final_url", "last URL requested; empty for files", lambda r: _response(r).final_url),
    _Column(
        "redirects",
        "URLs that led to `final_url`, separated by spaces",
        lambda r: _response(r).redirects,
        type="texts",
    ),
    _Column(
        "http_status",
        "HTTP status code of the last answer",
        lambda r: _response(r).http_status,
        "number",
        "integer",
    ),
    _Column(
        "fetched_at", "time of the last request, ISO 8601, UTC", lambda r: _response(r).fetched_at, "date"
    ),
    _Column(
        "content_type",
        "`Content-Type` that the server stated, unchecked",
        lambda r: _response(r).headers.get("content-type"),
    ),
    _Column(
        "last_modified",
        "`Last-Modified` that the server stated, unchecked",
        lambda r: _response(r).headers.get("last-modified"),
    ),
    _Column(
        "saved_as", "file of `--save-dir` that keeps the bytes of a URL", lambda r: _response(r).saved_as
    ),
    _Column(
        "provenance",
        "what the file says of its own origin: `ai_generated`, `ai_edited`, `ai_hint`, `held_elsewhere`, "
        "`unreadable`, `no_ai_claim`, `format_not_read` or `none`; empty where nobody looked",
        lambda r: r.facts.provenance.verdict if r.facts.provenance else None,
    ),
    _Column(
        "provenance_strength",
        "how well that is backed: `signed_trusted`, `signed_untrusted`, `signed_broken`, `not_checked` (a "
        "signature that nobody verified), `plain` or `weak`; empty if nothing is claimed",
        lambda r: r.facts.provenance.strength if r.facts.provenance else None,
    ),
    _Column(
        "provenance_by",
        "ids of the markers that were found, separated by spaces",
        lambda r: tuple(r.facts.provenance.by) if r.facts.provenance else None,
        type="texts",
    ),
    _Column(
        "provenance_says",
        "who is named as the maker, as stated, separated by `; `",
        lambda r: tuple(r.facts.provenance.says) if r.facts.provenance else None,
        type="texts",
        separator="; ",
    ),
    _Column(
        "provenance_checked",
        "what verified signatures; empty if nothing did",
        lambda r: r.facts.provenance.checked if r.facts.provenance else None,
    ),
    _Column(
        "traces",
        "traces of how the file was saved and handled, separated by spaces, or `none`; empty where nobody "
        "looked",
        lambda r: None if r.facts.traces is None else tuple((r.facts.trace_ids or "").split()),
        type="texts",
    ),
    *(
        _Column(f"iptc_{name}", description, partial(_credit_value, name))
        for name, description in (
            ("byline", "who made the image, as IPTC metadata (XMP, else IIM) state it"),
            ("credit", "credit line, likewise"),
            ("source", "where it comes from, likewise"),
            ("caption", "caption, likewise"),
            ("copyright", "copyright notice, likewise"),
        )
    ),
    _Column("exif_make", "camera maker", lambda r: shortened(r.facts.exif.make)),
    _Column("exif_model", "camera model", lambda r: shortened(r.facts.exif.model)),
    _Column("exif_lens", "lens", lambda r: shortened(r.facts.exif.lens)),
    _Column(
        "exif_original_date",
        "when the image was taken, as EXIF states it",
        lambda r: r.facts.exif.original_date,
    ),
    _Column(
        "exif_original_date_iso",
        "the same as ISO 8601, with an offset from UTC where EXIF states one; empty if it is not a date",
        lambda r: r.facts.exif.original_date_iso,
        "date",
        "text",  # few have an offset, so it is no point in time
    ),
    _Column(
        "exif_gps_date_iso",
        "when the position was measured, ISO 8601, UTC",
        lambda r: r.facts.exif.gps_date_iso,
        "date",
    ),
    _Column(
        "exif_software",
        "software that wrote the file, as EXIF states it",
        lambda r: shortened(r.facts.exif.software),
    ),
    _Column("exif_latitude", "degrees, north positive", lambda r: r.facts.exif.latitude, "number"),
    _Column("exif_longitude", "degrees, east positive", lambda r: r.facts.exif.longitude, "number"),
    _Column(
        "exif_orientation",
        "EXIF orientation, 1 to 8",
        lambda r: r.facts.exif.orientation,
        "number",
        "integer",
    ),
)
_MAP_COLUMNS: tuple[_Column[Localization], ...] = (
    _Column(
        "map_model", "localizer that made a map of the image; empty where nobody asked", lambda m: m.localizer
    ),
    _Column(
        "map_digest", "first 16 hex digits of each of its files' sha256, joined by `+`", lambda m: m.digest
    ),
    _Column(
        "map_finding",
        "`region to look at`, `region, as whole photographs may have` or `no region to look at`; empty where "
        "there is no map",
        lambda m: m.finding,
    ),
    _Column(
        "map_area", "share, 0 to 1, of the image's pixels above `map_threshold`", lambda m: m.area, "number"
    ),
    _Column(
        "map_alarm_area",
        "share that 1 % of whole photographs exceed; empty where nobody measured it",
        lambda m: m.alarm_area,
        "number",
    ),
    _Column(
        "map_contrast",
        "how clearly one part of the map stands out, from 0; empty for `global`",
        lambda m: m.contrast,
        "number",
    ),
    _Column(
        "map_alarm_contrast",
        "contrast that 1 % of whole photographs exceed; empty where nobody measured it",
        lambda m: m.alarm_contrast,
        "number",
    ),
    _Column(
        "map_region",
        "left, top, right and bottom of the largest region above the threshold, pixels as stored",
        lambda m: m.region,
        type="integers",
    ),
    _Column("map_region_area", "share of the image that it has", lambda m: m.region_area, "number"),
    _Column("map_maximum", "highest probability of a pixel", lambda m: m.maximum, "number"),
    _Column("map_p99", "probability that 99 % of the pixels do not exceed", lambda m: m.p99, "number"),
    _Column(
        "map_agreement",
        "of what `global` or `tiles` has above the threshold, the share that both have; empty where one was "
        "run, or neither has any",
        lambda m: m.agreement,
        "number",
    ),
    _Column("map_protocol", "`tiles` or `global`", lambda m: m.protocol),
    _Column(
        "map_scale",
        "pixels, across and down, that one pixel of a tile stood for; 1 is native; empty for `global`",
        lambda m: m.scale,
        "number",
        "integer",
    ),
    _Column(
        "map_tiles", "squares that were read for the map", lambda m: m.tiles or None, "number", "integer"
    ),
    _Column("map_threshold", "probability above which a pixel counts", lambda m: m.threshold, "number"),
    _Column(
        "map_flags",
        "remarks on how the image was read, separated by spaces",
        lambda m: m.flags,
        type="texts",
    ),
    _Column("map_message", "why there is no map", lambda m: m.message),
)
_RUN_COLUMNS: tuple[_Column[RunHeader], ...] = (
    _Column(
        "model_choice",
        "how the models were chosen: `asked for`, `default`, or `fallback: ...`",
        lambda h: h.model_choice,
    ),
    _Column("model_provenance", "who vouches for each weights file", lambda h: h.model_provenance),
    _Column("runtime", "what computed the score, with its version", lambda h: h.runtime),
    _Column("device", "where it was computed, e.g. `cpu`", lambda h: h.device),
    _Column("precision", "`fp32`, `fp16` or `bf16`", lambda h: h.precision),
    _Column(
        "effort",
        "`full`: all crops were scored; `normal`: as many as the decision needed; `fast`: the centre crop",
        lambda h: h.effort,
    ),
    _Column(
        "sample",
        "which part of the images the run was to look at, e.g. `a sample of 500 of 102331 images, seed 0, by "
        "folder`; empty for all",
        lambda h: str(h.sample) if h.sample else None,
    ),
)
_READER_COLUMNS = {
    "decoder": "what decoded the image, with its version",
    "sidscan_version": "version of the sidscan that made the row; a later one may have kept it",
}
_LAST_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column("scanned_at", "when the row was made, ISO 8601, UTC", lambda r: r.scanned_at, "date"),
    _Column(
        NUMBER_COLUMN,
        "format number of the report: 2; reports of sidscan 0.1.0 lack the column",
        lambda _: REPORT_FORMAT_NUMBER,
        "number",
        "integer",
    ),
)


def _described(columns: tuple[_Column[_Source], ...]) -> dict[str, str]:
    return {column.name: column.description for column in columns}


_PER_MODEL = {**_described(_SCORE_COLUMNS), **_MODEL_COLUMNS}
_AFTER_MODELS = {
    **_described(_IMAGE_COLUMNS),
    **_described(_RUN_COLUMNS),
    **_READER_COLUMNS,
    **_described(_LAST_COLUMNS),
}

CSV_COLUMNS: dict[str, str] = {**_described(_ERROR_COLUMNS), **_PER_MODEL, **_AFTER_MODELS}
"""Every column of a report on one model, in order, with its description in Markdown."""


# What conditions, orders and --columns may name besides; no report has them unless it is asked for them.
_DERIVED_COLUMNS: tuple[_Column[ScanResult], ...] = (
    _Column("camera", "camera maker and model", lambda r: camera(r)),
    _Column(
        "failed",
        "`yes` if the input should have a score and has none, else `no`",
        lambda r: r.status.failed,
        type="boolean",
    ),
)
MAP_COLUMNS = _described(_MAP_COLUMNS)
"""Columns of reports on runs with a localizer, with their descriptions; they stand before `model_choice`."""
DERIVED_COLUMNS = _described(_DERIVED_COLUMNS)
"""Columns of no report, with their descriptions; ``--only``, ``--sort`` and ``--columns`` take them."""
JOINED_COLUMNS = frozenset(
    name
    for name in (*CSV_COLUMNS, *MAP_COLUMNS)
    if name.startswith(("copy_", "mark", "map_")) or name in ("same_as", "note")
)
"""Columns that are known when a report is written, and not before (`sidscan.review.annotated`)."""
KNOWN_COLUMNS = frozenset({*CSV_COLUMNS, *MAP_COLUMNS, *DERIVED_COLUMNS})
"""All names; those of further models have the model's name and a point in front."""


def camera(result: ScanResult) -> str | None:
    """Maker and model, if they are names; the maker once, where the model begins with it."""
    make, model = (
        stated if stated and is_name(stated) else ""
        for stated in (result.facts.exif.make, result.facts.exif.model)
    )
    return (model if model.lower().startswith(make.lower()) else f"{make} {model}").strip() or None


def choose_columns(header: RunHeader, names: Sequence[str]) -> list[ReportColumn]:
    """The columns with these names, in this order; all of the report if there are none.

    Raises:
        UsageError: a report of this run has no such column.
    """
    return [find_column(header, name) for name in names] if names else report_columns(header)


def find_column(header: RunHeader, name: str, also: Sequence[str] = ()) -> ReportColumn:
    """The column with this name.

    Args:
        also: other names that are taken where this one was given, for the message.

    Raises:
        UsageError: a report of this run has no such column; the message names the nearest, else all.
    """
    columns = {
        column.name: column for column in (*report_columns(header), *map(_of_result, _DERIVED_COLUMNS))
    }
    if name in columns:
        return columns[name]
    known = [*also, *columns]
    if near := get_close_matches(name, known, n=_MOST_NEAR) or _with_part(name, columns):
        raise UsageError(
            f"there is no column {name!r}. Did you mean {' or '.join(near)}?",
            "The reference of report columns lists all.",
        )
    raise UsageError(f"there is no column {name!r}.", f"There are: {', '.join(known)}.")


def _with_part(part: str, columns: dict[str, ReportColumn]) -> list[str]:
    """Names of which a word is a part, such as ``date``; dates first, as texts have no order."""
    found = [column for name, column in columns.items() if part in name.split("_")]
    found.sort(key=lambda column: column.kind != "date")
    return [column.name for column in found[:_MOST_NEAR]]


def report_columns(header: RunHeader) -> list[ReportColumn]:
    """The columns of a report, in order, and their names as they are: a model may be named after its file."""
    return [
        *map(_of_result, _ERROR_COLUMNS),
        *(column for index in range(len(header.models)) for column in _model_columns(header, index)),
        *map(_of_result, _IMAGE_COLUMNS),
        *(map(_of_map, _MAP_COLUMNS) if header.localizer else ()),
        *(
            ReportColumn(column.name, partial(_same, column.value(header)), of="run")
            for column in _RUN_COLUMNS
        ),
        ReportColumn("decoder", lambda result: result.decoder or header.decoder),
        ReportColumn("sidscan_version", lambda result: result.sidscan_version or header.sidscan_version),
        *map(_of_result, _LAST_COLUMNS),
    ]


def _made(column: _Column[_Source], value: Callable[[ScanResult], Value]) -> ReportColumn:
    return ReportColumn(column.name, value, column.kind, column.type or _TYPES[column.kind], column.separator)


def _of_result(column: _Column[ScanResult]) -> ReportColumn:
    return _made(column, column.value)


def _of_map(column: _Column[Localization]) -> ReportColumn:
    return _made(column, lambda r: column.value(r.localization) if r.localization else None)


def _model_columns(header: RunHeader, index: int) -> list[ReportColumn]:
    """The columns of one model; those of the first have bare names."""
    model = header.models[index]
    calibration = header.calibrations.get(model.name)
    stated = (model.name, model.digest, calibration.sha256[:16] if calibration else None)
    columns = [
        *(
            replace(_made(each, partial(_score_value, model.name, each)), of="score", model=model.name)
            for each in _SCORE_COLUMNS
        ),
        *(
            ReportColumn(name, partial(_same, value), of="model", model=model.name)
            for name, value in zip(_MODEL_COLUMNS, stated, strict=True)
        ),
    ]
    return [replace(column, name=f"{model.name}.{column.name}") for column in columns] if index else columns


def _same(value: Value, _: ScanResult) -> Value:
    return value


def _score_value(model: str, column: _Column[Score], result: ScanResult) -> Value:
    return next((column.value(score) for score in result.scores if score.model == model), None)


def _response(result: ScanResult) -> Response:
    return result.facts.response or _NO_RESPONSE
