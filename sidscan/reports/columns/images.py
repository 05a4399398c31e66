"""The columns of an image: what was read of it, its file and its copies, and who decided what."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from sidscan.records import Copies, Exif, ImageInfo, Mark, Provenance, Response, ScanResult
from sidscan.reports.columns.column import Column
from sidscan.reports.exif_names import shortened

_NO_RESPONSE, _NO_MARK, _NO_COPIES = Response(final_url=""), Mark("", "", ""), Copies()

_VIEWS: tuple[Column[ScanResult], ...] = (
    Column(
        "views",
        "number of crops averaged: 10, 5 or 1, as `effort` says; empty without a score",
        lambda r: r.views or None,
        "number",
        "integer",
    ),
    Column(
        "share_scored",
        "share, 0 to 1, of the image's pixels that lie in one of these crops; empty without a score",
        lambda r: r.share_scored,
        "number",
    ),
)
_FILE: tuple[Column[ImageInfo], ...] = (
    Column(
        "flags",
        "remarks on how the image was read, separated by spaces",
        lambda f: f.flags,
        type="texts",
    ),
    Column(
        "width",
        "pixels, as stored: EXIF orientation is not applied",
        lambda f: f.width,
        "number",
        "integer",
    ),
    Column("height", "pixels, as stored", lambda f: f.height, "number", "integer"),
    Column("format", "image format, e.g. `JPEG`", lambda f: f.format),
    Column(
        "jpeg_quality",
        "libjpeg quality, 1 to 100, that quantises as coarsely as this JPEG file does",
        lambda f: f.jpeg_quality,
        "number",
        "integer",
    ),
    Column(
        "preview_width",
        "pixels, of the preview that was scored instead of the image (flag `preview`)",
        lambda f: f.preview_width,
        "number",
        "integer",
    ),
    Column("preview_height", "pixels, of the preview", lambda f: f.preview_height, "number", "integer"),
    Column(
        "lossless",
        "`yes` if the file keeps every pixel value as it was saved, else `no`; empty where that is not known",
        lambda f: f.lossless,
        type="boolean",
    ),
    Column(
        "perceptual_hash",
        "hash of what the image shows, 64 hex digits, by which copies are found; empty where none was made",
        lambda f: f.perceptual_hash,
    ),
    Column("bytes", "size of the original file, bytes", lambda f: f.bytes, "number", "integer"),
    Column(
        "modified_at",
        "when the file was last modified, ISO 8601, UTC; empty for URLs",
        lambda f: f.modified_at,
        "date",
    ),
    Column("sha256", "SHA-256 of the original bytes, 64 hex digits", lambda f: f.sha256),
)
_COPIES: tuple[Column[Copies], ...] = (
    Column(
        "same_as",
        "first input with the same bytes; empty for that one, and without copies",
        lambda c: c.same_as,
    ),
    Column(
        "copy_group",
        "of the inputs that show the same, the one with the strongest evidence; empty without copies",
        lambda c: c.group,
    ),
    Column(
        "copy_distance",
        "bits in which its perceptual hash differs from that image's",
        lambda c: c.distance,
        "number",
        "integer",
    ),
    Column(
        "copy_transform",
        "what was done to that image besides, e.g. `mirrored`; empty if nothing",
        lambda c: c.transform,
    ),
    Column(
        "copy_count",
        "inputs that show the same",
        lambda c: c.count,
        "number",
        "integer",
    ),
    Column(
        "copy_score_min",
        "lowest score of these inputs, by the first model",
        lambda c: c.score_min,
        "number",
    ),
    Column(
        "copy_score_max",
        "highest score of these inputs, by the first model",
        lambda c: c.score_max,
        "number",
    ),
)
_MARKS: tuple[Column[Mark], ...] = (
    Column(
        "mark",
        "what people decided: `suspicious`, `cleared` or `later`; `conflict` where they differ; else empty",
        lambda m: m.mark,
    ),
    Column("mark_by", "who decided; with their marks in a conflict", lambda m: m.by),
    Column("mark_at", "when the last of them decided, ISO 8601, UTC", lambda m: m.at, "date"),
    Column("note", "what they wrote", lambda m: m.note),
)
_RESPONSE: tuple[Column[Response], ...] = (
    Column("final_url", "last URL requested; empty for files", lambda a: a.final_url),
    Column(
        "redirects",
        "URLs that led to `final_url`, separated by spaces",
        lambda a: a.redirects,
        type="texts",
    ),
    Column(
        "http_status",
        "HTTP status code of the last answer",
        lambda a: a.http_status,
        "number",
        "integer",
    ),
    Column("fetched_at", "time of the last request, ISO 8601, UTC", lambda a: a.fetched_at, "date"),
    Column(
        "content_type",
        "`Content-Type` that the server stated, unchecked",
        lambda a: a.headers.get("content-type"),
    ),
    Column(
        "last_modified",
        "`Last-Modified` that the server stated, unchecked",
        lambda a: a.headers.get("last-modified"),
    ),
    Column("saved_as", "file of `--save-dir` that keeps the bytes of a URL", lambda a: a.saved_as),
)
_PROVENANCE: tuple[Column[Provenance], ...] = (
    Column(
        "provenance",
        "what the file says of its own origin: `ai_generated`, `ai_edited`, `ai_hint`, `held_elsewhere`, "
        "`unreadable`, `no_ai_claim`, `format_not_read` or `none`; empty where nobody looked",
        lambda p: p.verdict,
    ),
    Column(
        "provenance_strength",
        "how well that is backed: `signed_trusted`, `signed_untrusted`, `signed_broken`, `not_checked` (a "
        "signature that nobody verified), `plain` or `weak`; empty if nothing is claimed",
        lambda p: p.strength,
    ),
    Column(
        "provenance_by",
        "ids of the markers that were found, separated by spaces",
        lambda p: p.by,
        type="texts",
    ),
    Column(
        "provenance_says",
        "who is named as the maker, as stated, separated by `; `",
        lambda p: p.says,
        type="texts",
        separator="; ",
    ),
    Column(
        "provenance_checked",
        "what verified signatures; empty if nothing did",
        lambda p: p.checked,
    ),
)
_TRACES: tuple[Column[ImageInfo], ...] = (
    Column(
        "traces",
        "traces of how the file was saved and handled, separated by spaces, or `none`; empty where nobody "
        "looked",
        lambda f: None if f.traces is None else tuple((f.trace_ids or "").split()),
        type="texts",
    ),
)
_CREDITS: tuple[Column[Provenance], ...] = (
    *(
        Column(f"iptc_{name}", description, attrgetter(name))
        for name, description in (
            ("byline", "who made the image, as IPTC metadata (XMP, else IIM) state it"),
            ("credit", "credit line, likewise"),
            ("source", "where it comes from, likewise"),
            ("caption", "caption, likewise"),
            ("copyright", "copyright notice, likewise"),
        )
    ),
)
_EXIF: tuple[Column[Exif], ...] = (
    Column("exif_make", "camera maker", lambda e: shortened(e.make)),
    Column("exif_model", "camera model", lambda e: shortened(e.model)),
    Column("exif_lens", "lens", lambda e: shortened(e.lens)),
    Column(
        "exif_original_date",
        "when the image was taken, as EXIF states it",
        lambda e: e.original_date,
    ),
    Column(
        "exif_original_date_iso",
        "the same as ISO 8601, with an offset from UTC where EXIF states one; empty if it is not a date",
        lambda e: e.original_date_iso,
        "date",
        "text",  # few have an offset, so it is no point in time
    ),
    Column(
        "exif_gps_date_iso",
        "when the position was measured, ISO 8601, UTC",
        lambda e: e.gps_date_iso,
        "date",
    ),
    Column(
        "exif_software",
        "software that wrote the file, as EXIF states it",
        lambda e: shortened(e.software),
    ),
    Column("exif_latitude", "degrees, north positive", lambda e: e.latitude, "number"),
    Column("exif_longitude", "degrees, east positive", lambda e: e.longitude, "number"),
    Column(
        "exif_orientation",
        "EXIF orientation, 1 to 8",
        lambda e: e.orientation,
        "number",
        "integer",
    ),
)

BY_SOURCE: tuple[tuple[Callable[[ScanResult], Any], tuple[Column[Any], ...]], ...] = (
    (lambda r: r, _VIEWS),
    (attrgetter("facts"), _FILE),
    (lambda r: r.copies or _NO_COPIES, _COPIES),
    (lambda r: r.mark or _NO_MARK, _MARKS),
    (lambda r: r.facts.response or _NO_RESPONSE, _RESPONSE),
    (attrgetter("facts.provenance"), _PROVENANCE),
    (attrgetter("facts"), _TRACES),
    (attrgetter("facts.provenance"), _CREDITS),
    (attrgetter("facts.exif"), _EXIF),
)
"""The record of a result that columns are read from, with these columns, in their order."""
COLUMNS = tuple(column for _, columns in BY_SOURCE for column in columns)
