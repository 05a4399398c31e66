"""Croissant 1.0, the metadata of data sets that mlcommons.org/croissant specifies, as JSON-LD."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sidscan.util.bibtex import Citation

from .inventory import COLUMNS, UNREAD, Totals
from .statements import Statements

_INTEGERS = ("bytes", "width", "height")
_ABOUT = {
    "path": "The image, relative to this file's folder; ARCHIVE!/MEMBER is a member of an archive.",
    "label": "real or synthetic.",
    "split": "train, valid, test, or empty.",
    "set": "What figures are computed for; a real image may name several, separated by semicolons.",
    "generator": "What made the image, as far as the data set says it.",
    "class": "A group of images within a set.",
    "bytes": "Size of the file.",
    "sha256": "SHA-256 of the file, hex.",
    "format": f"Pillow's name of the format; '{UNREAD}' where the header can't be read.",
    "width": "Pixels.",
    "height": "Pixels.",
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}  # of the specification, version 1.0


@dataclass(frozen=True, slots=True)
class ImageTable:
    """The file that lists the images.

    Attributes:
        name: relative to the metadata.
        size: in bytes.
    """

    name: str
    size: int
    sha256: str


def croissant(stated: Statements, totals: Totals, table: ImageTable, papers: Sequence[Citation]) -> str:
    """Croissant 1.0 (mlcommons.org/croissant) as JSON-LD; what nobody stated is left out, never invented."""
    said = {
        "description": stated.description,
        "license": stated.licence,
        "creator": {"@type": "Organization", "name": stated.creator} if stated.creator else "",
        "url": stated.url,
        "datePublished": stated.published,
        "citeAs": "\n\n".join(paper.bibtex() for paper in papers),
    }
    metadata = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": stated.name,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **{name: value for name, value in said.items() if value},
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": table.name,
                "name": table.name,
                "description": f"One row for each of the {totals.images:,} images, with its SHA-256.",
                "contentUrl": table.name,
                "contentSize": f"{table.size} B",
                "encodingFormat": "text/csv",
                "sha256": table.sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "key": {"@id": "images/path"},
                "field": [_field(name, table.name) for name in COLUMNS],
            }
        ],
    }
    return json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"


def _field(name: str, table: str) -> dict[str, object]:
    return {
        "@type": "cr:Field",
        "@id": f"images/{name}",
        "name": name,
        "description": _ABOUT[name],
        "dataType": "sc:Integer" if name in _INTEGERS else "sc:Text",
        "source": {"fileObject": {"@id": table}, "extract": {"column": name}},
    }
