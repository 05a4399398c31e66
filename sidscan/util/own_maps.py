"""How the files of maps are named, and what they say of themselves, so that no scan takes them for images."""

from __future__ import annotations

SUFFIXES = (".map.png", ".mask.png", ".overlay.png")
"""What follows the sha256 of the image's bytes."""
SOFTWARE = "sidscan"
"""The text ``Software`` of a PNG that sidscan draws."""
_ENDS = ("map.png", "mask.png", "overlay.png")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = b"tEXtSoftware\0" + SOFTWARE.encode()


def is_map_name(name: str) -> bool:
    """Whether a file or member may be a map by its name: a scan opens no more files than that to find out."""
    return name.lower().endswith(_ENDS)


def states_sidscan(head: bytes) -> bool:
    """Whether a PNG says, before its pixels, that sidscan drew it; who changes a file can have it say so.

    Args:
        head: first bytes of the file, some hundred.
    """
    return head.startswith(_SIGNATURE) and _TEXT in head.partition(b"IDAT")[0]
