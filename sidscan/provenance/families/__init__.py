"""Which statements mean what: one module per family of markers, found when the folder is.

A module registers a function that looks for its markers in the fields of a file, together with a description
of each. Rules match an exact field and the shape of its value: never a name anywhere in a text, since people,
places and prints are called Gemini, Leonardo and Midjourney.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from sidscan.provenance.fields import Field
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

_LONGEST_VALUE, _LONGEST_NAME = 2000, 200  # characters
_CUT = " ..."


@dataclass(frozen=True)
class MarkerKind:
    """A statement that a family knows.

    Attributes:
        id: stays as it is: reports hold it.
        verdict: one of `records.PROVENANCE_WORDS`.
        strength: one of `records.PROVENANCE_STRENGTHS`, at most; empty where nothing is claimed.
        who: who writes it, and since when.
        place: which field, and what its value must look like.
        example: a value.
        source: how the rule is known: ``seen`` in published files, ``code`` of the writer, ``doc`` of others.
    """

    id: str
    verdict: str
    strength: str
    who: str
    place: str
    example: str
    source: str

    def found(self, field: Field, says: str = "") -> Marker:
        """The marker that a field is."""
        return self.marker(field.container, field.key, field.value, field.offset, says)

    def marker(
        self, container: str, key: str, value: str, offset: int, says: str = "", signer: str = ""
    ) -> Marker:
        """The marker, with long texts cut."""
        return Marker(
            id=self.id,
            verdict=self.verdict,
            strength=self.strength,
            container=cut(container, _LONGEST_NAME),
            key=cut(key, _LONGEST_NAME),
            value=cut(value),
            offset=offset,
            says=cut(says, _LONGEST_NAME),
            signer=cut(signer, _LONGEST_NAME),
        )


def cut(text: str, longest: int = _LONGEST_VALUE) -> str:
    """A text of bounded length, without surrogates, which no report can hold."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= longest else text[:longest] + _CUT


Finder = Callable[[Metadata], Iterator[Marker]]
_FAMILIES: list[tuple[Finder, tuple[MarkerKind, ...]]] = []


def family(*kinds: MarkerKind) -> Callable[[Finder], Finder]:
    """Register a function that yields markers of these kinds."""

    def register(finder: Finder) -> Finder:
        _FAMILIES.append((finder, kinds))
        return finder

    return register


def marker_kinds() -> tuple[MarkerKind, ...]:
    """Every marker that is known, by family."""
    return tuple(kind for _, kinds in _families() for kind in kinds)


def find_markers(metadata: Metadata) -> Iterator[Marker]:
    """The markers in what a file states."""
    for finder, _ in _families():
        yield from finder(metadata)


@cache
def _families() -> list[tuple[Finder, tuple[MarkerKind, ...]]]:
    """All families, in the order of their modules' names, whichever was imported first."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_FAMILIES, key=lambda family: family[0].__module__)
