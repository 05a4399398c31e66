"""Where formats of files keep metadata: one module per format, registered by the file's first bytes.

A reader yields blocks in the order of the file. It follows the file's own lengths and never searches for
bytes that look like metadata: compressed pixels hold any bytes by chance.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import cache

from sidscan.provenance.blocks import Block, Budget

PlaceReader = Callable[[bytes, Budget], Iterator[Block]]
_READERS: list[tuple[re.Pattern[bytes], PlaceReader]] = []


def place(signature: bytes) -> Callable[[PlaceReader], PlaceReader]:
    """Register a reader of the files whose first bytes match a pattern; ``rb""`` matches all files."""

    def register(reader: PlaceReader) -> PlaceReader:
        _READERS.append((re.compile(signature, re.DOTALL), reader))
        return reader

    return register


def read_blocks(data: bytes, budget: Budget) -> Iterator[Block]:
    """The blocks of metadata in a file, whatever its format; none in a format without a reader.

    Raises:
        MetadataLimit: it has more than the budget allows.
    """
    _load()
    for signature, reader in _READERS:
        if signature.match(data):
            yield from reader(data, budget)


def has_reader(data: bytes) -> bool:
    """Whether files of this format have places for metadata that are known here."""
    _load()
    return any(signature.pattern and signature.match(data) for signature, _ in _READERS)


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
