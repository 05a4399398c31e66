"""Abstention: when a rule makes the evidence inconclusive, its reasons, and that the score stays."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sidscan.images.crops import crop
from sidscan.images.decode import SourceImage
from sidscan.models.abstention import EVERY_IMAGE, Abstention, detail
from sidscan.models.detector_info import DetectorInfo
from sidscan.records import INCONCLUSIVE, CropSet, DecodedImage, ImageInfo, Item, Score
from sidscan.runtimes import RuntimeInfo
from sidscan.scoring.scorer import score

RULE = Abstention(side=64, detail=0.1, quality=30, spread=2.0)
GOOD = ImageInfo(width=640, height=480, jpeg_quality=90)
LOGITS = np.array([1.0, 1.5])


def noise(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("facts", "crops", "logits", "reasons"),
    [
        (GOOD, noise(), LOGITS, ()),
        (replace(GOOD, jpeg_quality=None), noise(), LOGITS, ()),
        (replace(GOOD, height=63), noise(), LOGITS, ("small",)),
        (replace(GOOD, width=64), noise(), LOGITS, ()),
        (GOOD, np.full_like(noise(), 7), LOGITS, ("flat",)),
        (replace(GOOD, jpeg_quality=29), noise(), LOGITS, ("compressed",)),
        (GOOD, noise(), np.array([-2.1, 2.1]), ("views_disagree",)),
        (replace(GOOD, width=1, jpeg_quality=1), noise() * 0, np.array([-9.0, 9.0]), None),
    ],
)
def test_reasons_for_abstaining(
    facts: ImageInfo, crops: NDArray[np.uint8], logits: NDArray[np.float64], reasons: tuple[str, ...] | None
) -> None:
    everything = ("small", "flat", "compressed", "views_disagree")
    assert RULE.reasons(facts, crops, logits) == (everything if reasons is None else reasons)


def test_without_a_rule_only_images_without_any_detail_are_inconclusive() -> None:
    tiny = ImageInfo(width=8, height=8, jpeg_quality=1)
    wild = np.array([-50.0, 50.0])
    assert EVERY_IMAGE.reasons(tiny, noise(), wild) == ()
    assert EVERY_IMAGE.reasons(tiny, np.zeros_like(noise()), wild) == ("flat",)


def test_detail_is_the_share_of_pixels_that_differ_from_a_neighbour() -> None:
    crops = np.zeros((1, 224, 224, 3), dtype=np.uint8)
    assert detail(crops, 300, 300) == 0
    crops[0, :, 112:, 1] = np.arange(112) % 2  # stripes of one pixel in the right half
    assert detail(crops, 300, 300) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("axis", [1, 2])
def test_lines_either_way_in_any_channel_are_detail(axis: int, channel: int) -> None:
    crops = np.full((1, 224, 224, 3), 100, dtype=np.uint8)
    np.moveaxis(crops, axis, 1)[:, ::2, :, channel] = 101
    assert detail(crops, 300, 300) == 1
    assert EVERY_IMAGE.reasons(ImageInfo(width=300, height=300), crops, LOGITS) == ()


@pytest.mark.parametrize(("width", "height"), [(100, 100), (101, 57), (300, 99), (2, 2), (1, 300)])
def test_padding_does_not_count_as_image(width: int, height: int) -> None:
    def ten_crops(image: Image.Image) -> CropSet:
        return crop(SourceImage(image, "PNG", ()), "ten")

    white = ten_crops(Image.new("RGB", (width, height), "white"))
    assert detail(white.crops, width, height) == 0
    assert EVERY_IMAGE.reasons(ImageInfo(width=width, height=height), white.crops, LOGITS) == ("flat",)
    if min(width, height) > 50:
        noisy = ten_crops(Image.fromarray(np.resize(noise(), (height, width, 3))))
        assert detail(noisy.crops, width, height) > 0.99


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"side": 1, "detail": 0.1, "quality": 3},
        {"side": 1, "detail": 0.1, "quality": 3, "spread": 1.0, "mood": 2},
        {"side": 1.5, "detail": 0.1, "quality": 3, "spread": 1.0},
        {"side": True, "detail": 0.1, "quality": 3, "spread": 1.0},
        {"side": 1, "detail": "0.1", "quality": 3, "spread": 1.0},
    ],
)
def test_an_incomplete_rule_is_refused(tree: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="abstention"):
        Abstention.from_dict(tree)


def test_a_rule_survives_json() -> None:
    assert Abstention.from_dict(asdict(RULE)) == RULE


class Constant:
    """A runtime whose detectors give every crop the logit 3; the first detector has a rule."""

    info = RuntimeInfo("test", "cpu", "fp32")
    batch, at_once, devices = 40, 1, 1
    detectors: tuple[DetectorInfo, ...] = (
        DetectorInfo("careful", "d", 0.5, {"careful": "d"}, {}, RULE),
        DetectorInfo("bold", "d", 0.5, {"bold": "d"}, {}),
    )

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        return np.full((len(crops.order), 2), 3.0, np.float32)

    def abandon(self) -> None:
        pass


def test_the_score_stays_and_every_detector_has_its_own_rule() -> None:
    facts = replace(GOOD, width=40)
    (result,) = score([DecodedImage(Item("a"), facts, CropSet.plain(noise()))], Constant(), "now")
    careful, bold = result.scores
    assert (careful.evidence, careful.inconclusive) == (INCONCLUSIVE, ("small",))
    assert (bold.evidence, bold.inconclusive) == ("very strong", ())
    assert careful.score == bold.score > 0.9
    assert Score.from_dict(asdict(careful)) == careful
