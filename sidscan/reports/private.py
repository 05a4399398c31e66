"""What `--private` leaves out of results and of the facts about a run, field by field.

The lists say what stays. A field that none of them names is left out, and a test asks for a decision.
docs/howto/private-reports.md gives the reasons.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sidscan.records import (
    Copies,
    CopyAnswer,
    Decision,
    Exif,
    ImageInfo,
    JsonObject,
    Mark,
    Marker,
    Provenance,
    Response,
    RunHeader,
    ScanResult,
    SessionRecord,
    SignatureCheck,
    Trace,
)
from sidscan.records.localization import Localization
from sidscan.reports.columns import KNOWN_COLUMNS
from sidscan.reports.exif_names import is_name
from sidscan.util.urls import MASK

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    _Record = TypeVar("_Record", bound=DataclassInstance)

WORDS = (
    "private: host, folder, command line, positions, serial numbers, names of people, comments, unique ids "
    "and maker notes are left out; file names and URLs stay, because they name the rows"
)
"""What a scan and `sidscan redact` print."""
PLACE_COLUMNS = ("exif_latitude", "exif_longitude", "exif_gps_date_iso")
PEOPLE_COLUMNS = (
    *("mark_by", "note", "provenance_says"),
    *("iptc_byline", "iptc_credit", "iptc_source", "iptc_caption", "iptc_copyright"),
)
WITHHELD_COLUMNS = (*PLACE_COLUMNS, *PEOPLE_COLUMNS)
"""Columns that are empty then."""
URL_COLUMNS = ("error_message", "final_url", "redirects", "map_message")
"""Columns that may hold URLs, which lose their queries then."""
FLAG = "exif_withheld"
"""The flag of a row some of whose EXIF is left out."""

_HEADERS = ("content-type", "content-length", "content-encoding", "last-modified", "date")
_TEXT_TAGS = ("Make", "Model", "Software", "LensMake", "LensModel")
# Numbers, dates and settings of the camera, as ExifRead names them; of the image, not of its thumbnail.
_NUMBER_TAGS = (
    *(
        "ImageWidth",
        "ImageLength",
        "BitsPerSample",
        "Compression",
        "PhotometricInterpretation",
        "Orientation",
    ),
    *("SamplesPerPixel", "PlanarConfiguration", "XResolution", "YResolution", "ResolutionUnit", "DateTime"),
    *("YCbCrPositioning", "YCbCrCoefficients", "YCbCrSubSampling", "ReferenceBlackWhite", "WhitePoint"),
    *("PrimaryChromaticities", "ExposureTime", "FNumber", "ExposureProgram", "ISOSpeedRatings"),
    *("SensitivityType", "RecommendedExposureIndex", "ExifVersion", "DateTimeOriginal", "DateTimeDigitized"),
    *("SubSecTime", "SubSecTimeOriginal", "SubSecTimeDigitized", "ComponentsConfiguration"),
    *("CompressedBitsPerPixel", "ShutterSpeedValue", "ApertureValue", "BrightnessValue", "ExposureBiasValue"),
    *("MaxApertureValue", "SubjectDistance", "MeteringMode", "LightSource", "Flash", "FocalLength"),
    *("FlashPixVersion", "ColorSpace", "ExifImageWidth", "ExifImageLength", "FocalPlaneXResolution"),
    *("FocalPlaneYResolution", "FocalPlaneResolutionUnit", "ExposureIndex", "SensingMethod", "FileSource"),
    *("SceneType", "CVAPattern", "CustomRendered", "ExposureMode", "WhiteBalance", "DigitalZoomRatio"),
    *("FocalLengthIn35mmFilm", "SceneCaptureType", "GainControl", "Contrast", "Saturation", "Sharpness"),
    *("SubjectDistanceRange", "LensSpecification", "Gamma"),
)
KEPT_TAGS = frozenset(
    f"{place} {name}" for place in ("Image", "EXIF") for name in (*_TEXT_TAGS, *_NUMBER_TAGS)
)
"""EXIF tags that stay; `_TEXT_TAGS` as text, the others only as numbers or dates."""
_NUMBERS = re.compile(r"[-+0-9a-f/ .:]{0,64}")  # rationals, dates and hexadecimal bytes
_OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}$")
_QUERY = re.compile(r"(https?://[^\s?#]*)[?#]\S*", re.IGNORECASE)
_CONDITION_COLUMN = re.compile(r"\s*([^<>=!~]+?)\s*[<>=!~]")


@dataclass(frozen=True)
class FieldPolicy:
    """What becomes of the fields of a record: each is in one of these.

    Attributes:
        withheld: become the field's default, that of nothing known.
    """

    kept: tuple[str, ...]
    changed: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()


def private_result(result: ScanResult) -> ScanResult:
    """A result without what may identify a person, a device or a place, except by the input's name."""
    made: ScanResult = _decided(result)
    return made


