"""All that the metadata of a file state, ready for markers to look at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sidscan.provenance.blocks import CUT, ENDS_EARLY, NOT_FOLLOWED, Block, BlockKind, Budget, MetadataLimit
from sidscan.provenance.exif import read_exif_fields
from sidscan.provenance.fields import Field, Source, decode_text
from sidscan.provenance.iptc import read_iptc_fields
from sidscan.provenance.manifests import ManifestError, ManifestStore, read_store
from sidscan.provenance.places import has_reader, read_blocks
from sidscan.provenance.xmp import XmpError, read_xmp_fields
from sidscan.util.magic import SIGNATURE_BYTES, TAIL_BYTES, identify

_MOST_FIELDS = 10_000
_SOURCES = {
    BlockKind.TEXT: Source.TEXT,
    BlockKind.SAMSUNG: Source.SAMSUNG,
    BlockKind.PIXELS: Source.PIXELS,
}


@dataclass(frozen=True, slots=True)
class Unread:
    """A block that can't be read.

    Attributes:
        kind: None for all that lies beyond the limit.
        may_hide: whether it may say something of origin.
        is_packed: whether its bytes can't even be had.
        is_cut: whether the file ends within it, or before it.
    """

    kind: BlockKind | None
    container: str
    offset: int
    reason: str
    may_hide: bool = True
    is_packed: bool = False
    is_cut: bool = False


class Metadata:
    """Fields by source and key, manifest stores, and what can't be read.

    Attributes:
        stores: C2PA manifest stores, mostly one or none.
        with_images: blocks of EXIF and Photoshop, which may hold small images.
        failed: class of the error that ended reading; empty if it ended well.
        format_not_read: what the file is, e.g. ``BMP files``, if nothing here reads its metadata; else empty.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.stores: list[ManifestStore] = []
        self.with_images: list[Block] = []
        self.unread: list[Unread] = []
        self.failed = ""
        self.format_not_read = ""
        self._fields: dict[tuple[Source, str], list[Field]] = {}
        self._num_fields = 0

    @classmethod
    def of_file(cls, data: bytes, most_bytes: int) -> Metadata:
        """Read what a file states, within a limit of bytes of metadata. Nothing in a file makes this fail."""
        budget = Budget(most_bytes)
        metadata = cls(budget)
        if not has_reader(data):
            known = identify(data[:SIGNATURE_BYTES], data[-TAIL_BYTES:])
            metadata.format_not_read = f"{known.name} files" if known else "files of this format"
        try:
            for block in read_blocks(data, budget):
                metadata.add(block)
        except MetadataLimit:
            metadata.unread.append(Unread(None, "", 0, "more metadata than --max-metadata allows"))
        except Exception as error:  # memory is short, or a reader has an error
            metadata.failed = type(error).__name__
        return metadata

    def add(self, block: Block) -> None:
        """Read a block, unless it is empty; what can't be read is noted."""
        if block.problem:
            self.unread.append(_of_problem(block))
        if block.kind is not BlockKind.PIXELS and not block.data.strip(b" \t\r\n\x00"):
            return
        if block.kind in (BlockKind.EXIF, BlockKind.PHOTOSHOP):
            self.with_images.append(block)
        try:
            if block.kind is BlockKind.C2PA:
                self._add_store(block)
            else:
                for field in _fields(block):
                    self.add_field(field)
        except (ManifestError, XmpError) as error:
            if block.problem:
                return  # which says why
            may_hide = not isinstance(error, XmpError) or error.may_hide
            self.unread.append(Unread(block.kind, block.container, block.offset, str(error), may_hide))

    def _add_store(self, block: Block) -> None:
        store = read_store(block, self._budget)
        if store is None:
            return
        self.stores.append(store)
        if store.problems:
            reason = f"parts of it can't be read: {'; '.join(dict.fromkeys(store.problems))}"
            self.unread.append(Unread(block.kind, block.container, block.offset, reason))

    def add_field(self, field: Field) -> None:
        """Note a field.

        Raises:
            MetadataLimit: there are too many.
        """
        self._num_fields += 1
        if self._num_fields > _MOST_FIELDS:
            raise MetadataLimit
        key = field.key.casefold() if field.source is Source.XMP else field.key
        self._fields.setdefault((field.source, key), []).append(field)

    def get(self, source: Source, *keys: str) -> Iterator[Field]:
        """The fields with one of these keys."""
        for key in keys:
            yield from self._fields.get((source, key), ())

    def xmp(self, namespace: str, *names: str) -> Iterator[Field]:
        """The XMP properties of a namespace with one of these names, in any case: writers err there."""
        for field in self.get(Source.XMP, *(name.casefold() for name in names)):
            if field.namespace == namespace:
                yield field


def _of_problem(block: Block) -> Unread:
    is_cut = block.problem == CUT or block.kind is BlockKind.END
    may_hide = block.problem not in (ENDS_EARLY, NOT_FOLLOWED)
    return Unread(
        block.kind,
        block.container,
        block.offset,
        block.problem,
        may_hide,
        is_packed=not is_cut,
        is_cut=is_cut,
    )


def json_object(text: str) -> dict[str, object]:
    """The object that a text is as JSON; empty if it is something else."""
    value = json_value(text)
    return value if isinstance(value, dict) else {}


def json_value(text: str) -> object:
    """The object, or the text, that a text is as JSON; None if it is something else."""
    if text.lstrip()[:1] not in ("{", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fields(block: Block) -> Iterator[Field]:
    if block.kind is BlockKind.XMP:
        yield from read_xmp_fields(block)
    elif block.kind is BlockKind.EXIF:
        yield from read_exif_fields(block)
    elif block.kind in (BlockKind.IPTC, BlockKind.PHOTOSHOP):
        yield from read_iptc_fields(block)
    else:
        source = _SOURCES[block.kind]
        text = decode_text(block.data).strip("\x00")
        yield Field(source, block.container, block.key, text, block.offset)
