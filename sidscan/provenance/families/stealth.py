"""What generators hide in the lowest bits of pixels ("stealth pnginfo"), where editing metadata leaves it."""

from __future__ import annotations

from collections.abc import Iterator

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.families.stable_diffusion_webui import parameters_line
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata, json_object
from sidscan.provenance.pixel_bits import SIGNATURES
from sidscan.records import Marker

_KEYS = frozenset(("Comment", "parameters", "prompt", "workflow", "sui_image_params"))
_SCHEME = "the lowest bits of a PNG's or WebP's transparency or colours begin with `stealth_pnginfo`, "
_OTHERS = "`stealth_pngcomp`, `stealth_rgbinfo` or `stealth_rgbcomp`"

HIDDEN = MarkerKind(
    "stealth-text",
    "ai_generated",
    "plain",
    "NovelAI; AUTOMATIC1111's web UI, Forge and ComfyUI with an extension",
    f"{_SCHEME}{_OTHERS}, and then hold parameters, or JSON with a prompt or a comment",
    '{"Software": "NovelAI", "Comment": "{\\"steps\\": 28}"}',
    "seen",
)
SIGNED = MarkerKind(
    "stealth-signature",
    "ai_hint",
    "weak",
    "the same programs, if the image was cut since; or others that use their scheme",
    f"{_SCHEME}{_OTHERS}, and what follows is another text, or none",
    "stealth_pngcomp",
    "code",
)


@family(HIDDEN, SIGNED)
def find(metadata: Metadata) -> Iterator[Marker]:
    """The hidden text, or the signature alone."""
    for field in metadata.get(Source.PIXELS, *(name for names in SIGNATURES.values() for name in names)):
        value = json_object(field.value)
        if parameters_line(field.value) or value.keys() & _KEYS:
            yield HIDDEN.found(field, str(value.get("Software") or ""))
        else:
            yield SIGNED.found(field)
