"""What commands share that make maps: options, progress, and what they print."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidscan.cli import console
from sidscan.cli.closer_look import name_of
from sidscan.cli.options import Decorator, sectioned_option, stack
from sidscan.cli.param_types import LocalPath, WholeNumber
from sidscan.cli.summary import counts_line
from sidscan.models.localizers import PatchMapInfo
from sidscan.records import ScanResult
from sidscan.records.localization import COMMON_REGION, NO_REGION, REGION
from sidscan.util.progress import progress
from sidscan.util.terminal import Echo

if TYPE_CHECKING:
    from sidscan.config import ScanConfig
    from sidscan.journal import Journal
    from sidscan.localize.run import Localized, Localizing
    from sidscan.models.catalog import PatchSpec
    from sidscan.pipeline import Scan
    from sidscan.runtimes import OpenLocalizer

DEFAULT = "localizer-b16"
MEANING = "a region is one to look at, not a verdict; its absence proves nothing"
_MOST_LINES = 10


def reading() -> Decorator:
    """How a localizer reads an image."""
    return stack(
        sectioned_option(
            "--protocol",
            section="Models",
            type=click.Choice(("auto", "tiles", "global")),
            default="auto",
            show_default=True,
            help="'tiles' reads native pixels in overlapping squares, 'global' the whole image squashed into "
            "one square, as DeCLIP is published. 'auto' takes tiles where the image is large, or the "
            "localizer was trained on native pixels.",
        ),
        sectioned_option(
            "--max-tiles",
            section="Models",
            type=WholeNumber(1),
            metavar="N",
            show_default="120 on a CPU, 512 on a GPU",
            help="Most tiles of one image; a larger one is halved until they cover it, and its row says so. "
            "A long and narrow image may take more: it is never halved to less than a tile.",
        ),
    )


def encoders() -> Decorator:
    """The files of what a checkpoint was trained on, of which a localizer may read two."""
    return sectioned_option(
        "--encoder",
        "encoders",
        section="Advanced",
        type=LocalPath(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        multiple=True,
        help="Weights of an encoder that a checkpoint was trained on, if it is not an installed one. "
        "Repeatable, for a localizer that reads two.",
    )


def open_named(name: str, config: ScanConfig, encoders: Sequence[Path] = ()) -> OpenLocalizer:
    """The localizer that a person named, ready.

    Raises:
        ModelError: it is unknown, not installed, damaged, or makes no maps.
        RuntimeUnavailable: the device or precision asked for can't be used here.
    """
    from sidscan.runtimes.localizers import open_localizer

    return open_localizer(
        name,
        device=config.device,
        precision=config.precision,
        encoders=encoders,
        runtime=config.runtime,
    )


def patches_of(localizer: OpenLocalizer) -> PatchSpec | None:
    """The patches of a detector that make its map; None for a localizer."""
    return localizer.info.patches if isinstance(localizer.info, PatchMapInfo) else None


def announce(localizer: OpenLocalizer, echo: Echo) -> None:
    """Say what makes the maps."""
    runtime, info = localizer.runtime, localizer.info
    echo(f"localizer: {info.name} ({info.licence or 'no licence stated'})")
    echo(f"  {runtime.runtime}, {runtime.device}, {runtime.precision}")
    if patches := patches_of(localizer):
        echo(f"  its patches of {patches.side} px, every {patches.stride} px; {patches.view}")
        echo("  a detector of whole images, which nobody trained to find edits")
    if info.alarm_area is None and info.alarm_contrast is None:
        echo("  nobody measured on whole photographs how much of them it marks: any region is shown")


def make_maps(work: Localizing, results: Sequence[ScanResult], quiet: bool) -> list[Localized]:
    """Make maps with a progress bar; failures are printed, even with --quiet."""
    made: list[Localized] = []
    batch = work.batch
    with progress(work.count(results), "tile", quiet=quiet, title="localizing") as bar:
        for localized in work.run(results, bar.update):
            made.append(localized)
            if localized.facts.message:
                bar.clear()
                console.echo(f"no map of {name_of(localized.result)}: {localized.facts.message}")
            if work.batch < batch:
                batch = work.batch
                bar.clear()
                console.echo(f"memory is short: {console.plural(batch, 'tile')} at once from now on")
    if any(map(_is_not_here, made)):
        console.echo("relative paths start from the folder where the scan ran: run this command there")
    return made


def _is_not_here(made: Localized) -> bool:
    """Whether no file was found at a relative path."""
    path = Path(made.result.name)
    return os.strerror(errno.ENOENT) in made.facts.message and not path.is_absolute() and not path.exists()


def maps_of_run(run: Scan, localizer: OpenLocalizer, with_images: bool, quiet: bool) -> list[Localized]:
    """Make maps of all images of a run that have a score; they are in its record alone."""
    from sidscan.localize.run import Localizing, Request  # here: it loads numpy

    work = Localizing(run.journal, run.config, localizer, Request(with_images=with_images))
    work.note_localizer()
    return make_maps(work, [result for result in run.journal.results() if result.scores], quiet)


def unscored_lines(record: Journal) -> Iterator[str]:
    """How the inputs of a run ended, and why images have no score, and so no map."""
    counts = record.counts()
    yield counts_line(counts)
    failed = (result for result in record.results() if result.status.failed)
    for result in islice(failed, _MOST_LINES):
        yield f"  no score: {name_of(result)}: {result.message}"
    if counts.failed > _MOST_LINES:
        yield f"  and {counts.failed - _MOST_LINES} more, whose rows say why"


def lines(made: Sequence[Localized], chosen_by: str = "") -> Iterator[str]:
    """What a person reads of some images: those with a region first.

    Args:
        chosen_by: the options that chose them.
    """
    if not made:
        yield f"no map was made: no image was chosen{f' by {chosen_by}' if chosen_by else ''}"
        return
    yield f"maps of {console.plural(len(made), 'image')}: {_counted(made)}"
    regions = [each for each in made if each.facts.region is not None]
    regions.sort(key=_rank)
    for each in regions[:_MOST_LINES]:
        yield f"  {name_of(each.result)}: {each.facts.in_words()}{_detector_says(each.result)}"
    if len(regions) > _MOST_LINES:
        yield f"  and {len(regions) - _MOST_LINES} more"
    yield f"  ({MEANING})"


def _rank(made: Localized) -> tuple[bool, float, float]:
    """Regions to look at first, then what stands out most, then what is marked most."""
    facts = made.facts
    return facts.finding != REGION, -(facts.contrast or 0.0), -(facts.area or 0.0)


def _counted(made: Sequence[Localized]) -> str:
    """How many have which finding; all kinds add up to the maps that were asked for."""
    counts = Counter(each.facts.finding for each in made)
    kinds = [f"a {REGION} in {counts[REGION]}"]
    if any(each.facts.alarm_is_known for each in made):
        kinds.append(f"one as whole photographs may have in {counts[COMMON_REGION]}")
    kinds.append(f"none in {counts[NO_REGION]}")
    return ", ".join([*kinds, *([f"no map of {counts['']}"] if counts[""] else [])])


def _detector_says(result: ScanResult) -> str:
    """The score of the whole image: a map does not stand alone."""
    best = result.strongest
    return f"; whole image: score {best.score:.3f}, {best.evidence}" if best else ""


def failed(made: Sequence[Localized]) -> bool:
    """Whether an image has no map."""
    return any(each.facts.message for each in made)
