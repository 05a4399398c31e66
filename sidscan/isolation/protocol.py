"""What crosses the pipe between a scan and its workers: both sides of the codec in one place.

A message is a frame: a JSON head and raw bytes. Nothing is unpickled: a process that a malicious file has
taken over can lie, in this answer and in later ones, but it can't run anything in the scan.

1. The scan starts a worker with `WorkerOptions` as its argument; the worker sends `READY`.
2. The scan sends a task (`encode_task`, `decode_task`).
3. The worker answers with a file's size and hash, then with its crops, then, if asked for, with all pixels, a
   few rows at a time (`encode_pixels`), then with its EXIF, provenance, traces and perhaps small images; or a
   failure instead of the rest (`encode_answer`, `decode_answer`).

`_INFO_FIELDS` and `_EXIF_FIELDS` describe what an answer says of an image. The encoder sends these fields.
The decoder refuses a head that lacks one of them, has another one, or has a value that its check refuses.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from sidscan.config import SIDE, ReadLimits, ScanConfig
from sidscan.records import (
    PROVENANCE_STRENGTHS,
    PROVENANCE_WORDS,
    CropRef,
    CropSet,
    DecodedImage,
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    Marker,
    Provenance,
    Response,
    SignatureCheck,
    Stage,
    Status,
    Trace,
)

_LENGTHS = struct.Struct(">IQ")  # bytes of a frame's head and of its payload
_MAX_HEAD_BYTES = 1 << 24  # of an answer
_MAX_TEXT = 1 << 16  # characters
_MAX_THUMBNAIL = 1 << 16  # bytes
_ROWS_BYTES = 1 << 20  # of the pixels in one frame, unless one row has more
_MAX_NUMBER = 1 << 53  # readers of a report hold smaller numbers exactly
_SHA256, _FLAG = re.compile("[0-9a-f]{64}"), re.compile("[a-z0-9_]{1,40}")
_PERCEPTUAL_HASH = re.compile("(?:[0-9a-f]{64})?")
_ISO_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([+-][0-9]{2}:[0-9]{2})?"
)

Answer = ImageInfo | DecodedImage | Failure
_Choice = TypeVar("_Choice", bound=Enum)
_Check = Callable[[object], object]


class ProtocolError(ValueError):
    """A message that the other side of the pipe never sends."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        head: JSON.
        payload: raw bytes.
        last: whether the answer ends with it.
    """

    head: Mapping[str, object]
    payload: bytes = b""
    last: bool = True


READY = Frame({"ready": True})


def write_frame(file: BinaryIO, frame: Frame) -> None:
    """Send a frame."""
    head = json.dumps({"head": frame.head, "last": frame.last}).encode()
    file.write(_LENGTHS.pack(len(head), len(frame.payload)) + head)
    file.write(frame.payload)
    file.flush()


def read_frame(file: BinaryIO, max_payload: int | None = None) -> Frame:
    """The next frame.

    Args:
        max_payload: bytes; None accepts any length, as of what the scan sends to its workers.

    Raises:
        EOFError: the stream ended before the frame did.
        ProtocolError: it is not a frame.
    """
    head_length, payload_length = _LENGTHS.unpack(_read_exactly(file, _LENGTHS.size))
    if max_payload is not None and (head_length > _MAX_HEAD_BYTES or payload_length > max_payload):
        raise ProtocolError("a frame of impossible length")
    try:
        envelope = json.loads(_read_exactly(file, head_length), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the head of a frame is not JSON") from error
    message = _fields(envelope, ("head", "last"))
    last = message["last"]
    if type(last) is not bool:
        raise ProtocolError("last")
    return Frame(_mapping(message["head"]), _read_exactly(file, payload_length), last)


def _refuse_constant(text: str) -> None:
    raise ProtocolError(f"{text} is not JSON")


def _read_exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker must know besides its tasks; it gets this as its argument.

    Attributes:
        memory_limit: MiB that a task may take.
        item_timeout: seconds that a task may take.
    """

    memory_limit: int
    item_timeout: float
    limits: ReadLimits

    @classmethod
    def from_config(cls, config: ScanConfig) -> WorkerOptions:
        """The part of a scan's options that its workers need."""
        limits = ReadLimits(**{option.name: getattr(config, option.name) for option in fields(ReadLimits)})
        return cls(config.memory_limit, config.item_timeout, limits)

    def to_json(self) -> str:
        """As a program's argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WorkerOptions:
        """The inverse of `to_json`."""
        raw = json.loads(text)
        return cls(**{**raw, "limits": ReadLimits(**raw["limits"])})


def encode_task(item: Item, data: bytes | None = None) -> Frame:
    """The task to read an item.

    Args:
        data: its bytes, as of a URL; None for what a worker opens itself.
    """
    fields = {"name": item.name, "kind": item.kind.value, "fingerprint": item.fingerprint}
    return Frame({**fields, "given": data is not None}, data or b"")


def decode_task(frame: Frame) -> tuple[Item, bytes | None]:
    """The item to read, and its bytes if they are given.

    Raises:
        ProtocolError: it is not a task.
    """
    task = _fields(frame.head, ("name", "kind", "fingerprint", "given"))
    name, fingerprint = task["name"], task["fingerprint"]
    if not isinstance(name, str) or not isinstance(fingerprint, str):
        raise ProtocolError("name")
    item = Item(name, _choice(Kind, task["kind"]), fingerprint)
    return item, frame.payload if task["given"] else None


def encode_answer(
    answer: Answer, last: bool = False, thumbnail: bytes = b"", second_image: bytes = b""
) -> Frame:
    """A part of a worker's answer.

    Args:
        last: whether the answer ends with it.
        thumbnail: goes with the last facts; one that is too large is left out.
        second_image: likewise.
    """
    if isinstance(answer, ImageInfo):
        small = [image if len(image) <= _MAX_THUMBNAIL else b"" for image in (thumbnail, second_image)]
        return Frame({"info": _encode_info(answer), "thumbnail": len(small[0])}, b"".join(small), last)
    head: dict[str, object] = {"info": _encode_info(answer.facts)}
    if isinstance(answer, DecodedImage):
        head["order"] = answer.crop_set.order
        return Frame(head, answer.crop_set.crops.tobytes(), last)
    head["failure"] = {
        "stage": answer.stage.value,
        "error": answer.error[:_MAX_TEXT],
        "message": answer.message[:_MAX_TEXT],
        "status": answer.status.value,
    }
    return Frame(head, last=last)


def encode_pixels(pixels: NDArray[np.uint8]) -> Iterator[Frame]:
    """All pixels (height, width, 3) of an image, a few rows in each frame."""
    height, width, _ = pixels.shape
    step = rows_per_frame(width)
    for top in range(0, height, step):
        yield Frame({"top": top}, pixels[top : top + step].tobytes(), last=False)


def rows_per_frame(width: int) -> int:
    """How many rows of pixels go into one frame."""
    return max(_ROWS_BYTES // (3 * width), 1)


def max_payload_of_rows(limits: ReadLimits) -> int:
    """Bytes of the largest such frame."""
    return max(_ROWS_BYTES, 3 * limits.max_side)


def decode_answer(frame: Frame, item: Item, num_crops: int) -> Answer:
    """A part of a worker's answer, checked: a record that every report can hold.

    Args:
        item: what the worker was to read.
        num_crops: how many crops a model sees of an image.

    Raises:
        ProtocolError: no worker sends this.
    """
    head = _mapping(frame.head)
    info = _decode_info(head.get("info"))
    if head.keys() == {"info", "failure"} and not frame.payload:
        return _decode_failure(head["failure"], item, info)
    if head.keys() == {"info", "order"}:
        return DecodedImage(item, info, _decode_crops(head["order"], frame.payload, num_crops))
    if head.keys() != {"info", "thumbnail"}:
        raise ProtocolError("neither facts nor crops nor a failure")
    decode_small_images(frame)
    return info


def decode_small_images(frame: Frame) -> tuple[bytes, bytes]:
    """The thumbnail and the second image that go with the last facts; one that is missing is empty.

    Raises:
        ProtocolError: they are anything but small WebP files (RFC 9649, section 2).
    """
    end = _check_count(frame.head["thumbnail"])
    small = frame.payload[:end], frame.payload[end:]
    for image in filter(None, small):
        is_webp = image[:4] == b"RIFF" and image[8:12] == b"WEBP" and len(image) <= _MAX_THUMBNAIL
        if not (frame.last and is_webp):
            raise ProtocolError("thumbnail")
    return small


class AnswerParser:
    """Assembles a worker's answer: a file's hash, its crops, perhaps all pixels, its EXIF; or a failure.

    Args:
        known: what the scan knows itself of bytes that it gave; a worker's word on these does not count.
        num_crops: how many crops a model sees of an image.
        max_pixels: how many pixels may come besides; 0 if none were asked for.

    Attributes:
        info: what is known of the image so far.
        decoded: the image with its crops, and its pixels if asked for, once all these arrived.
    """

    def __init__(self, item: Item, known: ImageInfo, num_crops: int, max_pixels: int = 0) -> None:
        self.item, self.info = item, known
        self.decoded: DecodedImage | None = None
        self._known, self._num_crops, self._max_pixels = known, num_crops, max_pixels
        self._without_pixels: DecodedImage | None = None
        self._pixels: NDArray[np.uint8] | None = None
        self._rows = 0  # of the pixels that arrived
        self._failure: Failure | None = None

    def feed(self, frame: Frame) -> None:
        """Take the next frame of the answer.

        Raises:
            ProtocolError: it makes no sense.
        """
        if frame.head.keys() == {"top"}:
            self._take_rows(frame)
            return
        answer = decode_answer(frame, self.item, self._num_crops)
        info = answer if isinstance(answer, ImageInfo) else answer.facts
        known = self._known
        if known.sha256 is not None:
            info = replace(
                info,
                bytes=known.bytes,
                sha256=known.sha256,
                response=known.response,
                modified_at=known.modified_at,
            )
        elif self.item.kind is not Kind.MEMBER and info.response is not None:
            raise ProtocolError("response")
        elif self.info.sha256 not in (None, info.sha256):
            raise ProtocolError("another hash than before")
        self.info = info
        if isinstance(answer, DecodedImage) and self._max_pixels:
            self._without_pixels = answer
        elif isinstance(answer, DecodedImage):
            self.decoded = answer
        if self.decoded is not None:
            thumbnail, second = decode_small_images(frame) if isinstance(answer, ImageInfo) else (b"", b"")
            self.decoded = replace(self.decoded, facts=info, thumbnail=thumbnail, second_image=second)
        if isinstance(answer, Failure):
            self._failure = replace(answer, facts=info)

    def _take_rows(self, frame: Frame) -> None:
        """Add rows of pixels, in their order; the image is complete with the last ones."""
        image = self._without_pixels
        if image is None or frame.last or frame.head["top"] != self._rows:
            raise ProtocolError("rows")
        if self._pixels is None:
            width, height = image.facts.scored_size
            if not width or not height or width * height > self._max_pixels:
                raise ProtocolError("size")
            self._pixels = np.empty((height, width, 3), np.uint8)
        height, width, _ = self._pixels.shape
        bottom = min(self._rows + rows_per_frame(width), height)
        if not frame.payload or len(frame.payload) != 3 * width * (bottom - self._rows):
            raise ProtocolError("rows")
        self._pixels[self._rows : bottom] = np.frombuffer(frame.payload, np.uint8).reshape(-1, width, 3)
        self._rows = bottom
        if bottom == height:
            self.decoded = replace(image, facts=self.info, pixels=self._pixels)

    def result(self) -> DecodedImage | Failure:
        """The whole answer, after the last frame.

        Raises:
            ProtocolError: it has neither crops nor a failure.
        """
        result = self._failure or self.decoded
        if result is None:
            raise ProtocolError("neither crops nor a failure")
        return result

    def failure(self, error: str, message: str, status: Status) -> Failure:
        """The failure of an item whose answer is incomplete or wrong."""
        stage = Stage.READ if self.info.sha256 is None else Stage.DECODE
        return Failure(self.item, stage, error, message, self.info, status)


def _decode_failure(raw: object, item: Item, info: ImageInfo) -> Failure:
    failure = _fields(raw, ("stage", "error", "message", "status"))
    error, message = _check_text(failure["error"]), _check_text(failure["message"])
    status = _choice(Status, failure["status"])
    if error is None or message is None or not status.failed:
        raise ProtocolError("failure")
    return Failure(item, _choice(Stage, failure["stage"]), error, message, info, status)


def _decode_crops(raw_order: object, payload: bytes, count: int) -> CropSet:
    if len(payload) % (SIDE * SIDE * 3):
        raise ProtocolError("crops")
    crops = np.frombuffer(payload, np.uint8).reshape(-1, SIDE, SIDE, 3)
    order = tuple(_decode_crop_ref(raw) for raw in _sequence(raw_order))
    if len(order) != count or {index for index, _ in order} != set(range(len(crops))):
        raise ProtocolError("order")
    return CropSet(crops, order)


def _decode_crop_ref(raw: object) -> CropRef:
    values = _sequence(raw)
    if len(values) != 2:
        raise ProtocolError("crop")
    index, mirrored = values
    if type(index) is not int or type(mirrored) is not bool:
        raise ProtocolError("crop")
    return index, mirrored


def _encode_info(info: ImageInfo) -> dict[str, object]:
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
    headers = _mapping(raw)
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
    return tuple(map(_check_words, _sequence(raw)))


def _check_markers(raw: object) -> tuple[Marker, ...]:
    markers = tuple(Marker(**_checked(entry, _MARKER_FIELDS)) for entry in _sequence(raw))
    for marker in markers:
        if marker.verdict not in PROVENANCE_WORDS or marker.strength not in ("", *PROVENANCE_STRENGTHS):
            raise ProtocolError("marker")
    return markers


def _decode_traces(raw: object) -> tuple[Trace, ...] | None:
    return None if raw is None else tuple(Trace(**_checked(entry, _TRACE_FIELDS)) for entry in _sequence(raw))


def _decode_info(raw: object) -> ImageInfo:
    return ImageInfo(**_checked(raw, _INFO_FIELDS))


def _decode_exif(raw: object) -> Exif:
    return Exif(**_checked(raw, _EXIF_FIELDS))


def _checked(raw: object, checks: Mapping[str, _Check]) -> dict[str, Any]:
    """The fields of a record, each as its check returns it."""
    values = _fields(raw, tuple(checks))
    return {name: check(values[name]) for name, check in checks.items()}


def _fields(raw: object, names: tuple[str, ...]) -> Mapping[str, object]:
    """A mapping with exactly these keys."""
    mapping = _mapping(raw)
    if mapping.keys() != set(names):
        raise ProtocolError("other fields than expected")
    return mapping


def _mapping(raw: object) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise ProtocolError("not an object")
    return raw


def _sequence(raw: object) -> list[object] | tuple[object, ...]:
    if not isinstance(raw, list | tuple):
        raise ProtocolError("not a list")
    return raw


def _choice(values: type[_Choice], raw: object) -> _Choice:
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


def _check_count(value: object) -> int:
    if (number := _check_number(value)) is None:
        raise ProtocolError("not a count")
    return number


def _check_degrees(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and -180 <= value <= 180:
        return float(value)
    raise ProtocolError("degrees")


def _check_text(value: object) -> str | None:
    if value is None or (isinstance(value, str) and len(value) <= _MAX_TEXT):
        return value
    raise ProtocolError("text")


def _check_words(value: object) -> str:
    if (text := _check_text(value)) is None:
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
    flags = tuple(flag for flag in _sequence(raw) if isinstance(flag, str) and _FLAG.fullmatch(flag))
    if len(flags) != len(_sequence(raw)):
        raise ProtocolError("flags")
    return flags


def _check_flag(value: object) -> str:
    if isinstance(value, str) and _FLAG.fullmatch(value):
        return value
    raise ProtocolError("id")


def _check_tags(raw: object) -> Mapping[str, object]:
    """Values of EXIF tags are scalars or lists of scalars, as `images.exif` makes them."""
    tags = _mapping(raw)
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
    "format": _check_text,
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
    "strength": _check_text,
    "checked": _check_words,
    "markers": _check_markers,
    **dict.fromkeys(("byline", "credit", "source", "caption", "copyright"), _check_text),
    "signature": _decode_signature,
}
_SIGNATURE_FIELDS: Mapping[str, _Check] = {
    "state": _check_words,
    **dict.fromkeys(("bytes_unchanged", "signature_good", "signer_listed"), _check_yes_or_no),
    "signed_at": _check_text,
    "codes": _check_codes,
    "error": _check_words,
}
_MARKER_FIELDS: Mapping[str, _Check] = {
    **dict.fromkeys(("id", "verdict", "strength", "container", "key", "value"), _check_words),
    "offset": _check_count,
    **dict.fromkeys(("says", "signer"), _check_words),
}
_TRACE_FIELDS: Mapping[str, _Check] = {
    "id": _check_flag,
    **dict.fromkeys(("detail", "container", "value"), _check_words),
    "offset": _check_count,
}
_EXIF_FIELDS: Mapping[str, _Check] = {
    **dict.fromkeys(("make", "model", "lens", "original_date", "software"), _check_text),
    "latitude": _check_degrees,
    "longitude": _check_degrees,
    "orientation": _check_number,
    "tags": _check_tags,
    "unread_tags": _check_count,
    "original_date_iso": check_date,
    "gps_date_iso": check_date,
}
