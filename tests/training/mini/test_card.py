"""Figures of the bundled detector's card that need more than one metric."""

from __future__ import annotations

import numpy as np
import pytest

from sidscan.training.mini.card_metrics import MIN_OF_ONE_SIZE, generator_family, metrics_by_size
from sidscan.training.mini.train import LOGIT, SMALLER_SIDE, WindowScore
from sidscan.training.windows.corpus import Window


def test_size_alone_does_not_discriminate_among_equal_sizes() -> None:
    """Synthetic windows are mostly smaller, and the logit is the size, so it is useless within one size."""
    count = MIN_OF_ONE_SIZE
    sides = [160] * (3 * count) + [128] * (3 * count) + [100] * count
    labels = [False] * 2 * count + [True] * count + [False] * count + [True] * 2 * count + [True] * count
    windows = [Window("a.png", label, "kind", "o/a", "MIT") for label in labels]
    measured = np.zeros((len(windows), len(WindowScore._fields)))
    measured[:, SMALLER_SIDE] = sides
    measured[:, LOGIT] = -measured[:, SMALLER_SIDE]
    metrics = metrics_by_size(windows, measured)
    assert list(metrics) == ["160", "128"]  # no photograph has 100 px
    assert metrics["160"] == {"real": 2 * count, "synthetic": count, "auroc": pytest.approx(0.5)}


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
