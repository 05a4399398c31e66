"""IPTC's properties about how an image came about (Photo Metadata Standard 2025.1), in XMP."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sidscan.provenance import xmp
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.metadata import Metadata
from sidscan.provenance.source_types import GENERATED, PARTLY, term
from sidscan.records import Marker

_AI_PROPERTIES = ("AISystemUsed", "AISystemVersionUsed", "AIPromptInformation", "AIPromptWriterName")

_NOTHING = ("", "-", "n/a", "na", "no", "none", "null")  # what people write into a field that must be filled

GENERATED_TYPE = MarkerKind(
    "iptc-generated",
    "ai_generated",
    "plain",
    "Google, Meta AI, Midjourney, and whoever follows IPTC",
    "XMP `Iptc4xmpExt:DigitalSourceType` (or `DigitalSourceFileType`, which Google writes) is "
    "`trainedAlgorithmicMedia`, as a URI or bare, in any case",
    "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "seen",
)
PARTLY_TYPE = MarkerKind(
    "iptc-part",
    "ai_edited",
    "plain",
    "Google, Apple Photos, and whoever follows IPTC",
    "the same properties are `compositeWithTrainedAlgorithmicMedia` or `compositeSynthetic`",
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
    "seen",
)
SYSTEM = MarkerKind(
    "iptc-ai-system",
    "ai_generated",
    "plain",
    "whoever follows IPTC 2025.1",
    "XMP `Iptc4xmpExt:AISystemUsed`, by definition the system that generated the image, or without it "
    "`AISystemVersionUsed`, `AIPromptInformation` or `AIPromptWriterName`, and no source type is stated",
    "Example Diffusion",
    "doc",
)
SYSTEM_BESIDE = MarkerKind(
    "iptc-ai-system-beside",
    "ai_hint",
    "weak",
    "editors that name what they used, e.g. to remove noise",
    "the same properties, beside a source type that names no model, e.g. `digitalCapture`",
    "Example Denoise",
    "doc",
)


@family(GENERATED_TYPE, PARTLY_TYPE, SYSTEM, SYSTEM_BESIDE)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The source types that name a model, and the system that was used."""
    stated = set[str]()
    for field in metadata.xmp(xmp.IPTC_EXT, "DigitalSourceType", "DigitalSourceFileType"):
        terms = {term(each) for each in field.value.split(";")} - {""}
        stated |= terms
        if terms & GENERATED:
            yield GENERATED_TYPE.found(field)
        elif terms & PARTLY:
            yield PARTLY_TYPE.found(field)
    if stated & PARTLY:  # they say with what
        return
    kind = SYSTEM if stated <= GENERATED else SYSTEM_BESIDE
    properties = metadata.xmp(xmp.IPTC_EXT, *_AI_PROPERTIES)
    for field in islice((each for each in properties if each.value.casefold().strip() not in _NOTHING), 1):
        yield kind.found(field, field.value if field.key == "AISystemUsed" else "")
