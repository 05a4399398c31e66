"""ComfyUI's graphs: of what was run (`prompt`), and of what the editor shows (`workflow`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata, json_object
from sidscan.records import Marker

_PREFIXED = re.compile(r"(?:prompt|workflow): ?(?=\{)", re.IGNORECASE)
_TAGS = ("Make", "Model", "ImageDescription", "UserComment", "Software", "Artist", "Copyright")

GRAPH = MarkerKind(
    "comfyui-graph",
    "ai_generated",
    "plain",
    "ComfyUI; a graph may also only scale or cut an image",
    "PNG text `prompt` or `workflow` is a JSON graph of nodes, or EXIF `Make`, `Model`, `ImageDescription`, "
    "`UserComment` ... is one, alone or behind `prompt:` or `workflow:`",
    '{"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}',
    "seen",
)


@family(GRAPH)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The first graph: the others are the same in another form."""
    for field in metadata.get(Source.TEXT, "prompt", "workflow"):
        if _is_wrapped(field.value):
            yield GRAPH.found(field, "ComfyUI")
            return
    for field in metadata.get(Source.EXIF, *_TAGS):
        if _is_prefixed(field.value) or _is_wrapped(field.value):
            yield GRAPH.found(field, "ComfyUI")
            return


def _is_prefixed(text: str) -> bool:
    prefix = _PREFIXED.match(text)
    return prefix is not None and _is_graph(json_object(text[prefix.end() :]))


def _is_wrapped(text: str) -> bool:
    """Whether it is a graph itself, or an object with one as its prompt or workflow."""
    value = json_object(text)
    inner = (value.get("prompt"), value.get("workflow"))
    return _is_graph(value) or any(
        _is_graph(json_object(each) if isinstance(each, str) else each) for each in inner
    )


def _is_graph(graph: object) -> bool:
    """Whether it is a graph of nodes by number, or one of nodes with links."""
    if not isinstance(graph, Mapping):
        return False
    nodes = graph.get("nodes")
    if isinstance(nodes, list) and any(map(_is_node, nodes)):
        return True
    return any(
        isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), Mapping)
        for node in graph.values()
    )


def _is_node(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("type"), str) and "pos" in node and "id" in node
