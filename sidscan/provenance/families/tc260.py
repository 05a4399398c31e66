"""Labels that Chinese law prescribes (GB 45438-2025, in force since 2025-09-01): a JSON object of TC260."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping

from sidscan.provenance import xmp
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Field, Source
from sidscan.provenance.metadata import Metadata, json_value
from sidscan.records import Marker

NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_MAKERS = ("ContentProducer", "ServiceProvider", "ProduceID", "ContentPropagator", "PropagateID")
_PLACE = (
    "a JSON object with `Label` {} and a producer or propagator, in XMP `TC260:AIGC`, in PNG text `AIGC`, or "
    'within {{"AIGC": ...}} in EXIF `UserComment` or `ImageDescription`, or in a comment'
)
LABEL = MarkerKind(
    "tc260-label",
    "ai_generated",
    "plain",
    "services in China: Doubao, Jimeng, Tencent Hunyuan, Baidu, PicWish; since 2025-09",
    _PLACE.format("1 (is generated)"),
    '{"Label": "1", "ContentProducer": "00191110102MACQD9K64010000"}',
    "seen",
)
POSSIBLE = MarkerKind(
    "tc260-possible",
    "ai_generated",
    "plain",
    "services in China that are not sure, e.g. PicWish",
    _PLACE.format("2 (may be generated)"),
    '{"Label": "2", "ContentProducer": "picwish"}',
    "seen",
)
SUSPECTED = MarkerKind(
    "tc260-suspected",
    "ai_hint",
    "weak",
    "platforms in China, of what others uploaded",
    _PLACE.format("3 (suspected)"),
    '{"Label": "3", "ContentPropagator": "00191110102MACQD9K64010000"}',
    "doc",
)
_KINDS = {"1": LABEL, "2": POSSIBLE, "3": SUSPECTED, "AIGC": LABEL}
_TEXTS = ("AIGC", "comment", "Comment", "Description", "UserComment")
_LEVELS = 3  # of a text in a text


@family(LABEL, POSSIBLE, SUSPECTED)
def find(metadata: Metadata) -> Iterator[Marker]:
    """Labels, wherever they may stand."""
    for part in (
        metadata.xmp(NAMESPACE, "AIGC"),
        metadata.get(Source.TEXT, *_TEXTS),
        metadata.get(Source.EXIF, "UserComment", "ImageDescription"),
        metadata.xmp(xmp.EXIF, "UserComment"),
    ):
        for field in part:
            label = _object(field.value)
            if field.key == "AIGC" or "AIGC" in label or "ServiceProvider" in label:
                yield from _of_label(field, _object(label.get("AIGC", label)))


def _object(value: object) -> Mapping[str, object]:
    """An object, or the text of one: escaped once more, or in single quotes, as some programs write it."""
    for _ in range(_LEVELS):
        if isinstance(value, Mapping):
            return value
        if not isinstance(value, str):
            break
        text = html.unescape(value).strip()
        if text.startswith(('{\\"', "{'")):
            text = text.replace('\\"', '"') if text.startswith("{\\") else text.replace("'", '"')
        value = json_value(text)
    return {}


def _of_label(field: Field, label: Mapping[str, object]) -> Iterator[Marker]:
    kind = _KINDS.get(str(label.get("Label")))
    makers = (value for name in _MAKERS if isinstance(value := label.get(name), str) and value)
    if kind and (maker := next(makers, "")):
        yield kind.found(field, f"producer code {maker}")
