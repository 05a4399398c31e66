"""XMP (ISO 16684-1): the simple properties of a packet and the items of its arrays. DTDs are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.parsers.expat import errors

from sidscan.provenance.blocks import Block
from sidscan.provenance.fields import Field, Source

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
DCTERMS = "http://purl.org/dc/terms/"
EXIF = "http://ns.adobe.com/exif/1.0/"
IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
XMP = "http://ns.adobe.com/xap/1.0/"
_RDF, _DESCRIPTION, _RESOURCE = f"{RDF} RDF", f"{RDF} Description", f"{RDF} resource"
_VALUE = f"{RDF} value"
_ITEM, _ARRAYS = f"{RDF} li", (f"{RDF} Alt", f"{RDF} Bag", f"{RDF} Seq")
_PADDING = b" \t\r\n\x00"
_DECLARATION = re.compile(rb"<\?xpacket[^>]*\?>\s*(?=<\?xml )")  # which XML allows at the very start alone
_UTF_16 = {
    b"\xfe\xff": b"",
    b"\xff\xfe": b"",
    b"<\x00": b"\xff\xfe",
    b"\x00<": b"\xfe\xff",
}  # begin: mark to add
# Names, or parts of them, of all properties that markers look at.
_OF_INTEREST = re.compile(
    rb"DigitalSource|AISystem|AIPrompt|AIGC|provenance|UserComment|Credit", re.IGNORECASE
)
_CUT = frozenset(  # errors of a packet whose end is missing
    errors.codes[each]
    for each in (
        errors.XML_ERROR_NO_ELEMENTS,
        errors.XML_ERROR_UNCLOSED_TOKEN,
        errors.XML_ERROR_PARTIAL_CHAR,
        errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
_MOST_DEPTH, _MOST_ELEMENTS, _MOST_PROPERTIES = 64, 50_000, 4096
_LONGEST = 1 << 16  # characters of one property


class XmpError(ValueError):
    """A packet that can't be read to its end.

    Attributes:
        may_hide: whether what was not read may hold a property of interest; False if none is named there.
    """

    def __init__(self, reason: str, may_hide: bool = True) -> None:
        super().__init__(reason)
        self.may_hide = may_hide


@dataclass
class _Property:
    name: str
    parts: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)


class _Reader:
    """Collects properties while expat parses a packet."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.is_whole = False
        self._path: list[str] = []
        self._num_elements = 0
        self._property: _Property | None = None
        self._length = 0
        self.read_to = 0  # bytes whose properties are all found
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse

    def parse(self, packet: bytes) -> None:
        self._parser.Parse(packet, True)

    def _refuse(self, *_: object) -> None:
        raise XmpError("XMP has no document type")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._num_elements += 1
        if len(self._path) >= _MOST_DEPTH or self._num_elements > _MOST_ELEMENTS:
            raise XmpError("too many elements")
        self._path.append(name)
        depth = self._depth()
        if depth == 2 and name == _DESCRIPTION:
            for key, value in attributes.items():
                self._add(key, value)
            self.read_to = self._parser.CurrentByteIndex
        elif depth == 3 and self._path[-2] == _DESCRIPTION:
            self._property, self._length = _Property(name), 0
            if _RESOURCE in attributes:
                self._property.parts.append(attributes[_RESOURCE])
        elif depth == 5 and name == _ITEM and self._property and self._path[-2] in _ARRAYS:
            self._property.items.append("")

    def _end(self, name: str) -> None:
        if self._depth() == 3 and self._property:
            items = [item.strip() for item in self._property.items]
            self._add(name, "; ".join(filter(None, items)) or "".join(self._property.parts).strip())
            self._property = None
            self.read_to = self._parser.CurrentByteIndex
        self._path.pop()
        self.is_whole |= name == _RDF

    def _text(self, text: str) -> None:
        if self._property is None or self._length > _LONGEST:
            return
        self._length += len(text)
        depth = self._depth()
        if depth == 3 or (depth == 4 and self._path[-1] == _VALUE):
            self._property.parts.append(text)
        elif depth == 5 and self._property.items:
            self._property.items[-1] += text

    def _depth(self) -> int:
        """How deep the element lies, counted from rdf:RDF, which is 1; 0 outside of it."""
        for level in (0, 1):
            if len(self._path) > level and self._path[level] == _RDF:
                return len(self._path) - level
        return 0

    def _add(self, name: str, value: str) -> None:
        if len(self.found) >= _MOST_PROPERTIES:
            raise XmpError("too many properties")
        if value:
            self.found.append((name, value[:_LONGEST]))


def _packet(data: bytes) -> bytes:
    """A packet without padding, and without what can't begin a document: some writers lose a byte there."""
    if mark := _UTF_16.get(data[:2]):  # its characters hold NUL
        return mark + data
    packet = data[max(data.find(b"<"), 0) :].rstrip(_PADDING)
    wrapper = _DECLARATION.match(packet)
    return packet[wrapper.end() :] if wrapper else packet


def read_xmp_fields(block: Block) -> Iterator[Field]:
    """The properties of a packet at its top level, arrays joined by ``; ``.

    Raises:
        XmpError: it can't be read to its end; what was read before has been yielded.
    """
    packet, reader, error, is_cut = _packet(block.data), _Reader(), "", True
    try:
        reader.parse(packet)
    except expat.ExpatError as raised:
        error, is_cut = str(raised), raised.code in _CUT
    except ValueError as raised:  # XmpError, too
        error = str(raised) or type(raised).__name__
    for name, value in reader.found:
        namespace, _, key = name.rpartition(" ")
        yield Field(Source.XMP, f"XMP in {block.container}", key, value, block.offset, namespace)
    if error and not reader.is_whole:
        unread = packet[reader.read_to :].replace(b"\x00", b"")
        raise XmpError(error, is_cut or _OF_INTEREST.search(unread) is not None)
