"""Where an image was computed, which says little of what it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

_JOB = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

JOB = MarkerKind(
    "hugging-face-job",
    "ai_hint",
    "weak",
    "jobs on Hugging Face's servers",
    "PNG text `hf-job-id` is a UUID",
    "01234567-89ab-cdef-0123-456789abcdef",
    "doc",
)


@family(JOB)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The number of a job."""
    for field in metadata.get(Source.TEXT, "hf-job-id"):
        if _JOB.fullmatch(field.value.strip()):
            yield JOB.found(field, "Hugging Face")
