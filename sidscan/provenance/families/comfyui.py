"""ComfyUI's graphs: of what was run (`prompt`), and of what the editor shows (`workflow`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Field, Source
from sidscan.provenance.metadata import Metadata, json_object
from sidscan.records import Marker

_PREFIXED = re.compile(r"(?:prompt|workflow): ?(?=\{)", re.IGNORECASE)

GRAPH = MarkerKind(
    "comfyui-graph",
    "ai_generated",
    "plain",
    "ComfyUI; a graph may also only scale or cut an image",
    "PNG text `prompt` or `workflow`, or EXIF `Make`, `Model` or `ImageDescription` behind `prompt:` or "
    "`workflow:`, is a JSON graph of nodes",
    '{"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}',
    "seen",
)


@family(GRAPH)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The first graph: the others are the same in another form."""
    for field in metadata.get(Source.TEXT, "prompt", "workflow"):
        if _is_graph(field.value):
            yield GRAPH.found(field, "ComfyUI")
            return
    for field in metadata.get(Source.EXIF, "Make", "Model", "ImageDescription"):
        if _is_prefixed(field):
            yield GRAPH.found(field, "ComfyUI")
            return


def _is_prefixed(field: Field) -> bool:
    prefix = _PREFIXED.match(field.value)
    return prefix is not None and _is_graph(field.value[prefix.end() :])


def _is_graph(text: str) -> bool:
    """Whether it is a graph of nodes by number, or one of nodes with links."""
    graph = json_object(text)
    if isinstance(graph.get("nodes"), list) and "last_node_id" in graph:
        return True
    return any(
        isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), Mapping)
        for node in graph.values()
    )
