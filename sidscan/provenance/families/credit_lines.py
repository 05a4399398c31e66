"""Credit lines that only generators and generative editors write, in XMP and in IPTC-IIM."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance import xmp
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

_PLACE = "XMP `photoshop:Credit` or IPTC-IIM 2:110 is exactly `{}`"


def _kind(marker: str, verdict: str, who: str, credit: str, source: str) -> MarkerKind:
    return MarkerKind(marker, verdict, "plain", who, _PLACE.format(credit), credit, source)


_KINDS = {
    kind.example: (kind, says)
    for kind, says in (
        (
            _kind(
                "google-made",
                "ai_generated",
                "Google's generators, since 2025",
                "Made with Google AI",
                "seen",
            ),
            "Google AI",
        ),
        (
            _kind(
                "google-edited", "ai_edited", "Google's editors, since 2025", "Edited with Google AI", "seen"
            ),
            "Google AI",
        ),
        (
            _kind(
                "credit-ai-generated", "ai_generated", "one of Google's generators", "AI Generated", "seen"
            ),
            "",
        ),
        (
            _kind("apple-clean-up", "ai_edited", "Apple Photos", "Apple Photos Clean Up", "code"),
            "Apple Photos Clean Up",
        ),
    )
}


@family(*(kind for kind, _ in _KINDS.values()))
def find(metadata: Metadata) -> Iterator[Marker]:
    """Credits of exactly these words."""
    for part in (metadata.xmp(xmp.PHOTOSHOP, "Credit"), metadata.get(Source.IPTC, "2:110 Credit")):
        for field in part:
            if known := _KINDS.get(field.value.strip()):
                kind, says = known
                yield kind.found(field, says)
