"""The time that a scan still takes, from simulated reads and batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_results import FACTS, FAILED, SCORED

from sidscan.archives.entries import Packing, Span
from sidscan.records import Item, Kind, ScanResult, Stage
from sidscan.scoring import pace as module
from sidscan.scoring.pace import Pace

SMALL, LARGE = 50_000, 6_000_000  # bytes


class Wall:
    """A clock that the test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(module, "time", wall)
    return wall


def result(size: int) -> ScanResult:
    return replace(SCORED, facts=replace(FACTS, bytes=size))


def seconds_to_read(size: int) -> float:
    return 0.01 + size * 40e-9


def run(pace: Pace, wall: Wall, sizes: list[int], batch: int = 10) -> float:
    """A scan of these images by two readers that share their cores with the scoring; its seconds."""
    start = wall.now
    for first in range(0, len(sizes), batch):
        part = sizes[first : first + batch]
        for size in part:
            pace.read(Item("a", fingerprint=f"{size}:1"), 1.3 * seconds_to_read(size))  # the core is shared
        pace.scored(len(part), 1.3 * 0.02 * len(part))
        wall.now += sum(map(seconds_to_read, part)) / 2 + 0.02 * len(part)
        pace.done([result(size) for size in part])
    return wall.now - start


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        pytest.param([SMALL] * 200, [SMALL] * 2000, id="all alike"),
        pytest.param([SMALL, LARGE] * 100, [SMALL] * 1500 + [LARGE] * 1500, id="sorted blocks"),
        pytest.param([SMALL] * 190 + [LARGE] * 10, [SMALL] * 100 + [LARGE] * 900, id="few large ones first"),
        pytest.param([SMALL + 100 * n for n in range(200)], [LARGE] * 500, id="large ones only later"),
    ],
)
def test_what_is_left_is_weighted_by_its_bytes(wall: Wall, first: list[int], rest: list[int]) -> None:
    pace = Pace(readers=2, at_once=1)
    pace.expect(len(first + rest), sum(first + rest))
    assert pace.seconds_left() is None
    run(pace, wall, first)
    predicted = pace.seconds_left()
    assert predicted == pytest.approx(run(pace, wall, rest), rel=0.05)
    assert pace.images_left == 0
    assert pace.seconds_left() == pytest.approx(0, abs=1e-6)


def test_the_start_of_workers_and_models_does_not_count(wall: Wall) -> None:
    pace = Pace(readers=2, at_once=1)
    pace.expect(1300, 1300 * SMALL)
    for _ in range(4):
        pace.read(Item("a", fingerprint=f"{SMALL}:1"), 9.0)
    wall.now += 60
    pace.scored(1, 30.0)
    pace.done([result(SMALL)])
    run(pace, wall, [SMALL] * 199)
    assert pace.seconds_left() == pytest.approx(1100 * (seconds_to_read(SMALL) / 2 + 0.02), rel=0.01)


def test_a_slow_scan_has_an_estimate_after_half_a_minute(wall: Wall) -> None:
    pace = Pace(readers=1, at_once=1)
    pace.expect(1000, 0)
    for number in range(40):
        pace.read(Item("https://host/a.jpg", Kind.URL), 2.0)
        pace.scored(1, 0.01)
        wall.now += 2.0
        pace.done([replace(FAILED, kind=Kind.URL)])
        assert pace.is_known() == (number >= 17), number
    assert pace.seconds_left() == pytest.approx(960 * 2.0, rel=0.01)


def test_inputs_that_are_not_read_do_not_count(wall: Wall) -> None:
    pace = Pace(readers=1, at_once=1)
    pace.expect(300, 300 * SMALL)
    run(pace, wall, [SMALL] * 150)
    before = pace.images_left
    pace.done([replace(FAILED, stage=Stage.LIST)] * 50)
    assert pace.images_left == before == 150


@pytest.mark.parametrize(
    ("item", "size"),
    [
        pytest.param(Item("a", fingerprint="12:99"), 12, id="file"),
        pytest.param(Item("a"), 0, id="not there"),
        pytest.param(Item("https://host/a", Kind.URL), 0, id="URL"),
        pytest.param(Item("a.zip!/b", Kind.MEMBER, f"9999:1|{Span(Packing.ZIP, 5, 34)}"), 34, id="member"),
        pytest.param(Item("a.zip!/b", Kind.MEMBER, "9999:1"), 0, id="member that can't be read"),
    ],
)
def test_size_of_an_item(item: Item, size: int) -> None:
    assert item.size == size
