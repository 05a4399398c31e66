"""Composites: what their masks say is what was done to the pixels; folds never mix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2")

from sidscan.errors import UsageError
from sidscan.training.localizer_b16.composites import KINDS, measured_composite, random_composite
from sidscan.training.localizer_b16.material import Material, materials, whole_images_of, window_colours
from sidscan.training.windows.corpus import FOLDS, Window, fold_of_repo

SIDE = 224
GREEN, RED = (20, 160, 40), (180, 30, 30)  # of real windows, of synthetic ones


def make_windows(folder: Path, repositories: int = 10, side: int = 280) -> list[Window]:
    """Real windows are green and synthetic ones red, so that every pixel shows its label."""
    rng = np.random.default_rng(1)
    windows = []
    for number in range(repositories):
        for synthetic, colour in ((False, GREEN), (True, RED)):
            pixels = np.clip(rng.normal(colour, 4, (side, side, 3)), 0, 255).astype(np.uint8)
            name = f"{number}-{synthetic}.png"
            Image.fromarray(pixels).save(folder / name)
            repo = f"owner/{'made' if synthetic else 'seen'}{number}"
            windows.append(Window(name, synthetic, "what", repo, "MIT", folder, name))
    return windows


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> list[Material]:
    windows = make_windows(tmp_path_factory.mktemp("windows"))
    return materials(windows, window_colours(windows, 1), fold_of_repo(windows), FOLDS)


@pytest.mark.parametrize("kind", ["inserted", "pasted back", "spliced", "two generators"])
def test_the_mask_says_where_synthetic_pixels_are(
    material: list[Material], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidscan.training.localizer_b16.blending.MATCHED", 0.0)
    monkeypatch.setattr("sidscan.training.localizer_b16.blending.POISSON", 0.0)
    made = measured_composite(material[0], ("test", 3), SIDE, kind, 0.2)
    red = made.pixels[:, :, 0].astype(int) > made.pixels[:, :, 1]
    expected = made.synthetic > 0.5
    assert (red == expected).mean() > 0.98
    assert 0.05 < made.edited.mean() < 0.5
    assert len(made.repos) == 2
    assert made.repos[0] != made.repos[1]


@pytest.mark.parametrize(("kind", "synthetic"), [("real", 0.0), ("synthetic", 1.0)])
def test_whole_images_are_one_thing(material: list[Material], kind: str, synthetic: float) -> None:
    made = measured_composite(material[1], ("test", 1), SIDE, kind)
    assert (made.synthetic == synthetic).all()
    assert not made.edited.any()


@pytest.mark.parametrize("kind", ["copy-move", "classical inpainting", "retouched", "spliced"])
def test_edits_without_a_generator_are_not_synthetic(material: list[Material], kind: str) -> None:
    made = measured_composite(material[0], ("test", 2), SIDE, kind, 0.05)
    assert not made.synthetic.any()
    assert made.edited.max() > 0.4


def test_composites_to_fit_on_are_tiles_of_every_kind(material: list[Material]) -> None:
    made = [random_composite(material[number % FOLDS], ("fit", number), SIDE) for number in range(150)]
    assert {each.kind for each in made} == set(KINDS)
    assert {each.pixels.shape for each in made} == {(SIDE, SIDE, 3)}
    for each in made:
        assert each.pixels.dtype == np.uint8
        assert each.synthetic.shape == each.edited.shape == (SIDE, SIDE)
        assert -1e-4 <= each.synthetic.min() <= each.synthetic.max() <= 1 + 1e-4
        if each.kind == "inserted":
            assert np.allclose(each.synthetic, each.edited, atol=1e-5)


def test_the_same_seed_gives_the_same_composite(material: list[Material]) -> None:
    first, again, other = (random_composite(material[0], ("fit", number), SIDE) for number in (7, 7, 8))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_composite_stays_in_its_fold(material: list[Material]) -> None:
    members = [
        {window.repo for pool in (each.real, each.synthetic) for window in pool.windows} for each in material
    ]
    assert not any(members[a] & members[b] for a in range(FOLDS) for b in range(a))
    for number in range(40):
        fold = number % FOLDS
        assert set(random_composite(material[fold], ("fit", number), SIDE).repos) <= members[fold]


def test_a_fold_without_large_images_is_refused(material: list[Material]) -> None:
    with pytest.raises(UsageError, match="no whole image of a label with at least 896 px a side"):
        whole_images_of(material[0], 896, synthetic=SIDE)
