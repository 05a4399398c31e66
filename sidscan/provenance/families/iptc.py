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
    "`AISystemVersionUsed`, `AIPromptInformation` or `AIPromptWriterName`, and no source type says that "
    "AI made parts",
    "Example Diffusion",
    "doc",
)


@family(GENERATED_TYPE, PARTLY_TYPE, SYSTEM)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The source types that name a model, and the system that was used."""
    is_part = False
    for field in metadata.xmp(xmp.IPTC_EXT, "DigitalSourceType", "DigitalSourceFileType"):
        terms = {term(each) for each in field.value.split(";")}
        if terms & GENERATED:
            yield GENERATED_TYPE.found(field)
        elif terms & PARTLY:
            is_part = True
            yield PARTLY_TYPE.found(field)
    for field in islice(() if is_part else metadata.xmp(xmp.IPTC_EXT, *_AI_PROPERTIES), 1):
        yield SYSTEM.found(field, field.value if field.key == "AISystemUsed" else "")
