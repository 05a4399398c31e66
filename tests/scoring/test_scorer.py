"""Logits of crops become one score per image and model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sidscan.models.detector_info import DetectorInfo
from sidscan.records import CropSet, DecodedImage, Failure, ImageInfo, Item, Stage, Status
from sidscan.runtimes import RuntimeInfo
from sidscan.scoring.evidence import evidence, sigmoid
from sidscan.scoring.scorer import Scorer, score


class Brightness:
    """A runtime with predictable logits: the red of a crop's first pixel, and its negative."""

    info = RuntimeInfo("test", "cpu", "fp32")
    batch, at_once, devices = 40, 2, 1
    detectors = tuple(DetectorInfo(name, "d", 0.5, {name: "d"}, {}) for name in ("red", "minus-red"))

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        red = crops.pixels()[:, 0, 0, 0].astype(np.float32)
        red[red == 255] = np.nan
        return np.stack([red, -red], axis=1)

    def abandon(self) -> None:
        pass


def decoded_image(name: str, *reds: int, order: tuple[int, ...]) -> DecodedImage:
    crops = np.zeros((len(reds), 224, 224, 3), dtype=np.uint8)
    crops[:, 0, 0, 0] = reds
    return DecodedImage(
        Item(name), ImageInfo(bytes=1), CropSet(crops, tuple((index, False) for index in order))
    )


def test_equal_crops_have_a_spread_of_exactly_zero() -> None:
    images = [decoded_image(str(red), red, order=(0,) * 10) for red in range(8)]
    spreads = {
        model_score.crop_std for result in score(images, Brightness(), "now") for model_score in result.scores
    }
    assert spreads == {0.0}


def test_logits_are_averaged_before_the_sigmoid_and_weighted_by_occurrence() -> None:
    (result,) = score([decoded_image("a", 0, 4, order=(0, 0, 0, 1))], Brightness(), "now")
    red, minus_red = result.scores
    assert red.logit == 1.0
    assert red.score == sigmoid(1.0) != pytest.approx((3 * sigmoid(0) + sigmoid(4)) / 4)
    assert (red.crop_min, red.crop_max) == (0.5, sigmoid(4.0))
    assert red.crop_std == pytest.approx(np.std([0.5, 0.5, 0.5, sigmoid(4.0)]))
    assert (minus_red.model, minus_red.logit) == ("minus-red", -1.0)
    assert result.views == 4


@pytest.mark.parametrize(
    ("reds", "expected"),
    [
        pytest.param((1, 2, 9, 4, 5, 6, 7, 8, 3, 0), "bottom left", id="a corner"),
        pytest.param((1, 2, 3, 4, 5, 9, 7, 8, 3, 0), "top right, mirrored", id="a mirror image"),
        pytest.param((9, 2, 3, 4, 9, 6, 7, 8, 3, 9), "centre", id="of equals, the centre"),
        pytest.param((1, 9, 3, 4, 5, 9, 7, 8, 3, 0), "top right", id="of equals, the first"),
        pytest.param((1, 2, 9, 4, 5), "bottom left", id="of five"),
        pytest.param((3,), "centre", id="of one"),
    ],
)
def test_a_row_says_which_crop_scored_highest(reds: tuple[int, ...], expected: str) -> None:
    image = decoded_image("a", *reds, order=tuple(range(len(reds))))
    image = replace(image, facts=replace(image.facts, width=448, height=448))
    (result,) = score([image], Brightness(), "now")
    assert result.scores[0].highest_crop == expected
    assert result.share_scored == (0.25 if len(reds) == 1 else 1.0)
    assert result.scores[0].percentile is None, "no card says it"


def test_a_batch_keeps_its_order_and_its_failures() -> None:
    failure = Failure(Item("b"), Stage.DECODE, "OSError", "truncated")
    batch: list[DecodedImage | Failure] = [
        decoded_image("a", 1, order=(0,)),
        failure,
        decoded_image("c", 2, 3, order=(1,)),
    ]
    results = score(batch, Brightness(), "now")
    assert [result.name for result in results] == ["a", "b", "c"]
    assert [result.status for result in results] == [Status.SCORED, Status.FAILED, Status.SCORED]
    assert [result.scores[0].logit for result in results if result.scores] == [1.0, 3.0]


def test_a_batch_of_failures_needs_no_model() -> None:
    failure = Failure(Item("b"), Stage.DECODE, "OSError", "truncated")
    assert [result.message for result in score([failure], Brightness(), "now")] == ["truncated"]


def test_a_nan_logit_fails_its_image_only() -> None:
    nan, good = score(
        [decoded_image("a", 255, 1, order=(0, 1)), decoded_image("b", 1, order=(0,))], Brightness(), "now"
    )
    assert (nan.status, nan.stage, nan.error, nan.scores) == (
        Status.FAILED,
        Stage.SCORE,
        "NonFiniteScore",
        (),
    )
    assert nan.facts.bytes == 1
    assert good.status is Status.SCORED


def test_crops_shared_by_images_are_passed_on_once() -> None:
    given: list[CropSet] = []

    class Noting(Brightness):
        def logits(self, crops: CropSet) -> NDArray[np.float32]:
            given.append(crops)
            return super().logits(crops)

    first, second, third = (
        decoded_image(name, 1, red, order=(1, 0)) for name, red in (("a", 2), ("b", 2), ("c", 3))
    )
    third.crop_set.crops[1, 100, 100] = 7  # the sparse key does not see this pixel, but it makes another crop
    second.crop_set.crops[1, 101, 101] = 9
    results = score([first, second, third], Noting(), "now")
    (crops,) = given
    assert len(crops.crops) == 4, (
        "crop 1 is shared by all; crop 2, crop 2 with another pixel, and crop 3 are distinct"
    )
    assert crops.order == tuple((index, False) for index in (1, 0, 2, 3))
    assert [result.scores[0].logit for result in results] == [1.5, 1.5, 2.0]


