"""The many names of generators, grouped into families."""

from __future__ import annotations

import re

from .corpus import Window

GENERATOR_FAMILIES = {  # the first pattern that matches
    "StyleGAN, 1 to 3": r"^stylegan",
    "CLIP-guided, VQGAN, DALL-E's early kin": r"clip|vqgan|disco|glid|sleep|daze|mindalle|dalle-m|karlo",
    "other GANs": r"gan|pix2pix",
    "several, or not stated": r"/|various|unknown|unstated|mixed|misc|stated-ai|viral|^ai|^other|^comfyui",
    "DALL-E 2": r"dall-?e-?2",
    "DALL-E 3": r"dall-?e-?3",
    "GPT image models": r"gpt",
    "Gemini image models (Nano Banana)": r"gemini|banana",
    "Midjourney": r"midjourney",
    "Flux": r"flux",
    "Stable Diffusion XL": r"sdxl",
    "Stable Diffusion 3": r"^sd-?3",
    "Stable Diffusion 1 and 2": r"(^sd|stable-diffusion)-?[12]|dreamlike",
    "Stable Diffusion, version not stated": r"^sd|stable-diffusion",
    "autoregressive and masked": r"janus|llamagen|infinity|muse",
}
OTHER_GENERATORS = "other diffusion models"


def generator_family(window: Window) -> str:
    """The kind of generator of a synthetic window; repositories spell one in many ways."""
    name = re.sub(r"[_ ]+", "-", window.category.lower())
    matches = (family for family, pattern in GENERATOR_FAMILIES.items() if re.search(pattern, name))
    return next(matches, OTHER_GENERATORS)
