"""Generators that people run themselves, each by the shape of what it writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sidscan.provenance import xmp
from sidscan.provenance.families import MarkerKind, family
from sidscan.provenance.fields import Source
from sidscan.provenance.metadata import Metadata, json_object
from sidscan.records import Marker

_DREAM = (re.compile(r" -s ?\d+(?= |\Z)"), re.compile(r" -S ?\d+(?= |\Z)"))  # steps and seed
_FOOOCUS = re.compile(r"Fooocus v?\d[\w.+-]{0,40}")
_SCHEMES = ("fooocus", "a1111")
_INVOKEAI_KEYS = ("invokeai_metadata", "invokeai_graph", "invokeai_workflow", "sd-metadata", "Dream")

_INVOKEAI_FIELDS = {
    *("app_version", "generation_mode", "positive_prompt", "negative_prompt", "model", "seed", "steps"),
    *("scheduler", "cfg_scale", "width", "height"),
}

INVOKEAI = MarkerKind(
    "invokeai",
    "ai_generated",
    "plain",
    "InvokeAI",
    "PNG text `invokeai_metadata`, `invokeai_graph`, `invokeai_workflow`, `sd-metadata` or `Dream` with the "
    "value that InvokeAI gives it",
    '{"generation_mode": "txt2img", "positive_prompt": "a harbour", "seed": 1}',
    "seen",
)
NOVELAI = MarkerKind(
    "novelai",
    "ai_generated",
    "plain",
    "NovelAI",
    "PNG text or EXIF `Software` is exactly `NovelAI`, or is so in a JSON object in EXIF `UserComment` or "
    "`ImageDescription`",
    "NovelAI",
    "seen",
)
FOOOCUS = MarkerKind(
    "fooocus",
    "ai_generated",
    "plain",
    "Fooocus",
    "PNG text `fooocus_scheme` is `fooocus` or `a1111` and there are `parameters`; or EXIF `Software` is "
    "`Fooocus` and a version",
    "Fooocus v2.5.5",
    "seen",
)
SWARMUI = MarkerKind(
    "swarmui",
    "ai_generated",
    "plain",
    "SwarmUI",
    "PNG text `parameters`, or EXIF `UserComment` or `Model`, is JSON with an object `sui_image_params`",
    '{"sui_image_params": {"prompt": "a harbour", "model": "flux1-dev"}}',
    "code",
)
EASY_DIFFUSION = MarkerKind(
    "easy-diffusion",
    "ai_generated",
    "plain",
    "Easy Diffusion",
    "PNG texts, or EXIF `UserComment` as JSON, name a prompt and a `Stable Diffusion model` "
    "(`use_stable_diffusion_model`)",
    '{"prompt": "a harbour", "use_stable_diffusion_model": "sd-v1-5"}',
    "code",
)
DRAW_THINGS = MarkerKind(
    "draw-things",
    "ai_generated",
    "plain",
    "Draw Things",
    "XMP `exif:UserComment`, or EXIF's, is JSON with texts `c`, `model` and `sampler`",
    '{"c": "a harbour", "uc": "", "model": "sd_v1.5_f16.ckpt", "sampler": "Euler A"}',
    "code",
)


@family(INVOKEAI)
def find_invokeai(metadata: Metadata) -> Iterator[Marker]:
    """The first of InvokeAI's texts."""
    for field in metadata.get(Source.TEXT, *_INVOKEAI_KEYS):
        if _is_invokeai(field.key, field.value):
            yield INVOKEAI.found(field, "InvokeAI")
            return


def _is_invokeai(key: str, text: str) -> bool:
    if key == "Dream":  # the prompt in quotes, then options
        prompt, quote, options = text.rpartition('"')
        return bool(quote) and prompt.startswith('"') and all(each.search(options) for each in _DREAM)
    value = json_object(text)
    if key == "invokeai_metadata":
        return len(_INVOKEAI_FIELDS & value.keys()) >= 2
    if key in ("invokeai_graph", "invokeai_workflow"):
        return "nodes" in value and "edges" in value
    return str(value.get("app_id")).startswith("invoke-ai/") or (
        value.get("model") == "stable diffusion" and isinstance(value.get("image"), Mapping)
    )


@family(NOVELAI)
def find_novelai(metadata: Metadata) -> Iterator[Marker]:
    """Files that name NovelAI as their software."""
    for part in (metadata.get(Source.TEXT, "Software"), metadata.get(Source.EXIF, "Software")):
        for field in part:
            if field.value == "NovelAI":
                yield NOVELAI.found(field, "NovelAI")
    for field in metadata.get(Source.EXIF, "UserComment", "ImageDescription"):
        if json_object(field.value).get("Software") == "NovelAI":
            yield NOVELAI.found(field, "NovelAI")


@family(FOOOCUS)
def find_fooocus(metadata: Metadata) -> Iterator[Marker]:
    """Fooocus's texts and its name."""
    for field in metadata.get(Source.TEXT, "fooocus_scheme"):
        if field.value in _SCHEMES and any(metadata.get(Source.TEXT, "parameters")):
            yield FOOOCUS.found(field, "Fooocus")
    for field in metadata.get(Source.EXIF, "Software"):
        if _FOOOCUS.fullmatch(field.value):
            yield FOOOCUS.found(field, field.value)


@family(SWARMUI)
def find_swarmui(metadata: Metadata) -> Iterator[Marker]:
    """SwarmUI's parameters."""
    for part in (metadata.get(Source.TEXT, "parameters"), metadata.get(Source.EXIF, "UserComment", "Model")):
        for field in part:
            if isinstance(json_object(field.value).get("sui_image_params"), Mapping):
                yield SWARMUI.found(field, "SwarmUI")


@family(EASY_DIFFUSION)
def find_easy_diffusion(metadata: Metadata) -> Iterator[Marker]:
    """Easy Diffusion's settings, as one object or as one text each."""
    for field in metadata.get(Source.EXIF, "UserComment"):
        value = json_object(field.value)
        if _names(value, "prompt", "Prompt") and _names(
            value, "use_stable_diffusion_model", "Stable Diffusion model"
        ):
            yield EASY_DIFFUSION.found(field, "Easy Diffusion")
    for field in metadata.get(Source.TEXT, "use_stable_diffusion_model", "Stable Diffusion model"):
        if any(metadata.get(Source.TEXT, "prompt", "Prompt")):
            yield EASY_DIFFUSION.found(field, "Easy Diffusion")


@family(DRAW_THINGS)
def find_draw_things(metadata: Metadata) -> Iterator[Marker]:
    """Draw Things' settings."""
    for part in (metadata.xmp(xmp.EXIF, "UserComment"), metadata.get(Source.EXIF, "UserComment")):
        for field in part:
            value = json_object(field.value)
            if all(isinstance(value.get(name), str) for name in ("c", "model", "sampler")):
                yield DRAW_THINGS.found(field, "Draw Things")


def _names(value: Mapping[str, object], *keys: str) -> bool:
    return any(isinstance(value.get(key), str) for key in keys)