def private_header(header: RunHeader) -> RunHeader:
    """The facts about a run, likewise."""
    made: RunHeader = _decided(header)
    return made


def private_session(session: SessionRecord) -> SessionRecord:
    """The facts about a session, likewise."""
    made: SessionRecord = _decided(session)
    return made


def private_date(date: str | None) -> str | None:
    """An ISO date without its offset from UTC: a time zone is a place."""
    return _OFFSET.sub("", date) if date else date


def private_text(text: str | None) -> str | None:
    """A text whose URLs have lost their queries, which may hold keys and names of accounts."""
    return _QUERY.sub(rf"\1?{MASK}", text) if text else text


def private_condition(text: str) -> str:
    """A condition of --only without what it may tell: of a column that loses something, its name alone."""
    match = _CONDITION_COLUMN.match(text)
    name = match[1] if match else ""
    if name.rpartition(".")[2] not in KNOWN_COLUMNS:
        return MASK
    return f"{name} {MASK}" if name in (*WITHHELD_COLUMNS, *URL_COLUMNS) else text


def _decided(record: _Record) -> Any:
    decision = FIELD_POLICIES[type(record)]
    changes = {
        entry.name: decision.changed[entry.name](getattr(record, entry.name))
        if entry.name in decision.changed
        else _default(entry)
        for entry in fields(record)
        if entry.name not in decision.kept
    }
    return replace(record, **changes)


