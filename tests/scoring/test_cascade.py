"""The cascade over ten crops: which crops are computed, what decides, and what a result says of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sample_calibrations import calibration

from sidscan.config import Effort, ScanConfig
from sidscan.models.abstention import Abstention
from sidscan.models.cascade import Cascade
from sidscan.models.detector_info import DetectorInfo
from sidscan.records import CropSet, DecodedImage, Failure, ImageInfo, Item, ScanResult, Stage, Status
from sidscan.runtimes import RuntimeInfo
from sidscan.scoring.cascade import effort_used
from sidscan.scoring.reuse import reuse_keys
from sidscan.scoring.scorer import Scorer, score

CASCADE = Cascade(centre=3.0, mirrors=1.0)
CENTRE = 4
NAN = 255  # the red of a crop whose logit is not a number


def detector(name: str = "red", cascade: Cascade | None = CASCADE) -> DetectorInfo:
    """A detector whose threshold is the logit 0."""
    return DetectorInfo(name, "d", 0.5, {name: "d"}, {}, cascade=cascade)


class Red:
    """A runtime whose logits are the red of each crop's first pixel, less 100; it notes what it is given.

    A second detector's logits are the green, less 100.
    """

    info = RuntimeInfo("test", "cpu", "fp32")
    batch, at_once, devices = 40, 2, 1

    def __init__(self, *detectors: DetectorInfo) -> None:
        self.detectors = detectors or (detector(),)
        self.calls: list[list[int]] = []  # the reds of every call

    def logits(self, crops: CropSet) -> NDArray[np.float32]:
        values = crops.pixels()[:, 0, 0, : len(self.detectors)].astype(np.float32)
        self.calls.append(values[:, 0].astype(int).tolist())
        values[values == NAN] = np.nan
        return values - 100

    def abandon(self) -> None:
        pass


def image(reds: Sequence[int], greens: Sequence[int] = (100,) * 10, name: str = "a") -> DecodedImage:
    """An image whose ten crops have these reds: the five of the image, then of their mirror images."""
    crops = np.zeros((5, 224, 224, 3), np.uint8)
    for channel, values in enumerate((reds, greens)):
        crops[:, 0, 0, channel], crops[:, 0, -1, channel] = values[:5], values[5:]
    crops[:, 1, 1, 2] = range(5)  # no two are equal
    order = tuple((index, mirrored) for mirrored in (False, True) for index in range(5))
    return DecodedImage(Item(name), ImageInfo(bytes=1), CropSet(crops, order))


def scored(*images: DecodedImage | Failure, runtime: Red | None = None, **options: Any) -> list[ScanResult]:
    return score(images, runtime or Red(), "now", effort="normal", **options)


def ten(corners: int, centre: int, mirrors: int) -> list[int]:
    return [*(corners,) * 4, centre, *(mirrors,) * 5]


@pytest.mark.parametrize(
    ("reds", "views", "logit"),
    [
        pytest.param(ten(90, 96, 90), 1, -4, id="centre below"),
        pytest.param(ten(90, 97, 90), 5, -8.6, id="centre at the bound"),
        pytest.param(ten(99, 99, 120), 10, 9.5, id="five at the lower bound"),
        pytest.param(ten(101, 101, 90), 10, -4.5, id="five at the upper bound"),
        pytest.param(ten(98, 99, 120), 5, -1.8, id="five below"),
        pytest.param(ten(102, 101, 90), 5, 1.8, id="five above"),
        pytest.param(ten(110, 200, 90), 5, 28, id="centre far above: the corners are computed all the same"),
        pytest.param(ten(95, 97, 100), 5, -4.6, id="five far below"),
    ],
)
def test_an_image_gets_as_many_crops_as_its_decision_needs(reds: list[int], views: int, logit: float) -> None:
    runtime = Red()
    (result,) = scored(image(reds), runtime=runtime)
    assert result.views == views
    assert result.scores[0].logit == pytest.approx(logit, abs=1e-6)
    assert sum(map(len, runtime.calls)) == views
    assert len(runtime.calls) == {1: 1, 5: 2, 10: 3}[views]


def test_each_stage_is_one_call_with_the_crops_still_needed() -> None:
    runtime = Red()
    results = scored(
        image([1, 2, 3, 4, 96, 6, 7, 8, 9, 10]),
        image([80, 81, 82, 83, 97, 6, 7, 8, 9, 10]),
        image([99, 100, 101, 102, 98, 20, 21, 22, 23, 24]),
        runtime=runtime,
    )
    assert [result.views for result in results] == [1, 5, 10]
    assert runtime.calls == [
        [96, 97, 98],
        [80, 81, 82, 83, 99, 100, 101, 102],
        [20, 21, 22, 23, 24],
    ]


def test_one_crop_has_no_spread_and_five_have_their_own() -> None:
    one, five = scored(image(ten(1, 50, 1)), image([110, 112, 114, 116, 118, 1, 1, 1, 1, 1]))
    assert (one.scores[0].crop_std, one.scores[0].crop_min) == (0.0, one.scores[0].score)
    assert five.scores[0].crop_min == pytest.approx(1 / (1 + np.exp(-10)))


def test_all_ten_crops_give_the_score_of_full_effort_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    runtime = Red(detector(cascade=Cascade(1e9, 1e9)))
    images = [image(rng.integers(0, 250, 10).tolist()) for _ in range(20)]
    assert scored(*images, runtime=runtime) == score(images, Red(), "now")


def window(order: Sequence[tuple[int, bool]], red: int, mirrored_red: int = 0) -> DecodedImage:
    """An image no larger than a crop."""
    crops = np.zeros((1, 224, 224, 3), np.uint8)
    crops[0, 0, 0, 0], crops[0, 0, -1, 0] = red, mirrored_red
    return DecodedImage(Item("w"), ImageInfo(bytes=1), CropSet(crops, tuple(order)))


@pytest.mark.parametrize(
    ("order", "red", "views", "computed"),
    [
        pytest.param([(0, False)] * 5 + [(0, True)] * 5, 90, 1, [[90]], id="below"),
        pytest.param([(0, False)] * 5 + [(0, True)] * 5, 120, 5, [[120]], id="the corners are the centre"),
        pytest.param([(0, False)] * 5 + [(0, True)] * 5, 100, 10, [[100], [7]], id="its mirror image"),
        pytest.param([(0, False)] * 10, 100, 10, [[100]], id="symmetric"),
    ],
)
def test_an_image_of_one_window_is_computed_once(
    order: list[tuple[int, bool]], red: int, views: int, computed: list[list[int]]
) -> None:
    runtime = Red()
    (result,) = scored(window(order, red, 7), runtime=runtime)
    assert (result.views, runtime.calls) == (views, computed)
    mean = np.mean([red - 100 if not mirrored else 7 - 100 for _, mirrored in order[:views]])
    assert result.scores[0].logit == mean


def test_an_image_goes_on_if_any_detector_wants_it() -> None:
    strict = detector("strict", Cascade(0.0, 0.0))
    runtime = Red(detector(), strict)
    far, near_first, near_second = scored(
        image(ten(90, 90, 90), ten(98, 98, 98)),
        image(ten(98, 98, 98), ten(1, 1, 1)),
        image(ten(110, 50, 110), ten(100, 100, 130)),
        runtime=runtime,
    )
    assert [each.views for each in (far, near_first, near_second)] == [1, 5, 10]
    assert [each.logit for each in near_second.scores] == [pytest.approx(4.0), pytest.approx(15.0)]


@pytest.mark.parametrize(
    ("reds", "calls", "scored_"),
    [
        pytest.param(ten(100, NAN, 100), 1, False, id="centre"),
        pytest.param(ten(NAN, 100, 100), 2, False, id="corners"),
        pytest.param(ten(100, 100, NAN), 3, False, id="mirror images"),
        pytest.param(ten(NAN, 90, NAN), 1, True, id="crops that are not computed"),
    ],
)
def test_a_logit_that_is_no_number_ends_the_cascade(reds: list[int], calls: int, scored_: bool) -> None:
    runtime = Red()
    (result,) = scored(image(reds), runtime=runtime)
    assert len(runtime.calls) == calls
    assert (result.status is Status.SCORED, result.error) == (
        scored_,
        None if scored_ else "NonFiniteScore",
    )


def test_the_threshold_is_the_calibrations() -> None:
    fitted = replace(calibration(range(-19, 0), 0.1), model="red")  # just above -2
    below, at_bound, near = scored(
        image(ten(1, 94, 1)), image(ten(1, 96, 1)), image(ten(98, 98, 1)), calibrations={"red": fitted}
    )
    assert [each.views for each in (below, at_bound, near)] == [1, 5, 10]
    assert scored(image(ten(1, 96, 1)))[0].views == 1, "at the card's threshold"


def test_equal_pixels_are_computed_once_across_images_and_stages() -> None:
    first, second = image(ten(80, 100, 1), name="first"), image(ten(1, 80, 1), name="second")
    second.crop_set.crops[CENTRE] = first.crop_set.crops[0]
    runtime = Red(detector(cascade=Cascade(30.0, 0.0)))
    results = scored(first, second, replace(first, item=Item("copy")), runtime=runtime)
    assert [result.views for result in results] == [5, 5, 5]
    assert runtime.calls == [[100, 80], [80] * 3 + [1] * 4], "the second's centre is a corner of the first"


def test_equal_bytes_are_scored_once() -> None:
    runtime = Red()
    twice = [replace(image(ten(100, 100, 100), name=name), facts=ImageInfo(sha256="A")) for name in "ab"]
    scorer = Scorer(runtime, effort="normal")
    results = scorer.end(scorer.score(scorer.begin(twice, "now")))
    assert [(result.name, result.views) for result in results] == [("a", 10), ("b", 10)]
    assert sum(map(len, runtime.calls)) == 10


def test_failures_keep_their_place() -> None:
    failure = Failure(Item("b"), Stage.DECODE, "OSError", "truncated")
    results = scored(failure, image(ten(1, 1, 1)), failure)
    assert [result.status.value for result in results] == ["failed", "scored", "failed"]
    runtime = Red()
    assert [result.views for result in scored(failure, runtime=runtime)] == [0]
    assert runtime.calls == []


def test_abstention_sees_the_pixels_of_all_crops_and_the_logits_computed() -> None:
    rule = Abstention(spread=5.0)
    runtime = Red(replace(detector(), abstention=rule))
    wild = ten(1, 50, 200)
    (one,) = scored(image(wild), runtime=runtime)
    (all_ten,) = score([image(wild)], Red(replace(detector(), abstention=rule)), "now")
    assert (one.views, one.scores[0].inconclusive) == (1, ())
    assert all_ten.scores[0].inconclusive == ("views_disagree",)
    flat = DecodedImage(
        Item("f"), ImageInfo(), CropSet(np.zeros((1, 224, 224, 3), np.uint8), ((0, False),) * 10)
    )
    detailed = replace(
        flat, crop_set=CropSet(np.zeros((2, 224, 224, 3), np.uint8), ((0, False),) * 9 + ((1, False),))
    )
    detailed.crop_set.crops[1, ::2] = 9
    assert [result.scores[0].inconclusive for result in scored(flat, detailed)] == [("flat",), ()]


def test_no_stage_begins_in_an_abandoned_scorer() -> None:
    class Abandoning(Red):
        def logits(self, crops: CropSet) -> NDArray[np.float32]:
            scorer.abandon()
            return super().logits(crops)

    runtime = Abandoning()
    scorer = Scorer(runtime, effort="normal")
    with pytest.raises(CancelledError):
        scorer.score(scorer.begin([image(ten(100, 100, 100))], "now"))
    assert len(runtime.calls) == 1


REDS = st.lists(st.integers(94, 106), min_size=10, max_size=10)


@given(
    images=st.lists(REDS, min_size=1, max_size=8),
    size=st.integers(1, 8),
    cascade=st.builds(Cascade, st.floats(0, 6), st.floats(0, 6)),
)
def test_results_do_not_depend_on_the_batches(images: list[list[int]], size: int, cascade: Cascade) -> None:
    decoded = [image(reds) for reds in images]
    runtime = Red(detector(cascade=cascade))
    batched = [
        result
        for start in range(0, len(decoded), size)
        for result in scored(*decoded[start : start + size], runtime=runtime)
    ]
    assert batched == scored(*decoded, runtime=runtime)
    for reds, result in zip(images, batched, strict=True):
        logits = np.array(reds, float) - 100
        views = 1
        if logits[CENTRE] >= -cascade.centre:
            views = 10 if abs(logits[:5].mean()) <= cascade.mirrors else 5
        assert result.views == views
        assert result.scores[0].logit == (logits[CENTRE] if views == 1 else logits[:views].mean())


@pytest.mark.parametrize(
    ("options", "cascades", "effort"),
    [
        pytest.param({}, (CASCADE,), "normal", id="default"),
        pytest.param({}, (CASCADE, CASCADE), "normal", id="every detector states one"),
        pytest.param({}, (CASCADE, None), "full", id="one states none"),
        pytest.param({"effort": "full"}, (CASCADE,), "full", id="full"),
        pytest.param({"effort": "fast"}, (CASCADE,), "fast", id="fast"),
        pytest.param({"crops": "center"}, (None,), "fast", id="the centre"),
    ],
)
def test_what_an_effort_amounts_to(
    options: dict[str, Any], cascades: Sequence[Cascade | None], effort: Effort
) -> None:
    detectors = [detector(str(number), cascade) for number, cascade in enumerate(cascades)]
    assert effort_used(ScanConfig(inputs=("a",), **options), detectors) == effort


def test_results_depend_on_the_effort_and_on_a_cascade_that_runs() -> None:
    other = detector(cascade=Cascade(centre=3.0, mirrors=1.5))

    def keys(effort: Effort, *detectors: DetectorInfo) -> tuple[str, str, str]:
        made_by = reuse_keys(ScanConfig(inputs=("a",), effort=effort), Red(*detectors))
        return made_by.score, made_by.limits, made_by.urls

    runs = [keys("fast"), keys("normal"), keys("normal", other), keys("full")]
    assert len({key for run in runs for key in run}) == 12
    assert keys("full") == keys("full", other)
    assert keys("normal", detector(cascade=None)) == keys("full"), "both score all crops"
