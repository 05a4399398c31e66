"""DeCLIP's augmentations: seeded, in the published ranges, and no pixel moves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image

from sidscan.training.common.pixels import Pixels, recoded
from sidscan.training.localization import augmentation
from sidscan.training.localization.augmentation import AUGMENTATIONS
from sidscan.training.localization.recipe import LocalizerRecipe

RECIPE = LocalizerRecipe()
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
STEP = np.zeros((32, 32, 3), np.uint8)
STEP[:, 16:] = 200


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_the_same_seed_gives_the_same_pixels(name: str) -> None:
    first, again, other = (
        AUGMENTATIONS[name](PIXELS, np.random.default_rng(seed), RECIPE) for seed in (1, 1, 2)
    )
    assert first.shape == PIXELS.shape
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_an_edge_stays_where_it_is(name: str) -> None:
    for seed in range(5):
        made = AUGMENTATIONS[name](STEP, np.random.default_rng(seed), RECIPE)
        grey = made.astype(float).sum(axis=2).mean(axis=0)
        assert np.abs(np.diff(grey)).argmax() == 15


def test_blur_equals_torchvisions() -> None:
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms.functional")
    recipe = LocalizerRecipe(augment="blur", blur_kernel=3, blur_sigma_range=(1.3, 1.3))
    ours = augmentation.blur(PIXELS, np.random.default_rng(0), recipe)
    theirs = transforms.gaussian_blur(torch.from_numpy(PIXELS).permute(2, 0, 1), [3, 3], [1.3, 1.3])
    assert np.abs(ours.astype(int) - theirs.permute(1, 2, 0).numpy().astype(int)).max() <= 1  # rounding


def test_hue_shift_equals_torchvisions() -> None:
    transforms = pytest.importorskip("torchvision.transforms.functional")
    image = Image.fromarray(PIXELS)
    for shift in (-0.3, -0.1, 0.0, 0.2, 0.3):
        ours = augmentation._with_hue_shifted(image, shift)
        theirs = transforms.adjust_hue(image, shift)
        difference = np.asarray(ours).astype(int) - np.asarray(theirs).astype(int)
        assert np.abs(difference).max() <= 8  # one step of 8-bit hue


def test_all_of_them_come_in_the_published_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """DeCLIP's data/datasets.py: colour jitter, JPEG, blur; each reads what the one before it made."""
    order: list[str] = []
    for number, name in enumerate(("blur", "color_jitter", "jpeg"), start=1):

        def traced(
            pixels: Pixels, _: Generator, __: LocalizerRecipe, name: str = name, added: int = number
        ) -> Pixels:
            order.append(f"{name} of {pixels.sum()}")
            return np.asarray(pixels + np.uint8(added))

        monkeypatch.setattr(augmentation, name, traced)
    made = AUGMENTATIONS["all"](np.zeros((1, 1, 1), np.uint8), np.random.default_rng(0), RECIPE)
    assert order == ["color_jitter of 0", "jpeg of 2", "blur of 5"]
    assert made.sum() == 6


def test_jpeg_draws_qualities_from_30_to_100() -> None:
    qualities = range(30, 101)
    known = {recoded(PIXELS, quality=quality).tobytes() for quality in qualities}
    drawn = {augmentation.jpeg(PIXELS, np.random.default_rng(seed), RECIPE).tobytes() for seed in range(40)}
    assert drawn <= known
    assert len(drawn) > 20
