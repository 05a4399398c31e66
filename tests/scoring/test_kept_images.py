"""Which images of kept results are read again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_results import FACTS, FAILED, SCORE, SCORED, journal_of

from sidscan.journal import Journal
from sidscan.journal.thumbnails import Additions
from sidscan.records import ImageInfo, Kind, Response


def facts(digit: str, saved_as: str | None = None, perceptual_hash: str | None = None) -> ImageInfo:
    response = Response("https://host/", saved_as=saved_as) if saved_as else None
    return replace(FACTS, sha256=64 * digit, response=response, perceptual_hash=perceptual_hash)


def journal() -> Journal:
    return journal_of(
        replace(SCORED, name="a.jpg", facts=facts("a")),
        replace(SCORED, name="same.jpg", facts=facts("a")),
        FAILED,
        replace(SCORED, name="hashed.jpg", facts=facts("b", perceptual_hash="")),
        replace(SCORED, name="https://host/c", kind=Kind.URL, facts=facts("c")),
        replace(SCORED, name="https://host/d", kind=Kind.URL, facts=facts("d", "kept/d")),
        *(replace(SCORED, name=f"{number}.jpg", facts=facts("e")) for number in range(3)),
    )


@pytest.mark.parametrize(
    ("thumbnails", "hashes", "expected"),
    [
        pytest.param(False, False, [], id="nothing"),
        pytest.param(True, False, ["a.jpg", "hashed.jpg", "kept/d", "0.jpg"], id="thumbnails"),
        pytest.param(False, True, ["a.jpg", "kept/d", "0.jpg"], id="hashes"),
        pytest.param(True, True, ["a.jpg", "hashed.jpg", "kept/d", "0.jpg"], id="both"),
    ],
)
def test_images_that_lack_something(thumbnails: bool, hashes: bool, expected: list[str]) -> None:
    record = journal()
    assert record.list_images_to_read(thumbnails, hashes) == len(expected)
    if expected:
        assert [image.item.name for image in record.images_to_read()] == expected


def test_what_is_added_is_not_lacking_any_more() -> None:
    record = journal()
    record.list_images_to_read(True, True)
    for image in record.images_to_read():
        crop = {image.sha256: ("centre", b"RIFF")}
        record.add(Additions({image.sha256: b"RIFF"}, crop, {image.sha256: "0" * 64}))
    assert record.list_images_to_read(True, True) == 0
    by_name = {result.name: result.facts.perceptual_hash for result in record.results() if result.scores}
    assert by_name["same.jpg"] == by_name["a.jpg"] == "0" * 64
    assert by_name["https://host/c"] is None


def test_an_input_whose_result_is_forgotten_is_pending() -> None:
    record = journal()
    record.list_images_to_read(True, False)
    record.forget_result(next(record.images_to_read()).position)
    assert [item.name for item in record.pending()] == ["a.jpg"]
    assert record.counts().pending == 1


def test_the_strongest_images_that_lack_a_crop_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidscan.journal.thumbnails.MOST_CROPS", 2)
    logits = {"a": 0.5, "b": 0.9, "c": 0.7}
    record = journal_of(
        *(
            replace(
                SCORED,
                name=f"{digit}.jpg",
                facts=facts(digit),
                scores=(replace(SCORE, logit=logit),),
            )
            for digit, logit in logits.items()
        )
    )
    crop = {64 * "b": ("centre", b"RIFF")}
    record.add(Additions({64 * digit: b"RIFF" for digit in logits}, crop))
    assert record.list_images_to_read(False, True) == 3
    assert record.list_images_to_read(True, False) == 1
    assert [image.item.name for image in record.images_to_read()] == ["c.jpg"]


def test_images_are_not_read_again_for_crops_that_no_model_reads() -> None:
    of_view = replace(SCORE, model="whole", highest_crop=None, model_input="whole image")
    record = journal_of(
        replace(SCORED, name="view.jpg", facts=facts("a"), scores=(of_view,)),
        replace(SCORED, name="both.jpg", facts=facts("b"), scores=(of_view, SCORE)),
    )
    record.add(Additions({64 * digit: b"RIFF" for digit in "ab"}))
    assert record.list_images_to_read(True, False) == 1
    assert [image.item.name for image in record.images_to_read()] == ["both.jpg"]
