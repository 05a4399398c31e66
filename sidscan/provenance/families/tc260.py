"""Labels that Chinese law prescribes (GB 45438-2025, in force since 2025-09-01): a JSON object of TC260."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Field, Source
from sidscan.provenance.metadata import Metadata, json_object
from sidscan.records import Marker

NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_MAKERS = ("ContentProducer", "ServiceProvider", "ProduceID", "ContentPropagator", "PropagateID")
_PLACE = (
    "a JSON object with `Label` {} and a producer or propagator, in XMP `TC260:AIGC`, in PNG text `AIGC`, or "
    'within {{"AIGC": ...}} in EXIF `UserComment` or `ImageDescription`'
)
LABEL = MarkerKind(
    "tc260-label",
    "ai_generated",
    "plain",
    "services in China: Doubao, Jimeng, Tencent Hunyuan, Baidu, PicWish; since 2025-09",
    _PLACE.format("1 (is) or 2 (may be generated)"),
    '{"Label": "1", "ContentProducer": "00191110102MACQD9K64010000"}',
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
_KINDS = {"1": LABEL, "2": LABEL, "3": SUSPECTED}


@family(LABEL, SUSPECTED)
def find(metadata: Metadata) -> Iterator[Marker]:
    """Labels, wherever they may stand."""
    for part in (metadata.xmp(NAMESPACE, "AIGC"), metadata.get(Source.TEXT, "AIGC")):
        for field in part:
            label = json_object(field.value)
            yield from _of_label(field, label.get("AIGC", label))
    for field in metadata.get(Source.EXIF, "UserComment", "ImageDescription"):
        label = json_object(field.value)
        if "AIGC" in label or "ServiceProvider" in label:
            yield from _of_label(field, label.get("AIGC", label))


def _of_label(field: Field, label: object) -> Iterator[Marker]:
    if not isinstance(label, Mapping):
        return
    kind = _KINDS.get(str(label.get("Label")))
    makers = (value for name in _MAKERS if isinstance(value := label.get(name), str) and value)
    if kind and (maker := next(makers, "")):
        yield kind.found(field, f"producer code {maker}")
