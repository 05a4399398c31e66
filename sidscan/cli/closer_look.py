"""What commands share that look closer at images: progress, and what they print of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from sidscan.cli import console
from sidscan.util.progress import progress
from sidscan.util.terminal import safe_line
from sidscan.util.urls import mask_credentials

if TYPE_CHECKING:
    from sidscan.pipeline import Scan
    from sidscan.records import Copies, ScanResult
    from sidscan.review.closer_look import Looked

NOT_THE_IMAGE = (
    "a window's score is not the image's score, and a map does not show where an image was edited: "
    "the detector was trained on whole images"
)


def look_closer(run: Scan, results: Sequence[ScanResult], with_images: bool, quiet: bool) -> list[Looked]:
    """Look closer at images with a progress bar; failures are printed, even with --quiet."""
    from sidscan.review import closer_look  # here: it loads Pillow

    total, looks = closer_look.count_windows(results, run.config.windows), []
    with progress(total, "window", quiet=quiet, title="looking closer") as bar:
        for looked in closer_look.look_closer(run, results, with_images, bar.update):
            looks.append(looked)
            if looked.message:
                bar.clear()
                console.echo(f"no closer look at {name_of(looked.result)}: {looked.message}")
    return looks


def look_at_strongest(
    run: Scan, copies: Mapping[str, Copies], with_images: bool, quiet: bool
) -> list[Looked]:
    """What ``--look-closer`` asks for."""
    from sidscan.review.closer_look import strongest  # here: it loads Pillow

    chosen = strongest(run, run.config.look_closer, copies)
    return look_closer(run, chosen, with_images, quiet) if chosen else []


def closing_lines(run: Scan, looks: Sequence[Looked], where: str) -> Iterator[str]:
    """What a scan says of its closer looks.

    Args:
        where: the report that shows the maps; empty if none does.
    """
    made = [looked for looked in looks if looked.look is not None]
    if not made:
        return
    yield f"looked closer at {console.plural(len(made), 'image')}, at all windows of each:"
    for looked in made:
        assert looked.look is not None
        of_crops = [score for score in looked.result.scores if not score.model_input]
        for score, score_map in zip(of_crops, looked.look.maps, strict=True):
            model = f"{safe_line(score.model)}, " if len(looked.look.maps) > 1 else ""
            yield f"  {score.score:.3f}  {name_of(looked.result)}: {model}{score_map.in_words()}"
    yield f"  ({NOT_THE_IMAGE})"
    if where:
        yield f"  (the maps are on the evidence pages of {where})"
    elif run.config.journal is not None:
        yield f"  (the maps are kept in {run.config.journal}; `sidscan report` shows them in FILE.html)"


def name_of(result: ScanResult) -> str:
    """The path or URL of an image, safe to show."""
    return safe_line(mask_credentials(result.name))