def _default(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _info(info: ImageInfo) -> ImageInfo:
    made: ImageInfo = _decided(info)
    if made.exif == info.exif or FLAG in info.flags:
        return made
    return replace(made, flags=(*made.flags, FLAG))


def _tags(tags: JsonObject) -> dict[str, Any]:
    return {name: value for name, value in tags.items() if name in KEPT_TAGS and _is_harmless(name, value)}


def _name(stated: str | None) -> str | None:
    """A camera's name; prompts may stand in its place."""
    return stated if stated and is_name(stated) else None


def _is_harmless(name: str, value: object) -> bool:
    if isinstance(value, list):
        return all(_is_harmless(name, entry) for entry in value)
    if isinstance(value, str):
        is_text = name.endswith(tuple(f" {tag}" for tag in _TEXT_TAGS))
        return is_name(value) if is_text else _NUMBERS.fullmatch(value) is not None
    return isinstance(value, int | float)


def _response(response: Response | None) -> Response | None:
    return None if response is None else _decided(response)


def private_mark(mark: Mark | None) -> Mark | None:
    """A mark without names and notes."""
    return None if mark is None else _decided(mark)


def private_copies(copies: Copies | None) -> Copies | None:
    """Copies without the names of people who said something of them."""
    return None if copies is None else _decided(copies)


def private_localization(made: Localization | None) -> Localization | None:
    """A localization without addresses in its message."""
    return None if made is None else _decided(made)


def _provenance(provenance: Provenance | None) -> Provenance | None:
    return None if provenance is None else _decided(provenance)


def _traces(traces: tuple[Trace, ...] | None) -> tuple[Trace, ...] | None:
    return None if traces is None else tuple(map(_decided, traces))


def _url(url: str) -> str:
    start = re.split(r"[?#]", url, maxsplit=1)[0]
    return url if start == url else f"{start}?{MASK}"


FIELD_POLICIES: Mapping[type, FieldPolicy] = {
    ScanResult: FieldPolicy(
        kept=(
            *("name", "kind", "status", "scanned_at", "stage", "error", "scores", "views", "share_scored"),
            *("decoder", "sidscan_version"),
        ),
        changed={
            "facts": _info,
            "message": private_text,
            "mark": private_mark,
            "copies": private_copies,
            "localization": private_localization,
        },
    ),
    Localization: FieldPolicy(
        kept=(
            *("localizer", "digest", "protocol", "scale", "tiles", "side", "stride", "width", "height"),
            *("threshold", "alarm_area", "area", "region", "region_area", "maximum", "p99", "agreement"),
            *("contrast", "alarm_contrast", "orientation", "made_by", "flags"),
        ),
        changed={"message": lambda message: private_text(message) or ""},
    ),
    Mark: FieldPolicy(
        kept=("mark", "at"),
        changed={
            "decisions": lambda decisions: tuple(map(_decided, decisions)),
            **dict.fromkeys(("by", "note"), lambda _: ""),
        },
    ),
    Decision: FieldPolicy(
        kept=("mark", "at", "settles", "copy_of"),
        changed=dict.fromkeys(("by", "note"), lambda _: ""),
    ),
    Copies: FieldPolicy(
        kept=("same_as", "group", "distance", "transform", "count", "score_min", "score_max"),
        changed={"answers": lambda answers: tuple(map(_decided, answers))},
    ),
    CopyAnswer: FieldPolicy(kept=("path", "sha256", "same", "at"), changed={"by": lambda _: ""}),
    ImageInfo: FieldPolicy(
        kept=(
            *("bytes", "sha256", "format", "width", "height", "preview_width", "preview_height", "flags"),
            *("jpeg_quality", "modified_at", "lossless", "perceptual_hash"),
        ),
        changed={
            "exif": lambda exif: _decided(exif),
            "response": _response,
            "provenance": _provenance,
            "traces": _traces,
        },
    ),
    Provenance: FieldPolicy(
        kept=("verdict", "strength", "checked"),
        changed={
            "markers": lambda markers: tuple(map(_decided, markers)),
            "signature": lambda signature: None if signature is None else _decided(signature),
        },
        withheld=("byline", "credit", "source", "caption", "copyright"),
    ),
    SignatureCheck: FieldPolicy(
        kept=("state", "bytes_unchanged", "signature_good", "signer_listed", "signed_at", "codes"),
        withheld=("error",),
    ),
    Marker: FieldPolicy(
        kept=("id", "verdict", "strength", "container", "offset"),
        changed=dict.fromkeys(("key", "value", "says", "signer"), lambda _: ""),
    ),
    Trace: FieldPolicy(kept=("id", "detail", "container", "offset"), changed={"value": lambda _: ""}),
    Exif: FieldPolicy(
        kept=("original_date", "orientation", "unread_tags"),
        changed={
            "tags": _tags,
            "original_date_iso": private_date,
            **dict.fromkeys(("make", "model", "lens", "software"), _name),
        },
        withheld=("latitude", "longitude", "gps_date_iso"),
    ),
    Response: FieldPolicy(
        kept=("http_status", "fetched_at", "saved_as"),
        changed={
            "final_url": _url,
            "redirects": lambda urls: tuple(map(_url, urls)),
            "headers": lambda headers: {name: headers[name] for name in _HEADERS if name in headers},
        },
        withheld=("address",),
    ),
    RunHeader: FieldPolicy(
        kept=(
            *(
                "sidscan_version",
                "format",
                "started",
                "models",
                "model_choice",
                "model_provenance",
                "runtime",
            ),
            *("device", "precision", "precision_choice", "graph", "decoder", "crops", "effort", "inputs"),
            *("calibrations", "reliability", "sample", "listing_complete", "localizer", "finished"),
        ),
        changed={
            "lists": lambda lists: tuple(map(os.path.basename, lists)),
            "sessions": lambda sessions: tuple(map(private_session, sessions)),
            "private": lambda _: True,
        },
    ),
    SessionRecord: FieldPolicy(
        kept=(
            *("started", "ended", "ending", "findings", "sidscan_version", "platform", "python", "libraries"),
            *("limits", "resources"),
        ),
        withheld=("command", "folder", "host", "options"),
    ),
}
"""By record. Scores, models and calibrations stay whole: they are facts about detectors."""
