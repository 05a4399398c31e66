"""Photoshop's image resources (Photoshop File Formats), as they stand in PSD, JPEG and TIFF."""

from __future__ import annotations

from collections.abc import Iterator

_MOST_RESOURCES = 4096
_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")  # the others are of old versions and plug-ins


_PSD_HEAD = 26  # bytes; then sections follow, each behind its length: palette, resources ...


def section_of_psd(data: bytes) -> tuple[int, int]:
    """Where the resources of a PSD or PSB begin and end; both may lie behind the end of the file."""
    start = _PSD_HEAD + 4 + int.from_bytes(data[_PSD_HEAD : _PSD_HEAD + 4], "big") + 4
    return start, start + int.from_bytes(data[start - 4 : start], "big")


def resource_spans(data: bytes, at: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, int]]:
    """Number of each resource, and where its content begins and ends, which may be behind ``stop``."""
    stop = len(data) if stop is None else stop
    for _ in range(_MOST_RESOURCES):
        if data[at : at + 4] not in _SIGNATURES or at + 12 > stop:
            return
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        name_end = at + 7 + data[at + 6]
        size_at = name_end + (name_end - at) % 2
        size, start = int.from_bytes(data[size_at : size_at + 4], "big"), size_at + 4
        yield number, start, start + size
        at = start + size + size % 2


def image_resources(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, start and content of the resources in a block."""
    for number, start, end in resource_spans(data):
        yield number, start, data[start:end]
