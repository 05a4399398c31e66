"""What a text cites that uses a model, or this program."""

from __future__ import annotations

from collections.abc import Iterable

from sidscan._version import __version__
from sidscan.models.catalog import CATALOG
from sidscan.models.families import all_families
from sidscan.util.bibtex import Citation

SOFTWARE = Citation(  # as CITATION.cff has it
    key="sidscan",
    kind="misc",
    title="sidscan: triage of image archives for synthetic images",
    authors=("the sidscan authors",),
    year=2026,
    url="https://github.com/sidscan/sidscan",
    note=f"Version {__version__}",
)


def papers_of_model(name: str) -> tuple[Citation, ...]:
    """The papers of a model of the catalog, then those of the encoders that it reads; empty for others."""
    entry = CATALOG.get(name)
    if entry is None:
        return ()
    own = all_families()[entry.family].papers
    return _once(
        own, *(papers_of_model(encoder) for encoder in (entry.encoder, entry.second_encoder) if encoder)
    )


def papers_of_head(family: str, encoders: Iterable[str]) -> tuple[Citation, ...]:
    """The papers of a head or a localizer that somebody trained.

    Args:
        encoders: of the catalog; others have none.
    """
    families = all_families()
    return _once(families[family].papers if family in families else (), *map(papers_of_model, encoders))


def _once(*parts: tuple[Citation, ...]) -> tuple[Citation, ...]:
    return tuple(dict.fromkeys(citation for part in parts for citation in part))
