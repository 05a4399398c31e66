"""What can be observed of how a file was saved and handled: one module per trace, found when the folder is.

Traces are observations, not inferences. None of them says that AI was used, and none changes a score or its
evidence. Each kind states what it does not mean, and is shown with that.

A module registers a function that looks at one decoded image, together with a description of each kind of
trace that it finds (`trace`). What is not there is never a trace: missing EXIF is the rule on the web.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from sidscan.config import ReadLimits
from sidscan.images.items import OpenedImage
from sidscan.provenance.families import cut
from sidscan.provenance.metadata import Metadata
from sidscan.records import ImageInfo, Trace

_LONGEST, _LONGEST_NAME = 500, 200  # characters


@dataclass(frozen=True)
class TraceKind:
    """A trace that can be observed.

    Attributes:
        id: stays as it is: reports hold it.
        observed: what sidscan sees, in a sentence.
        place: where it looks.
        who: what leaves such a trace.
        limits: what it does not mean, in a sentence or two that are shown with it.
    """

    id: str
    observed: str
    place: str
    who: str
    limits: str

    def found(self, detail: str, container: str, offset: int, value: str = "") -> Trace:
        """The trace, with long texts cut.

        Args:
            detail: a short plain sentence with the numbers observed. It stays in private reports, so it holds
                nothing that stands in the file or its name.
            container: where it stands, e.g. ``behind JPEG EOI``.
            offset: bytes from the start of the file.
            value: what stands there, as stated; private reports leave it out.
        """
        return Trace(
            self.id, cut(detail, _LONGEST), cut(container, _LONGEST_NAME), offset, cut(value, _LONGEST)
        )


@dataclass(frozen=True)
class TracedImage:
    """What a trace may look at.

    Attributes:
        data: the original bytes.
        name: of the input: a path or a URL.
        image: the decoded image; ``image.small`` is a small one, turned as it is shown, made once for all.
        facts: what is known of it, EXIF included.
        metadata: all that the file states, parsed once for its provenance and its traces.
    """

    data: bytes
    name: str
    image: OpenedImage
    facts: ImageInfo
    metadata: Metadata
    limits: ReadLimits


Finder = Callable[[TracedImage], Iterator[Trace]]
_FINDERS: list[tuple[Finder, tuple[TraceKind, ...]]] = []


def trace(*kinds: TraceKind) -> Callable[[Finder], Finder]:
    """Register a function that yields traces of these kinds."""

    def register(finder: Finder) -> Finder:
        _FINDERS.append((finder, kinds))
        return finder

    return register


def trace_kinds() -> tuple[TraceKind, ...]:
    """Every kind of trace that is known, by module."""
    return tuple(kind for _, kinds in finders() for kind in kinds)


@cache
def finders() -> list[tuple[Finder, tuple[TraceKind, ...]]]:
    """All functions that look for traces, in the order of their modules' names."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_FINDERS, key=lambda entry: entry[0].__module__)
