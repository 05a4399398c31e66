"""Generators that name themselves in EXIF, each by an exact value in an exact tag."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata
from sidscan.records import Marker

_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_FLUX = re.compile(r"AI generated(;[\w.+-]+)+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SIGNATURE = re.compile(r"Signature: [A-Za-z0-9+/]{64,}={0,2}")

FLUX = MarkerKind(
    "flux-code",
    "ai_generated",
    "plain",
    "the published code of FLUX (Black Forest Labs)",
    "EXIF `Software` is `AI generated` and a task and a model, joined by `;`",
    "AI generated;txt2img;flux",
    "code",
)
FLUX_MAKE = MarkerKind(
    "flux-make",
    "ai_generated",
    "plain",
    "the published code of FLUX (Black Forest Labs)",
    "EXIF `Make` is exactly `Black Forest Labs`",
    "Black Forest Labs",
    "code",
)
IDEOGRAM = MarkerKind(
    "ideogram-make",
    "ai_generated",
    "plain",
    "Ideogram, since 2026",
    "EXIF `Make` is exactly `Ideogram AI`",
    "Ideogram AI",
    "seen",
)
STABILITY = MarkerKind(
    "stability-software",
    "ai_generated",
    "plain",
    "Stability AI's SDK, 2022 and 2023",
    "EXIF `Software` is exactly `stability.ai`",
    "stability.ai",
    "seen",
)
XAI = MarkerKind(
    "xai-signature",
    "ai_generated",
    "plain",
    "xAI's Grok; nobody else can check the signature",
    "EXIF `Artist` is a UUID, and `ImageDescription` or `UserComment` is `Signature: ` and Base64",
    "Signature: " + "QUJD" * 16,
    "seen",
)
SEEDREAM = MarkerKind(
    "artist-hash",
    "ai_hint",
    "weak",
    "ByteDance's Seedream, 2025",
    "EXIF `Artist` is 64 hexadecimal digits",
    "0123456789abcdef" * 4,
    "seen",
)
_EXACT = (
    ("Make", "Black Forest Labs", FLUX_MAKE, "Black Forest Labs"),
    ("Make", "Ideogram AI", IDEOGRAM, "Ideogram AI"),
    ("Software", "stability.ai", STABILITY, "stability.ai"),
)


@family(FLUX, FLUX_MAKE, IDEOGRAM, STABILITY, XAI, SEEDREAM)
def find(metadata: Metadata) -> Iterator[Marker]:
    """Names of generators, and signs that one of them leaves."""
    for tag, value, kind, says in _EXACT:
        for field in metadata.get(Source.EXIF, tag):
            if field.value == value:
                yield kind.found(field, says)
    for field in metadata.get(Source.EXIF, "Software"):
        if _FLUX.fullmatch(field.value):
            yield FLUX.found(field, field.value)
    for field in metadata.get(Source.EXIF, "Artist"):
        if _HEX64.fullmatch(field.value):
            yield SEEDREAM.found(field)
        elif _UUID.fullmatch(field.value):
            signatures = metadata.get(Source.EXIF, "ImageDescription", "UserComment")
            signed = next((each for each in signatures if _SIGNATURE.fullmatch(each.value)), None)
            if signed:
                yield XAI.found(signed, "xAI")
