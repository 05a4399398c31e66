"""The columns of an image: what was read of it, its file and its copies, and who decided what."""

from __future__ import annotations

from functools import partial

from sidscan.records import Copies, Mark, Response, ScanResult
from sidscan.reports.columns.column import Column, Value
from sidscan.reports.exif_names import shortened

_NO_RESPONSE, _NO_MARK, _NO_COPIES = Response(final_url=""), Mark("", "", ""), Copies()


def _credit_value(name: str, result: ScanResult) -> Value:
    value: str | None = getattr(result.facts.provenance, name, None)
    return value


def _response(result: ScanResult) -> Response:
    return result.facts.response or _NO_RESPONSE


COLUMNS: tuple[Column[ScanResult], ...] = (
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
    Column(
        "flags",
        "remarks on how the image was read, separated by spaces",
        lambda r: r.facts.flags,
        type="texts",
    ),
    Column(
        "width",
        "pixels, as stored: EXIF orientation is not applied",
        lambda r: r.facts.width,
        "number",
        "integer",
    ),
    Column("height", "pixels, as stored", lambda r: r.facts.height, "number", "integer"),
    Column("format", "image format, e.g. `JPEG`", lambda r: r.facts.format),
    Column(
        "jpeg_quality",
        "libjpeg quality, 1 to 100, that quantises as coarsely as this JPEG file does",
        lambda r: r.facts.jpeg_quality,
        "number",
        "integer",
    ),
    Column(
        "preview_width",
        "pixels, of the preview that was scored instead of the image (flag `preview`)",
        lambda r: r.facts.preview_width,
        "number",
        "integer",
    ),
    Column("preview_height", "pixels, of the preview", lambda r: r.facts.preview_height, "number", "integer"),
    Column(
        "lossless",
        "`yes` if the file keeps every pixel value as it was saved, else `no`; empty where that is not known",
        lambda r: r.facts.lossless,
        type="boolean",
    ),
    Column(
        "perceptual_hash",
        "hash of what the image shows, 64 hex digits, by which copies are found; empty where none was made",
        lambda r: r.facts.perceptual_hash,
    ),
    Column("bytes", "size of the original file, bytes", lambda r: r.facts.bytes, "number", "integer"),
    Column(
        "modified_at",
        "when the file was last modified, ISO 8601, UTC; empty for URLs",
        lambda r: r.facts.modified_at,
        "date",
    ),
    Column("sha256", "SHA-256 of the original bytes, 64 hex digits", lambda r: r.facts.sha256),
    Column(
        "same_as",
        "first input with the same bytes; empty for that one, and without copies",
        lambda r: (r.copies or _NO_COPIES).same_as,
    ),
    Column(
        "copy_group",
        "of the inputs that show the same, the one with the strongest evidence; empty without copies",
        lambda r: (r.copies or _NO_COPIES).group,
    ),
    Column(
        "copy_distance",
        "bits in which its perceptual hash differs from that image's",
        lambda r: (r.copies or _NO_COPIES).distance,
        "number",
        "integer",
    ),
    Column(
        "copy_transform",
        "what was done to that image besides, e.g. `mirrored`; empty if nothing",
        lambda r: (r.copies or _NO_COPIES).transform,
    ),
    Column(
        "copy_count",
        "inputs that show the same",
        lambda r: (r.copies or _NO_COPIES).count,
        "number",
        "integer",
    ),
    Column(
        "copy_score_min",
        "lowest score of these inputs, by the first model",
        lambda r: (r.copies or _NO_COPIES).score_min,
        "number",
    ),
    Column(
        "copy_score_max",
        "highest score of these inputs, by the first model",
        lambda r: (r.copies or _NO_COPIES).score_max,
        "number",
    ),
    Column(
        "mark",
        "what people decided: `suspicious`, `cleared` or `later`; `conflict` where they differ; else empty",
        lambda r: (r.mark or _NO_MARK).mark,
    ),
    Column("mark_by", "who decided; with their marks in a conflict", lambda r: (r.mark or _NO_MARK).by),
    Column(
        "mark_at", "when the last of them decided, ISO 8601, UTC", lambda r: (r.mark or _NO_MARK).at, "date"
    ),
    Column("note", "what they wrote", lambda r: (r.mark or _NO_MARK).note),
    Column("final_url", "last URL requested; empty for files", lambda r: _response(r).final_url),
    Column(
        "redirects",
        "URLs that led to `final_url`, separated by spaces",
        lambda r: _response(r).redirects,
        type="texts",
    ),
    Column(
        "http_status",
        "HTTP status code of the last answer",
        lambda r: _response(r).http_status,
        "number",
        "integer",
    ),
    Column(
        "fetched_at", "time of the last request, ISO 8601, UTC", lambda r: _response(r).fetched_at, "date"
    ),
    Column(
        "content_type",
        "`Content-Type` that the server stated, unchecked",
        lambda r: _response(r).headers.get("content-type"),
    ),
    Column(
        "last_modified",
        "`Last-Modified` that the server stated, unchecked",
        lambda r: _response(r).headers.get("last-modified"),
    ),
    Column("saved_as", "file of `--save-dir` that keeps the bytes of a URL", lambda r: _response(r).saved_as),
    Column(
        "provenance",
        "what the file says of its own origin: `ai_generated`, `ai_edited`, `ai_hint`, `held_elsewhere`, "
        "`unreadable`, `no_ai_claim`, `format_not_read` or `none`; empty where nobody looked",
        lambda r: r.facts.provenance.verdict if r.facts.provenance else None,
    ),
    Column(
        "provenance_strength",
        "how well that is backed: `signed_trusted`, `signed_untrusted`, `signed_broken`, `not_checked` (a "
        "signature that nobody verified), `plain` or `weak`; empty if nothing is claimed",
        lambda r: r.facts.provenance.strength if r.facts.provenance else None,
    ),
    Column(
        "provenance_by",
        "ids of the markers that were found, separated by spaces",
        lambda r: tuple(r.facts.provenance.by) if r.facts.provenance else None,
        type="texts",
    ),
    Column(
        "provenance_says",
        "who is named as the maker, as stated, separated by `; `",
        lambda r: tuple(r.facts.provenance.says) if r.facts.provenance else None,
        type="texts",
        separator="; ",
    ),
    Column(
        "provenance_checked",
        "what verified signatures; empty if nothing did",
        lambda r: r.facts.provenance.checked if r.facts.provenance else None,
    ),
    Column(
        "traces",
        "traces of how the file was saved and handled, separated by spaces, or `none`; empty where nobody "
        "looked",
        lambda r: None if r.facts.traces is None else tuple((r.facts.trace_ids or "").split()),
        type="texts",
    ),
    *(
        Column(f"iptc_{name}", description, partial(_credit_value, name))
        for name, description in (
            ("byline", "who made the image, as IPTC metadata (XMP, else IIM) state it"),
            ("credit", "credit line, likewise"),
            ("source", "where it comes from, likewise"),
            ("caption", "caption, likewise"),
            ("copyright", "copyright notice, likewise"),
        )
    ),
    Column("exif_make", "camera maker", lambda r: shortened(r.facts.exif.make)),
    Column("exif_model", "camera model", lambda r: shortened(r.facts.exif.model)),
    Column("exif_lens", "lens", lambda r: shortened(r.facts.exif.lens)),
    Column(
        "exif_original_date",
        "when the image was taken, as EXIF states it",
        lambda r: r.facts.exif.original_date,
    ),
    Column(
        "exif_original_date_iso",
        "the same as ISO 8601, with an offset from UTC where EXIF states one; empty if it is not a date",
        lambda r: r.facts.exif.original_date_iso,
        "date",
        "text",  # few have an offset, so it is no point in time
    ),
    Column(
        "exif_gps_date_iso",
        "when the position was measured, ISO 8601, UTC",
        lambda r: r.facts.exif.gps_date_iso,
        "date",
    ),
    Column(
        "exif_software",
        "software that wrote the file, as EXIF states it",
        lambda r: shortened(r.facts.exif.software),
    ),
    Column("exif_latitude", "degrees, north positive", lambda r: r.facts.exif.latitude, "number"),
    Column("exif_longitude", "degrees, east positive", lambda r: r.facts.exif.longitude, "number"),
    Column(
        "exif_orientation",
        "EXIF orientation, 1 to 8",
        lambda r: r.facts.exif.orientation,
        "number",
        "integer",
    ),
)
