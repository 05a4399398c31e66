"""CBOR (RFC 8949) as C2PA uses it, with bounds on depth and on the number of items."""

from __future__ import annotations

import struct
from collections.abc import Callable

_MOST_DEPTH = 32
_BREAK = object()
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}
_SIMPLE = {20: False, 21: True, 22: None, 23: None}


class CborError(ValueError):
    """Bytes that are not CBOR, or more of it than is read."""


class CborReader:
    """Reads values; one reader counts the items of all of them.

    Args:
        most_items: of all values together.
    """

    def __init__(self, most_items: int) -> None:
        self._left = most_items

    def read(self, data: bytes) -> object:
        """The first value: a dict, list, str, bytes, number, bool or None; tags are dropped.

        Raises:
            CborError: there is none, or it is too deep or too large.
        """
        try:
            value, _ = self._value(data, 0, 0)
        except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
            raise CborError("damaged CBOR") from error
        return value

    def _value(self, data: bytes, at: int, depth: int) -> tuple[object, int]:
        self._left -= 1
        if depth > _MOST_DEPTH or self._left < 0:
            raise CborError("too deep or too many items")
        major, info, at = data[at] >> 5, data[at] & 31, at + 1
        if major == 7:
            return _simple(data, at, info)
        if info == 31:
            return self._indefinite(data, at, major, depth)
        number, at = _argument(data, at, info)
        if major in (0, 1):
            return (number if major == 0 else -1 - number), at
        if major in (2, 3):
            return _string(data, at, number, major)
        if major == 6:
            return self._value(data, at, depth + 1)
        if number > len(data) - at:  # every item takes a byte at least
            raise CborError("more items than bytes")
        return self._items(data, at, major, depth, lambda count: count < number)

    def _indefinite(self, data: bytes, at: int, major: int, depth: int) -> tuple[object, int]:
        if major in (2, 3):
            parts, at = self._items(data, at, 4, depth, lambda _: True)
            assert isinstance(parts, list)
            kind = bytes if major == 2 else str
            if not all(isinstance(part, kind) for part in parts):
                raise CborError("a string of other things")
            return kind().join(parts), at
        if major not in (4, 5):
            raise CborError("no such length")
        return self._items(data, at, major, depth, lambda _: True)

    def _items(
        self, data: bytes, at: int, major: int, depth: int, more: Callable[[int], bool]
    ) -> tuple[object, int]:
        """An array or a map, as long as there is more, or up to a break."""
        items: list[object] = []
        pairs: dict[object, object] = {}
        count = 0
        while more(count):
            item, at = self._value(data, at, depth + 1)
            if item is _BREAK:
                break
            if major == 4:
                items.append(item)
            else:
                value, at = self._value(data, at, depth + 1)
                if isinstance(item, str | int | bytes):
                    pairs[item] = value
            count += 1
        return (items if major == 4 else pairs), at


def _argument(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    if info > 27:
        raise CborError("reserved")
    size = 1 << (info - 24)
    if at + size > len(data):
        raise CborError("truncated")
    return int.from_bytes(data[at : at + size], "big"), at + size


def _string(data: bytes, at: int, size: int, major: int) -> tuple[object, int]:
    if size > len(data) - at:
        raise CborError("truncated")
    raw = data[at : at + size]
    return (raw if major == 2 else raw.decode("utf-8", "replace")), at + size


def _simple(data: bytes, at: int, info: int) -> tuple[object, int]:
    if info == 31:
        return _BREAK, at
    if layout := _FLOATS.get(info):
        return struct.unpack_from(layout, data, at)[0], at + struct.calcsize(layout)
    return _SIMPLE.get(info), at + (info == 24)
