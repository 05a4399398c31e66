"""The distributions of the perturbations, and that they equal those of the published code."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sample_images import photo

from sidscan.training.common.pixels import Pixels
from sidscan.training.evaluation import perturbations
from sidscan.training.evaluation.perturbations import PERTURBATIONS, image_rng, perturb

cv2 = pytest.importorskip("cv2")
IMAGE = np.asarray(photo(96, 64, seed=3))


class Recorder:
    """A fake cv2 that records its calls."""

    IMWRITE_JPEG_QUALITY = cv2.IMWRITE_JPEG_QUALITY
    IMREAD_COLOR = cv2.IMREAD_COLOR
    INTER_CUBIC = cv2.INTER_CUBIC

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def GaussianBlur(self, pixels: Pixels, side: tuple[int, int], sigmaX: float) -> Pixels:  # noqa: N802, N803
        self.calls.append((*side, sigmaX))
        return pixels

    def imencode(self, suffix: str, pixels: Pixels, options: list[int]) -> tuple[bool, Pixels]:
        self.calls.append((suffix, *options))
        return True, pixels

    def imdecode(self, data: Pixels, how: int) -> Pixels:
        return data

    def resize(self, pixels: Pixels, dsize: tuple[int, int], interpolation: int) -> Pixels:
        self.calls.append((pixels.shape, dsize))
        return np.zeros((dsize[1], dsize[0], 3), np.uint8)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(perturbations, "import_extra", lambda _: recorder)
    return recorder


def draws(kind: str, count: int, pixels: Pixels = IMAGE) -> None:
    for index in range(count):
        PERTURBATIONS[kind](pixels, np.random.default_rng(index))


def test_half_of_the_images_are_perturbed() -> None:
    coins = [image_rng(0, "san", f"{index}.png").random() < 0.5 for index in range(2000)]
    assert 900 < sum(coins) < 1100  # 4.5 standard deviations
    share = [perturb("noise", IMAGE, image_rng(0, "san", str(index))) is not None for index in range(100)]
    assert 30 < sum(share) < 70


def test_blur_draws_four_kernels_uniformly_with_sigma_four(recorded: Recorder) -> None:
    draws("blur", 800)
    sides = Counter(call[0] for call in recorded.calls)
    assert sorted(sides) == [3, 5, 7, 9]  # type: ignore[type-var]
    assert min(sides.values()) > 150
    assert {call[2] for call in recorded.calls} == {4.0} == {float(cv2.BORDER_DEFAULT)}


def test_crop_removes_5_to_20_percent_and_swaps_the_sides(recorded: Recorder) -> None:
    draws("crop", 300, np.zeros((1000, 2000, 3), np.uint8))
    shapes = [call[0] for call in recorded.calls]
    rows = [shape[0] for shape in shapes]  # type: ignore[index]
    assert 800 <= min(rows) < 810
    assert 940 < max(rows) <= 951  # 2 * int(1000 * 0.05 / 2) = 50, and above
    assert 868 < float(np.mean(rows)) < 882
    assert {call[1] for call in recorded.calls} == {(1000, 2000)}


def test_crop_of_an_image_too_small_to_lose_a_pixel() -> None:
    assert perturbations.crop_borders(IMAGE[:8, :8], np.random.default_rng(0)).shape == (8, 8, 3)


def test_compress_draws_the_quality_as_the_paper_says(recorded: Recorder) -> None:
    draws("compress", 2000)
    qualities = Counter(call[2] for call in recorded.calls)
    assert sorted(qualities) == list(range(10, 75))  # type: ignore[type-var]
    assert max(qualities.values()) < 65


def test_the_published_code_always_compresses_at_quality_95() -> None:
    default = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    stated = cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    for drawn in (10, 42, 74):  # src/perturbation.py: imencode(".jpg", image, [factor, 90])
        assert cv2.imencode(".jpg", IMAGE, [drawn, 90])[1].tobytes() == default == stated
    published = PERTURBATIONS["compress-published"](IMAGE, np.random.default_rng(0))
    assert np.array_equal(published, cv2.imdecode(np.frombuffer(stated, np.uint8), 1))
    strong = [PERTURBATIONS["compress"](IMAGE, np.random.default_rng(seed)) for seed in range(3)]
    error = [float(np.abs(pixels.astype(int) - IMAGE).mean()) for pixels in (published, *strong)]
    assert error[0] < min(error[1:])


def test_compression_sees_red_and_blue_swapped() -> None:
    rgb = io.BytesIO()
    Image.fromarray(IMAGE).save(rgb, "JPEG", quality=95, subsampling=2)
    straight = np.asarray(Image.open(rgb)).astype(int)
    ours = PERTURBATIONS["compress-published"](IMAGE, np.random.default_rng(0)).astype(int)
    exchanged = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(IMAGE[..., ::-1])).save(exchanged, "JPEG", quality=95, subsampling=2)
    swapped = np.asarray(Image.open(exchanged))[..., ::-1].astype(int)
    assert np.abs(ours - swapped).mean() < np.abs(ours - straight).mean() / 2


def test_noise_has_a_standard_deviation_from_5_to_20() -> None:
    grey = np.full((100, 100, 3), 128, np.uint8)
    spreads = [PERTURBATIONS["noise"](grey, np.random.default_rng(seed)).std() for seed in range(60)]
    assert 4.9 < min(spreads) < 7
    assert 18 < max(spreads) < 20.2
    assert 11 < float(np.mean(spreads)) < 14


def test_noise_is_clipped() -> None:
    white = PERTURBATIONS["noise"](np.full((50, 50, 3), 255, np.uint8), np.random.default_rng(0))
    assert white.max() == 255
    assert (white == 255).mean() > 0.4


@pytest.mark.parametrize("suffix", ["", "-published"])
def test_combined_is_all_four_in_order(recorded: Recorder, suffix: str) -> None:
    draws(f"combined{suffix}", 20)
    kinds = ["blur" if len(call) == 3 and call[2] == 4.0 else call[0] for call in recorded.calls[:3]]
    assert kinds[0] == "blur"
    assert isinstance(kinds[1], tuple)
    assert kinds[2] == ".jpg"
    qualities = {call[2] for call in recorded.calls if call[0] == ".jpg"}
    assert (qualities == {95}) is bool(suffix)


def test_a_perturbed_image_is_resized_as_torchvision_does(monkeypatch: pytest.MonkeyPatch) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    monkeypatch.setattr(perturbations, "_PROBABILITY", 1.0)
    monkeypatch.setattr(perturbations, "PERTURBATIONS", {"as it is": lambda pixels, _: pixels})
    ours = perturb("as it is", IMAGE, np.random.default_rng(0))
    theirs = np.asarray(transforms.Resize(size=(256, 256))(Image.fromarray(IMAGE)))
    assert ours is not None
    assert np.array_equal(ours, theirs)


def test_each_image_has_its_own_random_numbers() -> None:
    def first(*names: object) -> float:
        return float(image_rng(*names).random())  # type: ignore[arg-type]

    assert first(0, "san", "a.png") == first(0, "san", "a.png")
    others = [first(0, "san", "b.png"), first(0, "crn", "a.png"), first(1, "san", "a.png")]
    assert len({first(0, "san", "a.png"), *others}) == 4