def test_mirrored_crops_count_as_separate_crops() -> None:
    crops = np.zeros((1, 224, 224, 3), dtype=np.uint8)
    crops[0, 0, 0, 0], crops[0, 0, -1, 0] = 1, 5
    both = DecodedImage(Item("a"), ImageInfo(bytes=1), CropSet(crops, ((0, False), (0, True))))
    (result,) = score([both], Brightness(), "now")
    assert (result.scores[0].logit, result.views) == (3.0, 2)


def test_equal_bytes_are_scored_once() -> None:
    class Counting(Brightness):
        crops = 0

        def logits(self, crops: CropSet) -> NDArray[np.float32]:
            Counting.crops += len(crops.crops)
            return super().logits(crops)

    def of(name: str, sha256: str, red: int) -> DecodedImage:
        image = decoded_image(name, red, order=(0,))
        return replace(image, facts=ImageInfo(bytes=len(name), sha256=sha256))

    failure = Failure(Item("f"), Stage.DECODE, "OSError", "no", ImageInfo(sha256="A"))
    earlier = score([of("z", "B", 7)], Brightness(), "then")[0]
    batch: list[DecodedImage | Failure] = [
        of("a", "A", 1),
        of("bb", "B", 99),
        failure,
        of("c", "A", 1),
        of("n", "N", 255),
        of("m", "N", 255),
    ]
    scorer = Scorer(Counting(), known={"B": earlier}.get)
    results = scorer.end(scorer.score(scorer.begin(batch, "now")))
    assert Counting.crops == 2, "A and N, once each"
    assert [result.name for result in results] == ["a", "bb", "f", "c", "n", "m"]
    assert [result.scores[0].logit for result in results if result.scores] == [1.0, 7.0, 1.0]
    assert (results[1].facts.bytes, results[1].scanned_at) == (2, "now"), (
        "all fields but the score are those of the image itself"
    )
    assert [result.status for result in results[2:]] == [
        Status.FAILED,
        Status.SCORED,
        Status.FAILED,
        Status.FAILED,
    ]
    assert results[5].error == "NonFiniteScore"


def test_bytes_in_an_unfinished_job_are_not_scored_again() -> None:
    def of(name: str, sha256: str, red: int) -> DecodedImage:
        return replace(decoded_image(name, red, order=(0,)), facts=ImageInfo(bytes=len(name), sha256=sha256))

    asked: list[str] = []

    def known(sha256: str) -> None:
        asked.append(sha256)

    scorer = Scorer(Brightness(), known=known)
    first = scorer.begin([of("a", "A", 1), of("n", "N", 255)], "now")
    second = scorer.begin([of("aa", "A", 99), of("b", "B", 2), of("nn", "N", 99)], "later")
    third = scorer.begin([of("aaa", "A", 99), of("bbb", "B", 99)], "last")
    assert [list(job.to_score) for job in (first, second, third)] == [[0, 1], [1], []]
    assert asked == ["A", "N", "B"]
    for job in (third, first, second):  # threads finish in any order
        scorer.score(job)
    results = [scorer.end(job) for job in (first, second, third)]
    logits = [[row.scores[0].logit if row.scores else None for row in rows] for rows in results]
    assert logits == [[1.0, None], [1.0, 2.0, None], [1.0, 2.0]]
    assert [[row.name for row in rows] for rows in results] == [["a", "n"], ["aa", "b", "nn"], ["aaa", "bbb"]]
    assert [row.scanned_at for row in results[1]] == ["later"] * 3
    scorer.begin([of("aaaa", "A", 1)], "then")
    assert asked[-1] == "A", "the journal is asked for bytes that are in no unfinished job"


@pytest.mark.parametrize(
    ("score_value", "threshold", "word"),
    [
        pytest.param(0.499, 0.5, "weak", id="below"),
        pytest.param(0.5, 0.5, "moderate", id="at the threshold"),
        pytest.param(0.7, 0.5, "strong", id="0.7"),
        pytest.param(0.9, 0.5, "very strong", id="0.9"),
        pytest.param(0.85, 0.9, "weak", id="below a high threshold"),
        pytest.param(0.9, 0.9, "moderate", id="at a high threshold"),
        pytest.param(0.2, 0.1, "moderate", id="above a low threshold"),
        pytest.param(0.5, 0.1, "very strong", id="well above a low threshold"),
    ],
)
def test_evidence_words_are_relative_to_the_threshold(
    score_value: float, threshold: float, word: str
) -> None:
    logit = math.log(score_value / (1 - score_value))
    assert evidence(logit + 1e-12, threshold) == word


def test_the_threshold_itself_is_moderate() -> None:
    assert evidence(0.0, 0.5) == "moderate"
    assert evidence(-1e-12, 0.5) == "weak"


@pytest.mark.parametrize(("logit", "expected"), [(0.0, 0.5), (1000.0, 1.0), (-1000.0, 0.0)])
def test_sigmoid_never_overflows(logit: float, expected: float) -> None:
    assert sigmoid(logit) == expected
