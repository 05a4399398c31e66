"""What the closing lines of a scan say of copies."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.cli.console import plural
from sidscan.records import EVIDENCE_WORDS, ScanResult

ABOVE = EVIDENCE_WORDS[: EVIDENCE_WORDS.index("weak")]
"""Evidence of scores at or above the threshold."""


class CopyCount:
    """Counts images of other bytes that show the same, and whether their scores agree."""

    def __init__(self) -> None:
        self._groups: dict[str, list[bool]] = {}  # which distinct images are above the threshold

    def add(self, result: ScanResult) -> None:
        """Count one result; of equal bytes, the first."""
        if result.strongest and result.copies and result.copies.same_as is None:
            above = result.strongest.evidence in ABOVE
            self._groups.setdefault(str(result.copies.group), []).append(above)

    def lines(self) -> Iterator[str]:
        """None if there are no such images."""
        groups = [above for above in self._groups.values() if len(above) > 1]
        if not groups:
            return
        count = sum(map(len, groups))
        yield f"copies: {count} files show {plural(len(groups), 'image')}, though their bytes differ"
        if split := sum(len(set(above)) > 1 for above in groups):
            yield f"  (copies of {plural(split, 'image')} lie on both sides of the threshold)"


def repeats_line(repeats: int, of_equals: str = "") -> str:
    """How many images have bytes that came before, and what follows for them."""
    return f"{plural(repeats, 'image')} {_have(repeats)} the same bytes as an earlier image{of_equals}"


def unhashed_lines(unhashed: int) -> Iterator[str]:
    """For how many images nobody knows whether others show the same."""
    images = plural(unhashed, "image")
    made = "it can't be made, or the bytes of a URL were not kept"
    yield f"{images} {_have(unhashed)} no perceptual hash: {made}"
    yield "  (only copies of them with equal bytes are found)"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
