"""Samsung's trailer behind the end of an image of any format: fields, a directory of them, and its length.

The directory is ``SEFH``, a version, the number of fields, and of each field its type, how far before the
directory it begins, and its length; then the directory's length and ``SEFT``. A field is its type, the length
of its name, its name and its value. Seen in files of 2026 and in ExifTool's source (Samsung.pm).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sidscan.provenance.blocks import Block, BlockKind, Budget
from sidscan.provenance.places import place

_MOST_FIELDS = 256


@place(rb"")
def read_trailer(data: bytes, budget: Budget) -> Iterator[Block]:
    """The fields of the trailer, if the file ends with one."""
    if not data.endswith(b"SEFT") or len(data) < 20:
        return
    directory = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    if directory < 0 or data[directory : directory + 4] != b"SEFH":
        return
    count = min(int.from_bytes(data[directory + 8 : directory + 12], "little"), _MOST_FIELDS)
    for at in range(directory + 12, min(directory + 12 + 12 * count, len(data) - 19), 12):
        _, _, back, size = struct.unpack_from("<HHII", data, at)
        start = directory - back
        if start >= 0 and 8 <= size <= back:
            name_end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")
            if name_end <= start + size:
                name = data[start + 8 : name_end].decode("latin-1")
                value = budget.cut(data, name_end, start + size)
                yield Block(BlockKind.SAMSUNG, "Samsung trailer", name_end, value, name)
