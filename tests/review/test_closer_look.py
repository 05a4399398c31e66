"""A closer look reads the bytes that were scored, is kept, and is made again only where it would differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sample_images import encoded, photo, scene

from sidscan.config import ScanConfig
from sidscan.pipeline import Scan, open_scan
from sidscan.review.closer_look import Looked, count_windows, look_closer, strongest
from sidscan.review.copies import find_copies


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Scan]:
    """A scan of three images, two of them of equal bytes, that has ended."""
    for number, seed in enumerate((1, 2, 1)):
        (tmp_path / f"{number}.png").write_bytes(encoded(photo(400, 300, seed), "PNG"))
    opened = open_scan(ScanConfig(inputs=(str(tmp_path),), models=("mini",), windows=12))
    list(opened)
    with closing(opened.journal):
        yield opened


def look(run: Scan, with_image: bool = True) -> tuple[list[Looked], int]:
    """What comes of looking closer at the strongest images, and the number of windows that were counted."""
    counted: list[int] = []
    chosen = strongest(run, 9, find_copies(run.journal.results()))
    looks = list(look_closer(run, chosen, with_image, counted.append))
    assert sum(counted) == count_windows(chosen, run.config.windows) or any(each.message for each in looks)
    return looks, sum(counted)


def damage(run: Scan) -> None:
    """Let the files hold something else, so that only what was kept can give maps."""
    for result in run.journal.results():
        Path(result.name).write_bytes(b"something else")


def test_equal_bytes_are_looked_at_once(run: Scan) -> None:
    looks, counted = look(run)
    assert [Path(each.result.name).name for each in looks if each.look] in (
        ["0.png", "1.png"],
        ["1.png", "0.png"],
    )
    assert counted == 2 * 12
    for each in looks:
        assert each.look is not None
        assert run.journal.closer_look(str(each.result.facts.sha256)) == each.look
        assert each.result.agrees_with(each.look)


def test_the_strongest_come_first(run: Scan) -> None:
    (first,) = strongest(run, 1, {})
    assert first.scores[0].logit == max(result.scores[0].logit for result in run.journal.results())


def test_copies_of_one_image_are_one_case(tmp_path: Path) -> None:
    for seed in range(2):
        scene(seed).save(tmp_path / f"{seed}.png")
        for quality in (60, 75, 90):
            scene(seed).save(tmp_path / f"{seed}-{quality}.jpg", quality=quality)
    opened = open_scan(ScanConfig(inputs=(str(tmp_path),), models=("mini",), find_copies=True))
    list(opened)
    with closing(opened.journal):
        copies = find_copies(opened.journal.results())
        assert [each.count for each in copies.values()] == [4] * 8
        chosen = strongest(opened, 3, copies)
        first, *_ = opened.journal.ranked()
    assert chosen[0] == first
    assert sorted(Path(each.name).name[0] for each in chosen) == ["0", "1"]


def test_what_was_kept_is_used_again(run: Scan) -> None:
    looks, _ = look(run)
    damage(run)
    assert look(run)[0] == looks


@pytest.mark.parametrize("change", ["windows", "image"])
def test_another_look_reads_the_image_again_and_finds_that_it_changed(run: Scan, change: str) -> None:
    looks, _ = look(run)
    damage(run)
    if change == "windows":
        run.config = replace(run.config, windows=4)
    again, _ = look(run, with_image=change != "image")
    assert [each.look for each in again] == [None, None]
    assert {each.message for each in again} == {"it has other bytes than the scan scored"}
    for each in looks:
        assert run.journal.closer_look(str(each.result.facts.sha256)) == each.look, "the kept one stays"


def test_an_image_with_other_bytes_gets_no_map(run: Scan) -> None:
    for result in run.journal.results():
        Path(result.name).write_bytes(encoded(photo(400, 300, 7), "PNG"))
    looks, _ = look(run)
    assert [(each.look, each.message) for each in looks] == 2 * [
        (None, "it has other bytes than the scan scored")
    ]


def test_a_look_without_the_image_does_not_use_one_with_it(run: Scan) -> None:
    (first, _), _ = look(run)
    (second, _), _ = look(run, with_image=False)
    assert first.look is not None
    assert second.look is not None
    assert (first.look.has_image, second.look.has_image) == (True, False)
    assert second.look.maps == first.look.maps
    assert len(second.look.png) < len(first.look.png)


def test_maps_of_images_that_are_gone_are_deleted(run: Scan) -> None:
    (first, *_), _ = look(run)
    run.journal._db.execute("DELETE FROM items")
    run.journal.purge_stale()
    assert run.journal.closer_look(str(first.result.facts.sha256)) is None
