"""What Samsung's phones write behind an image that Galaxy AI changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata, json_object
from sidscan.records import Marker

_ABOVE_0 = re.compile("[1-9][0-9]{0,8}")

GALAXY_AI = MarkerKind(
    "samsung-ai",
    "ai_edited",
    "plain",
    "Samsung's Photo assist (Galaxy AI), 2026",
    "field `PEg_Info` of Samsung's trailer is JSON with a number `genAIType` above 0",
    '{"genImageVersion": "v1", "connectorType": "srvg", "genAIType": 8}',
    "seen",
)


@family(GALAXY_AI)
def find(metadata: Metadata) -> Iterator[Marker]:
    """Trailers that state a kind of generation."""
    for field in metadata.get(Source.SAMSUNG, "PEg_Info"):
        kind = json_object(field.value).get("genAIType")
        if _ABOVE_0.fullmatch(str(kind)):
            yield GALAXY_AI.found(field, "Samsung Galaxy AI")
