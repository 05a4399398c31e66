"""Midjourney's description: the prompt, its parameters, and the number of the job."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

_JOB = re.compile(r" --[a-z]+\b.* Job ID: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.DOTALL)

JOB = MarkerKind(
    "midjourney-job",
    "ai_generated",
    "plain",
    "Midjourney, in whole downloads; its XMP is `iptc-generated`",
    "PNG text `Description` ends with parameters and `Job ID:` and a UUID",
    "Job ID: 6c9132c2-9cac-40f2-9472-efa91704ef0f",
    "seen",
)


@family(JOB)
def find(metadata: Metadata) -> Iterator[Marker]:
    """Descriptions that end with a job."""
    for field in metadata.get(Source.TEXT, "Description"):
        if _JOB.search(field.value.strip()[-4000:]):
            yield JOB.found(field, "Midjourney")
