"""Whether a JPEG that ends properly seems to lack a part of its data."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

# Pixels whose coefficients are all zero (libjpeg, jdhuff.c: "uniform gray").
_UNCODED = {"L": (128,), "RGB": (128, 128, 128), "CMYK": (127, 127, 127, 127)}
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # except padding, restarts and escaped bytes of scans
_SOF2, _EOI, _SOS = 0xC2, 0xD9, 0xDA


def is_grey(block: Image.Image) -> bool:
    """Whether a block is as libjpeg leaves it without data."""
    return block.mode in _UNCODED and bool((np.asarray(block) == _UNCODED[block.mode]).all())


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG ends before all coefficients of all components were sent in full.

    ITU-T T.81, G.1.1: scans state the first and last coefficient (Ss, Se) and the lowest bit (Al) they send.
    """
    offset, components, missing = 2, 0, set[tuple[int, int]]()
    while marker := _MARKER.search(data, offset):
        offset = marker.end()
        kind, length = data[offset - 1], int.from_bytes(data[offset : offset + 2], "big")
        body = data[offset + 2 : offset + length]
        if kind == _SOF2 and not components and len(body) > 5:
            components = body[5]
            missing = {(body[i], part) for i in range(6, len(body), 3) for part in (0, 1)}
        elif kind == _SOS and not components:
            return False  # not progressive: there is one scan of all components, or one for each
        elif kind == _SOS and body and len(body) == 4 + 2 * body[0]:
            first, last, low = body[-3], body[-2], body[-1] & 15
            if low == 0:
                sent = {0} if first == 0 else {1} if last == 63 else set()
                missing -= {(body[i], part) for i in range(1, 1 + 2 * body[0], 2) for part in sent}
        elif kind == _EOI:
            break
        offset += length
    return bool(missing)
