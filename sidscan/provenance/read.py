"""The bytes of a file become what it says of its own origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from sidscan.config import ReadLimits
from sidscan.provenance import xmp
from sidscan.provenance.families import cut, find_markers
from sidscan.provenance.families.unread import unread_file
from sidscan.provenance.fields import Field, Source
from sidscan.provenance.metadata import Metadata
from sidscan.provenance.places import has_reader
from sidscan.provenance.signatures import check_signature, verifier_words
from sidscan.records import PROVENANCE_STRENGTHS, PROVENANCE_WORDS, DecodedImage, Failure, Marker, Provenance

DEFAULT_LIMITS = ReadLimits()
_MOST_READ, _MOST_KEPT = 100_000, 100  # markers
# IPTC Core in XMP, else IIM (IPTC Photo Metadata Standard 2024.1)
_CREDITS = {
    "byline": (xmp.DC, "creator", "2:80 By-line"),
    "credit": (xmp.PHOTOSHOP, "Credit", "2:110 Credit"),
    "source": (xmp.PHOTOSHOP, "Source", "2:115 Source"),
    "caption": (xmp.DC, "description", "2:120 Caption-Abstract"),
    "copyright": (xmp.DC, "rights", "2:116 CopyrightNotice"),
}


def read_provenance(
    data: bytes, limits: ReadLimits = DEFAULT_LIMITS, metadata: Metadata | None = None
) -> Provenance:
    """What a file says of its own origin. Nothing in a file makes this fail.

    Args:
        metadata: of the file, if they were read already.
    """
    metadata = metadata or Metadata.of_file(data, limits.max_metadata)
    markers = tuple(islice(find_markers(metadata), _MOST_READ))
    checked, signature = verifier_words(limits.trust) if metadata.stores else "", None
    if checked:
        signature = check_signature(data, limits.trust)
        markers = tuple(_with_strength(marker, signature.strength) for marker in markers)
    found = {marker.verdict for marker in markers}
    verdict = next(word for word in PROVENANCE_WORDS if word in found or word == "none")
    strength = _strength(markers, verdict)
    return Provenance(verdict, strength, checked, _kept(markers), **_credits(metadata), signature=signature)


def _kept(markers: tuple[Marker, ...]) -> tuple[Marker, ...]:
    """As many as a report shows, those of the strongest word first to stay, in the order of the file."""
    if len(markers) <= _MOST_KEPT:
        return markers
    by_word = sorted(range(len(markers)), key=lambda index: PROVENANCE_WORDS.index(markers[index].verdict))
    return tuple(markers[index] for index in sorted(by_word[:_MOST_KEPT]))


def _with_strength(marker: Marker, strength: str) -> Marker:
    """A marker of a manifest with what its signature is worth."""
    return replace(marker, strength=strength) if marker.strength == "not_checked" else marker


def with_provenance(
    read: DecodedImage | Failure, data: bytes, limits: ReadLimits, metadata: Metadata | None = None
) -> DecodedImage | Failure:
    """An image with what its file says of its origin; a failure, too, if its format is known here."""
    if isinstance(read, Failure) and not has_reader(data):
        return read
    try:
        provenance = read_provenance(data, limits, metadata)
    except Exception as error:  # memory is short, or a reader has an error; no image loses its score by that
        provenance = unread_file(type(error).__name__)
    return replace(read, facts=replace(read.facts, provenance=provenance))


def _strength(markers: tuple[Marker, ...], verdict: str) -> str | None:
    stated = [marker.strength for marker in markers if marker.verdict == verdict and marker.strength]
    return min(stated, key=PROVENANCE_STRENGTHS.index, default=None)


def _credits(metadata: Metadata) -> dict[str, str]:
    found = {}
    for name, (namespace, key, record) in _CREDITS.items():
        fields: Iterator[Field] = (
            field
            for part in (metadata.xmp(namespace, key), metadata.get(Source.IPTC, record))
            for field in part
            if field.value
        )
        if field := next(fields, None):
            found[name] = cut(field.value)
    return found
