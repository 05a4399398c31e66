"""Whether a Photoshop file (PSD) has the composite image that Pillow reads.

Photoshop leaves the composite white if the user turns off "Maximize compatibility", and then says so
(Adobe Photoshop File Formats Specification, image resource 1057, Version Info).
"""

from __future__ import annotations

NAME = "PSD"
_HEADER_BYTES = 26
_VERSION_INFO = 1057


def why_unreadable(data: bytes) -> str:
    """Why the image can't be scored; empty if it can."""
    version_info = _image_resource(data, _VERSION_INFO)
    if len(version_info) >= 5 and not version_info[4]:  # version: 4 bytes; hasRealMergedData: 1
        return "no composite image; save it again with Maximize compatibility on"
    bits, mode = int.from_bytes(data[22:24], "big"), int.from_bytes(data[24:26], "big")
    if bits not in (1, 8):
        return f"samples of {bits} bits; convert it to 8 bits per channel"
    return "separate channels without colours (mode Multichannel)" if mode == 7 else ""


def _image_resource(data: bytes, wanted: int) -> bytes:
    """An image resource block; empty where there is none, or where the blocks are damaged."""
    position = _HEADER_BYTES
    position += 4 + _number(data, position)  # colour mode data
    end, position = position + 4 + _number(data, position), position + 4
    while position + 12 <= min(end, len(data)) and data[position : position + 4] == b"8BIM":
        kind = _number(data, position + 4, 2)
        position += 6 + (data[position + 6] + 2) // 2 * 2  # the name, a Pascal string of even length
        length = _number(data, position)
        if kind == wanted:
            return data[position + 4 : position + 4 + length]
        position += 4 + (length + 1) // 2 * 2
    return b""


def _number(data: bytes, position: int, count: int = 4) -> int:
    return int.from_bytes(data[position : position + count], "big")
