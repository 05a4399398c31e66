"""Frames: what crosses a pipe between two processes, a JSON head and raw bytes. Nothing is unpickled."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

_LENGTHS = struct.Struct(">IQ")  # bytes of a frame's head and of its payload
_MAX_HEAD_BYTES = 1 << 24  # of an answer


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
    message = fields_of(envelope, ("head", "last"))
    last = message["last"]
    if type(last) is not bool:
        raise ProtocolError("last")
    return Frame(mapping_of(message["head"]), _read_exactly(file, payload_length), last)


def _refuse_constant(text: str) -> None:
    raise ProtocolError(f"{text} is not JSON")


def _read_exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def fields_of(raw: object, names: tuple[str, ...]) -> Mapping[str, object]:
    """A mapping with exactly these keys.

    Raises:
        ProtocolError: it is something else.
    """
    mapping = mapping_of(raw)
    if mapping.keys() != set(names):
        raise ProtocolError("other fields than expected")
    return mapping


def mapping_of(raw: object) -> Mapping[str, object]:
    """A mapping.

    Raises:
        ProtocolError: it is something else.
    """
    if not isinstance(raw, dict):
        raise ProtocolError("not an object")
    return raw
