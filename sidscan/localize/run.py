"""Maps of images of a run: what `sidscan localize` does after its scan.

The pixels are read as the scan reads them, in an isolated process under the same limits. What is made of an
image is durable in the run's record before it is yielded, so a run that was killed goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from sidscan.config import ScanConfig
from sidscan.errors import ImageError
from sidscan.images.decode import decoder_name
from sidscan.isolation.read_again import read_again
from sidscan.journal import Journal
from sidscan.localize.drawings import map_png, mask_png, overlay_png, page_drawings
from sidscan.localize.image_map import Plan, Protocol, make_map, plan_of
from sidscan.localize.map_files import MapFiles
from sidscan.localize.regions import Measured
from sidscan.pipeline import open_reader
from sidscan.records import DecodedImage, ItemReader, ScanResult
from sidscan.records.localization import KeptLocalization, Localization, LocalizerRecord
from sidscan.runtimes import OpenLocalizer
from sidscan.util.own_maps import SUFFIXES

MOST_TILES = {"cpu": 120, "cuda": 512}
"""Of an image, if nobody says otherwise. 120 hold what generators make, 1536 x 1024 px, at its own size."""
Done = Callable[[int], object]


@dataclass(frozen=True)
class Request:
    """What is asked of a localizer.

    Attributes:
        most_tiles: of an image; None for what suits the device.
        files: where maps go at full size; None keeps the record's small drawings alone.
        with_images: whether drawings are kept for reports; they show the image.
    """

    protocol: Protocol = "auto"
    most_tiles: int | None = None
    files: MapFiles | None = None
    with_images: bool = True


@dataclass(frozen=True)
class Localized:
    """What came of an image."""

    result: ScanResult
    facts: Localization


class Localizing:
    """Makes maps of images of one run.

    Args:
        record: of the run.
        config: how images are read.
    """

    def __init__(
        self, record: Journal, config: ScanConfig, localizer: OpenLocalizer, request: Request
    ) -> None:
        self._record, self._config, self._localizer, self._request = record, config, localizer, request
        runtime = localizer.runtime
        self._most = request.most_tiles or MOST_TILES["cpu" if runtime.device == "cpu" else "cuda"]
        made_by = f"{runtime.runtime}, {runtime.device}, {runtime.precision}"
        self._made_by = f"{made_by}; {decoder_name()}"

    def note_localizer(self) -> None:
        """Record which localizer the run has; reports show the maps of this one alone."""
        info = self._localizer.info
        made = LocalizerRecord(
            name=info.name,
            digest=info.digest,
            files=dict(info.files),
            licence=info.licence,
            provenance=dict(info.provenance),
            side=info.tile.side,
            stride=info.tile.stride,
            threshold=info.threshold,
            alarm_area=info.alarm_area,
        )
        self._record.set_header(replace(self._record.header(), localizer=made))

    def count(self, results: Iterable[ScanResult]) -> int:
        """How many squares are read of images, as far as their sizes are known."""
        return sum(plan.reads for result in _distinct(results) if (plan := self._plan_of(result)))

    def check(self, results: Iterable[ScanResult]) -> None:
        """Refuse, before hours of work, files that could not be written.

        Raises:
            OutputError: somebody else's file is there.
        """
        files = self._request.files
        if files is not None:
            files.prepare()
            for result in _distinct(results):
                files.check(str(result.facts.sha256), self._localizer.info.digest)

    def run(self, results: Iterable[ScanResult], done: Done = lambda _: None) -> Iterator[Localized]:
        """What a localizer makes of each image; images with equal bytes are read once.

        Args:
            results: of images that have a score.
            done: called with the number of squares that were read since the last call.

        Raises:
            OutputError: a file can't be written; what was done before is kept.
        """
        with open_reader(replace(self._config, pixels=True, thumbnails=False, find_copies=False)) as read:
            for result in _distinct(results):
                yield Localized(result, self._facts_of(result, read, done))

    def _facts_of(self, result: ScanResult, read: ItemReader, done: Done) -> Localization:
        sha256 = str(result.facts.sha256)
        kept = self._record.localization(sha256)
        if kept is not None and self._still_holds(kept, result):
            done(plan.reads if (plan := self._plan_of(result)) else 0)
            return kept.facts
        try:
            kept = self._make(sha256, read_again(result, read), done)
        except ImageError as error:
            info = self._localizer.info
            kept = KeptLocalization(Localization(info.name, info.digest, message=error.message))
        self._record.keep_localization(sha256, kept)
        return kept.facts

    def _make(self, sha256: str, image: DecodedImage, done: Done) -> KeptLocalization:
        assert image.pixels is not None
        height, width, _ = image.pixels.shape
        turned = "rotated_by_container" in image.facts.flags  # then EXIF states what was before
        facts, measured = make_map(
            image.pixels,
            self._localizer,
            self._plan(width, height),
            self._config.batch or self._localizer.batch,
            done,
            orientation=None if turned else image.facts.exif.orientation,
            made_by=self._made_by,
        )
        if self._request.files is not None:
            self._request.files.write(sha256, _contents(image, measured, facts))
        if not self._request.with_images:
            return KeptLocalization(facts)
        return KeptLocalization(facts, *page_drawings(image.pixels, measured, facts))

    def _plan(self, width: int, height: int) -> Plan:
        return plan_of(width, height, self._localizer.info.tile, self._request.protocol, self._most)

    def _plan_of(self, result: ScanResult) -> Plan | None:
        width, height = result.facts.scored_size
        return self._plan(width, height) if width and height else None

    def _still_holds(self, kept: KeptLocalization, result: ScanResult) -> bool:
        """Whether an earlier map was made as this one would be, and its files are there."""
        info, facts, files = self._localizer.info, kept.facts, self._request.files
        plan = self._plan(facts.width, facts.height) if not facts.message else None
        if plan is None or bool(kept.drawing) != self._request.with_images:
            return False
        grid = plan.grid if plan.by_tiles else None
        if plan.compares and facts.area and facts.agreement is None:
            return False  # nobody asked for the other protocol then
        same = (
            (facts.digest, facts.threshold, facts.alarm_area, facts.made_by)
            == (info.digest, info.threshold, info.alarm_area, self._made_by)
            and facts.protocol == ("tiles" if plan.by_tiles else "global")
            and (facts.scale, facts.tiles) == ((grid.scale, len(grid)) if grid else (None, 1))
        )
        return same and (files is None or files.are_there(str(result.facts.sha256)))


def _contents(image: DecodedImage, measured: Measured, facts: Localization) -> dict[str, bytes]:
    assert image.pixels is not None
    drawn = map_png(measured, facts), mask_png(measured, facts), overlay_png(image.pixels, measured, facts)
    return dict(zip(SUFFIXES, drawn, strict=True))


def _distinct(results: Iterable[ScanResult]) -> Iterator[ScanResult]:
    """The first of each that have the same bytes."""
    seen = set[str]()
    for result in results:
        sha256 = result.facts.sha256
        if sha256 is not None and sha256 not in seen:
            seen.add(sha256)
            yield result
