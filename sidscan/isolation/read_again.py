"""Read an image of a run once more, with all its pixels."""

from __future__ import annotations

from pathlib import Path

from sidscan.errors import ImageError
from sidscan.records import DecodedImage, Failure, Item, ItemReader, Kind, ScanResult


def read_again(result: ScanResult, read: ItemReader) -> DecodedImage:
    """The image of a result, by the bytes that have the score.

    Args:
        read: gives all pixels.

    Raises:
        ImageError: it can't be read, or has other bytes now.
    """
    saved = result.facts.response.saved_as if result.facts.response else None
    is_saved = saved is not None and Path(saved).is_file()
    item = Item(str(saved)) if is_saved else Item(result.name, result.kind)
    answer = read(item)
    if answer.facts.sha256 not in (None, result.facts.sha256):
        of_file = "it has other bytes than the scan scored"
        of_url = "its server sends other bytes than the scan scored"
        raise ImageError(of_url if item.kind is Kind.URL else of_file, "Changed", "failed")
    if isinstance(answer, Failure):
        raise ImageError(answer.message, answer.error, answer.status.value)
    return answer
