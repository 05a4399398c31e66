"""Families of generators."""

from __future__ import annotations

import pytest

from sidscan.training.windows.corpus import Window
from sidscan.training.windows.generators import generator_family


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("dall-e 3", "DALL-E 3"),
        ("dalle2", "DALL-E 2"),
        ("stable_diffusion_1x", "Stable Diffusion 1 and 2"),
        ("sd-1-lora", "Stable Diffusion 1 and 2"),
        ("stable-diffusion-2", "Stable Diffusion 1 and 2"),
        ("sdxl_finetune", "Stable Diffusion XL"),
        ("sd3.5", "Stable Diffusion 3"),
        ("stable diffusion", "Stable Diffusion, version not stated"),
        ("stylegan2-ada (anime)", "StyleGAN, 1 to 3"),
        ("cyclegan", "other GANs"),
        ("vqgan-clip", "CLIP-guided, VQGAN, DALL-E's early kin"),
        ("flux1-dev", "Flux"),
        ("sdxl-turbo/sd", "several, or not stated"),
        ("gemini_nano_banana", "Gemini image models (Nano Banana)"),
        ("gpt4o_image", "GPT image models"),
        ("z_image", "other diffusion models"),
    ],
)
def test_one_family_for_every_spelling(stated: str, expected: str) -> None:
    assert generator_family(Window("a.png", True, stated, "o/a", "MIT")) == expected
