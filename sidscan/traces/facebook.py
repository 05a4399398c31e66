"""What Facebook and Instagram write into the JPEGs that they serve."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.provenance.fields import Source
from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace

FACEBOOK_HANDLING = TraceKind(
    id="facebook_handling",
    observed="IPTC's special instructions hold `FBMD` and hexadecimal digits",
    place="IPTC-IIM 2:40 SpecialInstructions",
    who="Facebook and Instagram, in the JPEGs that they serve",
    limits=(
        "It says that this file, or one that it was made from, passed through Facebook or Instagram: "
        "not who took, made or posted it."
    ),
)
_FBMD = re.compile(r"FBMD[0-9a-fA-F]{8,}")
_DATASET = "2:40 SpecialInstructions"


@trace(FACEBOOK_HANDLING)
def find(image: TracedImage) -> Iterator[Trace]:
    """The first such field."""
    for field in image.metadata.get(Source.IPTC, _DATASET):
        if _FBMD.fullmatch(field.value):
            detail = f"special instructions begin with FBMD, {len(field.value):,} characters"
            yield FACEBOOK_HANDLING.found(detail, field.container, field.offset, field.value)
            return
