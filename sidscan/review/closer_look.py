"""A closer look at images of a run: all their windows instead of the crops of the scan.

The pixels are read as the scan reads them, in an isolated process under the same limits, and scored by the
same runtime. The rows of the run stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from sidscan.errors import ImageError
from sidscan.images.decode import decoder_name
from sidscan.images.windows import window_grid
from sidscan.isolation.read_again import read_again
from sidscan.pipeline import Scan, open_reader
from sidscan.records import Copies, DecodedImage, ScanResult
from sidscan.records.score_map import CloserLook
from sidscan.review.score_map_image import draw_score_maps
from sidscan.scoring.window_scores import score_windows

Done = Callable[[int], object]
"""Called with the number of windows that were scored since the last call."""


@dataclass(frozen=True)
class Looked:
    """What came of looking closer at an image.

    Attributes:
        look: None where it failed.
        message: why it failed; else empty.
    """

    result: ScanResult
    look: CloserLook | None
    message: str = ""


def strongest(run: Scan, count: int, copies: Mapping[str, Copies]) -> list[ScanResult]:
    """The results with the strongest evidence, as reports list them; of copies the strongest alone.

    Args:
        copies: of the run's results, by name.
    """
    chosen: dict[str, ScanResult] = {}
    for result in run.journal.ranked() if count else ():
        if len(chosen) >= count or not result.scores:
            break
        group = copies.get(result.name)
        chosen.setdefault(str(group.group if group else result.name), result)
    return list(chosen.values())


def count_windows(results: Iterable[ScanResult], budget: int) -> int:
    """How many windows images have together, as far as their sizes are known."""
    total = 0
    for width, height in (result.facts.scored_size for result in results):
        if width and height:
            lefts, tops = window_grid(width, height, budget)
            total += len(lefts) * len(tops)
    return total


def look_closer(
    run: Scan, results: Iterable[ScanResult], with_image: bool, done: Done = lambda _: None
) -> Iterator[Looked]:
    """Score all windows of each image; maps are durable in the run's record before they are yielded.

    Earlier looks of the same models and options are used again.

    Args:
        results: of images that have a score.
        with_image: whether the drawn maps show the image in grey.
    """
    made_by = _made_by(run)
    with open_reader(replace(run.config, pixels=True, views=(), thumbnails=False)) as read:
        for result in results:
            sha256 = str(result.facts.sha256)
            look = run.journal.closer_look(sha256)
            if look is not None and _still_holds(look, result, run.config.windows, with_image, made_by):
                done(sum(each.windows for each in look.maps[:1]))
                yield Looked(result, look)
                continue
            try:
                look = _look(run, result, read_again(result, read), with_image, made_by, done)
            except ImageError as error:
                yield Looked(result, None, error.message)
                continue
            run.journal.keep_closer_look(sha256, look)
            yield Looked(result, look)


def _look(
    run: Scan, result: ScanResult, image: DecodedImage, with_image: bool, made_by: str, done: Done
) -> CloserLook:
    assert image.pixels is not None
    turned = "rotated_by_container" in image.facts.flags  # then EXIF states what was before
    maps = score_windows(
        image.pixels,
        run.runtime,
        thresholds=[score.threshold for score in result.scores if not score.model_input],
        budget=run.config.windows,
        batch=run.config.batch or run.runtime.batch,
        orientation=None if turned else image.facts.exif.orientation,
        made_by=made_by,
        done=done,
    )
    pixels = image.pixels if with_image else None
    return CloserLook(maps, draw_score_maps(maps, str(image.facts.sha256), pixels), with_image)


def _still_holds(look: CloserLook, result: ScanResult, budget: int, with_image: bool, made_by: str) -> bool:
    return (
        result.agrees_with(look)
        and look.has_image == with_image
        and all(
            each.made_by == made_by
            and (each.lefts, each.tops) == window_grid(each.width, each.height, budget)
            for each in look.maps
        )
    )


def _made_by(run: Scan) -> str:
    info = run.runtime.info
    return f"{info.runtime}, {info.device}, {info.precision}; {decoder_name()}"
