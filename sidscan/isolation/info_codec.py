"""What a worker says of an image, as JSON and back: every field is checked, since a worker may lie.

`_INFO_FIELDS` and `_EXIF_FIELDS` describe it. The encoder sends these fields. The decoder refuses a head that
lacks one of them, has another one, or has a value that its check refuses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import Enum
from typing import Any, TypeVar

from sidscan.isolation.frames import ProtocolError, fields_of, mapping_of
from sidscan.records import (
    PROVENANCE_STRENGTHS,
    PROVENANCE_WORDS,
    Exif,
    ImageInfo,
    Marker,
    Provenance,
    Response,
    SignatureCheck,
    Trace,
)

MAX_TEXT = 1 << 16  # characters
_MAX_NUMBER = 1 << 53  # readers of a report hold smaller numbers exactly
_SHA256, _FLAG = re.compile("[0-9a-f]{64}"), re.compile("[a-z0-9_]{1,40}")
_PERCEPTUAL_HASH = re.compile("(?:[0-9a-f]{64})?")
_ISO_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([+-][0-9]{2}:[0-9]{2})?"
)
_Choice = TypeVar("_Choice", bound=Enum)
_Check = Callable[[object], object]


def encode_info(info: ImageInfo) -> dict[str, object]:
    """As JSON."""
    encoded: dict[str, object] = {name: getattr(info, name) for name in _INFO_FIELDS}
    encoded["provenance"] = asdict(info.provenance) if info.provenance else None
    encoded["response"] = _encode_response(info.response)
    encoded["traces"] = None if info.traces is None else [asdict(trace) for trace in info.traces]
    return encoded | {"exif": {name: getattr(info.exif, name) for name in _EXIF_FIELDS}}


def _encode_response(response: Response | None) -> dict[str, object] | None:
    """What a web archive says of a member; how a server answered a URL, only the scan knows."""
    if response is None:
        return None
    return {name: getattr(response, name) for name in _RESPONSE_FIELDS}


def _decode_response(raw: object) -> Response | None:
    return None if raw is None else Response(**_checked(raw, _RESPONSE_FIELDS))


def _check_headers(raw: object) -> Mapping[str, str]:
    headers = mapping_of(raw)
    return {_check_words(name): _check_words(value) for name, value in headers.items()}


def _decode_provenance(raw: object) -> Provenance | None:
    if raw is None:
        return None
    values = _checked(raw, _PROVENANCE_FIELDS)
    if values["verdict"] not in PROVENANCE_WORDS or values["strength"] not in (None, *PROVENANCE_STRENGTHS):
        raise ProtocolError("provenance")
    return Provenance(**values)


def _decode_signature(raw: object) -> SignatureCheck | None:
    return None if raw is None else SignatureCheck(**_checked(raw, _SIGNATURE_FIELDS))


def _check_codes(raw: object) -> tuple[str, ...]:
    return tuple(map(_check_words, sequence_of(raw)))


def _check_markers(raw: object) -> tuple[Marker, ...]:
    markers = tuple(Marker(**_checked(entry, _MARKER_FIELDS)) for entry in sequence_of(raw))
    for marker in markers:
        if marker.verdict not in PROVENANCE_WORDS or marker.strength not in ("", *PROVENANCE_STRENGTHS):
            raise ProtocolError("marker")
    return markers


def _decode_traces(raw: object) -> tuple[Trace, ...] | None:
    return (
        None if raw is None else tuple(Trace(**_checked(entry, _TRACE_FIELDS)) for entry in sequence_of(raw))
    )


def decode_info(raw: object) -> ImageInfo:
    """The inverse of `encode_info`.

    Raises:
        ProtocolError: no worker sends this.
    """
    return ImageInfo(**_checked(raw, _INFO_FIELDS))


def _decode_exif(raw: object) -> Exif:
    return Exif(**_checked(raw, _EXIF_FIELDS))


def _checked(raw: object, checks: Mapping[str, _Check]) -> dict[str, Any]:
    """The fields of a record, each as its check returns it."""
    values = fields_of(raw, tuple(checks))
    return {name: check(values[name]) for name, check in checks.items()}


def sequence_of(raw: object) -> list[object] | tuple[object, ...]:
    """A list; ProtocolError where it is something else."""
    if not isinstance(raw, list | tuple):
        raise ProtocolError("not a list")
    return raw


def choice_of(values: type[_Choice], raw: object) -> _Choice:
    """One of these values; ProtocolError where it is another."""
    try:
        return values(raw)
    except ValueError:
        raise ProtocolError(values.__name__) from None


def _check_yes_or_no(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ProtocolError("neither yes nor no")


def _check_number(value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value < _MAX_NUMBER):
        return value
    raise ProtocolError("number")


def check_count(value: object) -> int:
    """A number from 0; ProtocolError where it is something else."""
    if (number := _check_number(value)) is None:
        raise ProtocolError("not a count")
    return number


def _check_degrees(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and -180 <= value <= 180:
        return float(value)
    raise ProtocolError("degrees")


def check_text(value: object) -> str | None:
    """Text of at most `MAX_TEXT` characters, or None; ProtocolError where it is something else."""
    if value is None or (isinstance(value, str) and len(value) <= MAX_TEXT):
        return value
    raise ProtocolError("text")


def _check_words(value: object) -> str:
    if (text := check_text(value)) is None:
        raise ProtocolError("no text")
    return text


def _check_sha256(value: object) -> str | None:
    if value is None or (isinstance(value, str) and _SHA256.fullmatch(value)):
        return value
    raise ProtocolError("sha256")


def _check_perceptual_hash(value: object) -> str | None:
    if value is None or (isinstance(value, str) and _PERCEPTUAL_HASH.fullmatch(value)):
        return value
    raise ProtocolError("perceptual hash")


def check_date(value: object) -> str | None:
    """ISO 8601; the offset from UTC may be missing."""
    if value is None or (isinstance(value, str) and _ISO_DATE.fullmatch(value)):
        return value
    raise ProtocolError("date")


def _check_flags(raw: object) -> tuple[str, ...]:
    flags = tuple(flag for flag in sequence_of(raw) if isinstance(flag, str) and _FLAG.fullmatch(flag))
    if len(flags) != len(sequence_of(raw)):
        raise ProtocolError("flags")
    return flags


def _check_flag(value: object) -> str:
    if isinstance(value, str) and _FLAG.fullmatch(value):
        return value
    raise ProtocolError("id")


def _check_tags(raw: object) -> Mapping[str, object]:
    """Values of EXIF tags are scalars or lists of scalars, as `images.exif` makes them."""
    tags = mapping_of(raw)
    for value in tags.values():
        for scalar in value if isinstance(value, list) else (value,):
            if not isinstance(scalar, str | int | float) or (
                isinstance(scalar, float) and not math.isfinite(scalar)
            ):
                raise ProtocolError("tag")
    return tags


_INFO_FIELDS: Mapping[str, _Check] = {
    "bytes": _check_number,
    "sha256": _check_sha256,
    "format": check_text,
    "width": _check_number,
    "height": _check_number,
    "jpeg_quality": _check_number,
    "modified_at": check_date,
    "preview_width": _check_number,
    "preview_height": _check_number,
    "lossless": _check_yes_or_no,
    "perceptual_hash": _check_perceptual_hash,
    "flags": _check_flags,
    "exif": _decode_exif,
    "provenance": _decode_provenance,
    "traces": _decode_traces,
    "response": _decode_response,
}
_RESPONSE_FIELDS: Mapping[str, _Check] = {
    "final_url": _check_words,
    "http_status": _check_number,
    "fetched_at": check_date,
    "headers": _check_headers,
}
_PROVENANCE_FIELDS: Mapping[str, _Check] = {
    "verdict": _check_words,
    "strength": check_text,
    "checked": _check_words,
    "markers": _check_markers,
    **dict.fromkeys(("byline", "credit", "source", "caption", "copyright"), check_text),
    "signature": _decode_signature,
}
_SIGNATURE_FIELDS: Mapping[str, _Check] = {
    "state": _check_words,
    **dict.fromkeys(("bytes_unchanged", "signature_good", "signer_listed"), _check_yes_or_no),
    "signed_at": check_text,
    "codes": _check_codes,
    "error": _check_words,
}
_MARKER_FIELDS: Mapping[str, _Check] = {
    **dict.fromkeys(("id", "verdict", "strength", "container", "key", "value"), _check_words),
    "offset": check_count,
    **dict.fromkeys(("says", "signer"), _check_words),
}
_TRACE_FIELDS: Mapping[str, _Check] = {
    "id": _check_flag,
    **dict.fromkeys(("detail", "container", "value"), _check_words),
    "offset": check_count,
}
_EXIF_FIELDS: Mapping[str, _Check] = {
    **dict.fromkeys(("make", "model", "lens", "original_date", "software"), check_text),
    "latitude": _check_degrees,
    "longitude": _check_degrees,
    "orientation": _check_number,
    "tags": _check_tags,
    "unread_tags": check_count,
    "original_date_iso": check_date,
    "gps_date_iso": check_date,
}
