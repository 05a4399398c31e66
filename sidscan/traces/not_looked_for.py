"""A trace that could not be looked for."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.records import Trace
from sidscan.traces import TracedImage, TraceKind, trace

NOT_LOOKED_FOR = TraceKind(
    id="not_looked_for",
    observed="one of the traces could not be looked for; the detail names it and the error",
    place="anywhere",
    who="nobody: looking failed, e.g. for want of memory or at a damaged file",
    limits="It says nothing about the image. The trace may be there or not.",
)


@trace(NOT_LOOKED_FOR)
def find(_image: TracedImage) -> Iterator[Trace]:
    """Nothing: `traces.read` notes what failed."""
    yield from ()
