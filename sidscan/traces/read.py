"""A decoded image gets what its file says of its origin, and its traces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from sidscan.config import ReadLimits
from sidscan.images.items import OpenedImage
from sidscan.provenance.metadata import Metadata
from sidscan.provenance.read import with_provenance
from sidscan.records import DecodedImage, Failure, Trace
from sidscan.traces import TracedImage, finders
from sidscan.traces.not_looked_for import NOT_LOOKED_FOR
from sidscan.traces.second_image import SECOND_IMAGE, stored_image

_MOST_TRACES = 20  # of one kind of finder


def with_provenance_and_traces(
    read: DecodedImage | Failure, image: OpenedImage | None, data: bytes, limits: ReadLimits
) -> DecodedImage | Failure:
    """An image with its provenance and traces; a failure with its provenance, if its format is known.

    Nothing in a file makes this fail: no image loses its score by its metadata.
    """
    try:
        metadata = Metadata.of_file(data, limits.max_metadata)
    except Exception:  # memory is short, or a reader has an error, which provenance states
        return with_provenance(read, data, limits)
    described = with_provenance(read, data, limits, metadata)
    if image is None or isinstance(described, Failure):
        return described
    traced = TracedImage(data, described.item.name, image, described.facts, metadata, limits)
    traces = tuple(find_traces(traced))
    second = _second_image(traces, traced) if limits.thumbnails else b""
    return replace(described, facts=replace(described.facts, traces=traces), second_image=second)


def _second_image(traces: tuple[Trace, ...], image: TracedImage) -> bytes:
    """The first preview that shows another image, in small; empty where there is none, or memory is short."""
    found = next((trace for trace in traces if trace.id == SECOND_IMAGE.id), None)
    try:
        return stored_image(found, image.data, image.metadata) if found else b""
    except Exception:
        return b""


def find_traces(image: TracedImage) -> Iterator[Trace]:
    """All traces of an image, by module."""
    for finder, kinds in finders():
        try:
            yield from tuple(islice(finder(image), _MOST_TRACES))
        except Exception as error:  # memory is short, or a finder has an error
            names = ", ".join(kind.id for kind in kinds)
            yield NOT_LOOKED_FOR.found(f"{names}: {type(error).__name__}", "", 0)
