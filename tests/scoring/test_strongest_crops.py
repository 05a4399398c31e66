"""Which crops are kept for people to look at, and that they are the pixels that were scored."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sample_results import FACTS, FAILED, SCORE, SCORED

from sidscan.images.crops import VIEW_NAMES, crop
from sidscan.images.decode import source_from_pillow
from sidscan.records import CropSet, DecodedImage, Failure, Item, ScanResult, Stage
from sidscan.scoring.strongest_crops import StrongestCrops, highest_crop

GREY = CropSet.plain(np.full((1, 224, 224, 3), 99, np.uint8))


def entry(sha256: str, logit: float, evidence: str = "weak") -> tuple[DecodedImage, ScanResult]:
    facts = replace(FACTS, sha256=sha256)
    score = replace(SCORE, logit=logit, evidence=evidence)
    return DecodedImage(Item(sha256), facts, GREY), replace(SCORED, facts=facts, scores=(score,))


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(-3, 3))), st.integers(0, 4), st.integers(1, 3)
)
def test_the_strongest_at_the_end_are_among_those_kept(
    images: list[tuple[str, int]], size: int, batch: int
) -> None:
    logits = dict(images)  # equal bytes have one score
    crops, kept = StrongestCrops(size), set[str]()
    for start in range(0, len(images), batch):
        entries = [entry(name, logits[name]) for name, _ in images[start : start + batch]]
        made = crops.of([image for image, _ in entries], [result for _, result in entries])
        assert not kept & made.keys() or size < len(logits), "equal bytes are encoded once"
        kept |= made.keys()
    strongest = sorted(logits, key=lambda name: (logits[name], name), reverse=True)[:size]
    assert {logits[name] for name in strongest} <= {logits[name] for name in kept}
    assert len(kept) >= len(strongest)


def test_weaker_than_what_is_known_is_not_kept() -> None:
    crops = StrongestCrops(1, [(entry("a", 0.0, "strong")[1].scores[0].strength, "a")])
    image, result = entry("b", 9.0, "weak")
    assert crops.of([image], [result]) == {}
    image, result = entry("c", -9.0, "very strong")
    view, webp = crops.of([image], [result])["c"]
    assert (view, Image.open(io.BytesIO(webp)).size) == ("top left", (224, 224))


def test_the_crop_is_of_the_strongest_model_that_reads_crops() -> None:
    image, result = entry("a", 0.0)
    other = replace(SCORE, model="other", highest_crop="bottom right", logit=1.0, evidence="weak")
    whole = replace(SCORE, logit=9.0, evidence="very strong", highest_crop=None, model_input="whole image")
    made = StrongestCrops(1).of([image], [replace(result, scores=(*result.scores, whole, other))])
    assert made["a"][0] == "bottom right"
    assert StrongestCrops(1).of([image], [replace(result, scores=(whole,))]) == {}, "nobody would see it"


def test_failures_and_skipped_inputs_have_none() -> None:
    failure = Failure(Item("b.jpg"), Stage.DECODE, "OSError", "truncated")
    assert StrongestCrops(9).of([failure], [FAILED]) == {}


def noise(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("view", VIEW_NAMES)
@pytest.mark.parametrize("size", [(500, 400), (501, 301), (224, 224)], ids=str)
def test_the_crop_lies_in_the_image_as_it_is_shown(view: str, size: tuple[int, int]) -> None:
    pixels = noise(*size)
    crop_set = crop(source_from_pillow(Image.fromarray(pixels)), "ten")
    found = highest_crop(crop_set, replace(SCORE, highest_crop=view, crop_scores=(0.5,) * 10))
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (224, 224), axis=(0, 1))
    rows, columns = np.nonzero((windows[..., 0, 0] == found[0, 0]).all(-1))
    places = [(x, y) for x, y in zip(columns, rows, strict=True)
              if np.array_equal(pixels[y : y + 224, x : x + 224], found)]  # fmt: skip
    assert len(places) == 1
    (left, top), width = places[0], size[0]
    if "left" in view:
        assert left == 0
    if "right" in view:
        assert left == width - 224
    if "top" in view:
        assert top == 0
    if view.startswith("centre"):
        assert abs(left - (width - 224) / 2) <= 0.5


def test_a_centre_alone_is_found() -> None:
    pixels = noise(300, 300)
    crop_set = crop(source_from_pillow(Image.fromarray(pixels)), "center")
    found = highest_crop(crop_set, replace(SCORE, highest_crop="centre", crop_scores=(0.5,)))
    assert np.array_equal(found, pixels[38:262, 38:262])
