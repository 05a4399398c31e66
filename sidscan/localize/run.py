"""Maps of images of a run: what `sidscan localize` does after its scan.

The pixels are read as the scan reads them, in an isolated process under the same limits. What is made of an
image is durable in the run's record before it is yielded, so a run that was killed goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event

from sidscan.config import ScanConfig
from sidscan.errors import ImageError
from sidscan.images.decode import decoder_name
from sidscan.isolation.read_again import read_again
from sidscan.journal import Journal
from sidscan.localize.drawings import map_png, mask_png, overlay_png, page_drawings
from sidscan.localize.image_map import Protocol, ReadPlan, make_map, plan_for
from sidscan.localize.map_files import MapFiles
from sidscan.localize.regions import Measured
from sidscan.localize.tile_reader import TileReader, no_memory
from sidscan.localize.tiles import Pixels
from sidscan.pipeline import open_reader
from sidscan.records import DecodedImage, ItemReader, Kind, ScanResult, Status
from sidscan.records.localization import KeptLocalization, Localization, LocalizerRecord
from sidscan.runtimes import OpenLocalizer
from sidscan.sources.objects import why_refused
from sidscan.util.own_maps import SUFFIXES
from sidscan.util.threads import OrderedMap

MOST_TILES = {"cpu": 120, "cuda": 512}
"""Of an image, if nobody says otherwise. 120 hold what generators make, 1536 x 1024 px, at its own size."""
_LARGE = 3 * 40_000_000  # bytes of pixels; no other image is read or drawn meanwhile
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


@dataclass(frozen=True)
class _Work:
    """An image on its way.

    Attributes:
        kept: what the record has, or is to have, of it.
        is_kept: whether the record has it already.
        image: its pixels, and ``made`` its map, until that is drawn.
        contents: of its files, by suffix.
        message: why there is no map.
        drawn: set when its pixels are not needed any more.
    """

    result: ScanResult
    kept: KeptLocalization | None = None
    is_kept: bool = False
    image: DecodedImage | None = None
    made: tuple[Localization, Measured] | None = None
    contents: Mapping[str, bytes] = field(default_factory=dict)
    message: str = ""
    drawn: Event = field(default_factory=Event)

    @property
    def is_large(self) -> bool:
        """Whether its pixels alone may fill memory."""
        return self.image is not None and self.image.pixels is not None and self.image.pixels.size > _LARGE

    def failed(self, error: ImageError | MemoryError) -> _Work:
        """The same without a map."""
        said = error if isinstance(error, ImageError) else no_memory()
        return replace(self, image=None, made=None, contents={}, message=said.message)


class Localizing:
    """Makes maps of images of one run.

    Args:
        record: of the run.
        config: how images are read.
    """

    def __init__(
        self, record: Journal, config: ScanConfig, localizer: OpenLocalizer, request: Request
    ) -> None:
        self._record, self._config, self._request = record, config, request
        self._tiles = TileReader(localizer, config.batch or localizer.batch)
        runtime = localizer.runtime
        self._most = request.most_tiles or MOST_TILES["cpu" if runtime.device == "cpu" else "cuda"]
        made_by = f"{runtime.runtime}, {runtime.device}, {runtime.precision}"
        self._made_by = f"{made_by}; {decoder_name()}"

    @property
    def batch(self) -> int:
        """Tiles that are read at once; fewer than before, where memory was short."""
        return self._tiles.batch

    def note_localizer(self) -> None:
        """Record which localizer the run has; reports show the maps of this one alone."""
        info = self._tiles.info
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
            alarm_contrast=info.alarm_contrast,
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
            for number, result in enumerate(_distinct(results)):
                if number == 0:
                    files.prepare()
                files.check(str(result.facts.sha256), self._tiles.info.digest)

    def run(self, results: Iterable[ScanResult], done: Done = lambda _: None) -> Iterator[Localized]:
        """What a localizer makes of each image; images with equal bytes are read once.

        While the localizer reads an image, the next one is read from disk, and the one before is drawn.

        Args:
            results: of images that have a score.
            done: called with the number of squares that were read since the last call.

        Raises:
            OutputError: a file can't be written; what was done before is kept.
        """
        config = replace(self._config, pixels=True, thumbnails=False, find_copies=False)
        with (
            open_reader(config) as read,
            closing(OrderedMap(partial(self._read, read=read), self._begun(results), 1, ahead=1)) as images,
            closing(self._mapped(images, done)) as mapped,
            closing(OrderedMap(self._drawn, mapped, 1)) as drawn,
        ):
            try:
                while drawn.peek() is not None:
                    yield self._ended(drawn.pop())
            except (KeyboardInterrupt, GeneratorExit):  # what has its map already is kept
                mapped.close()
                while drawn.peek() is not None:
                    self._ended(drawn.pop())
                raise

    def _begun(self, results: Iterable[ScanResult]) -> Iterator[_Work]:
        for result in _distinct(results):
            kept = self._record.localization(str(result.facts.sha256))
            holds = kept is not None and self._still_holds(kept, result)
            yield _Work(result, kept if holds else None, is_kept=holds)

    def _read(self, work: _Work, read: ItemReader) -> _Work:
        """With the image's pixels, if no map of it holds."""
        if work.kept is not None:
            return work
        result = work.result
        # A record is somebody's text, and would be read with the keys of this machine.
        if result.kind is Kind.OBJECT and (why := why_refused(result.name, self._config)):
            return work.failed(ImageError(why, "BucketRefused", Status.REFUSED.value))
        try:
            return replace(work, image=read_again(result, read))
        except (ImageError, MemoryError) as error:
            return work.failed(error)

    def _mapped(self, images: OrderedMap[_Work, _Work], done: Done) -> Generator[_Work, None, None]:
        """Images with their maps. No other image is held in memory beside one that is very large."""
        while images.peek() is not None:
            work = images.pop()
            if not work.is_large:
                images.peek()  # the next one is read meanwhile
            yield self._with_map(work, done)
            if work.is_large:
                work.drawn.wait()

    def _with_map(self, work: _Work, done: Done) -> _Work:
        if work.image is None:
            done(plan.reads if (plan := self._plan_of(work.result)) else 0)
            return work
        assert work.image.pixels is not None
        height, width, _ = work.image.pixels.shape
        facts = work.image.facts
        turned = "rotated_by_container" in facts.flags  # then EXIF states what was before
        try:
            made = make_map(
                work.image.pixels,
                self._tiles,
                self._plan(width, height),
                done,
                orientation=None if turned else facts.exif.orientation,
                made_by=self._made_by,
            )
        except (ImageError, MemoryError) as error:
            return work.failed(error)
        return replace(work, made=made)

    def _drawn(self, work: _Work) -> _Work:
        """With what is written and kept of it, and without its pixels."""
        try:
            return self._drawings_of(work)
        except MemoryError as error:
            return work.failed(error)
        finally:
            work.drawn.set()

    def _drawings_of(self, work: _Work) -> _Work:
        if work.image is None or work.made is None:
            return work
        pixels, (facts, measured) = work.image.pixels, work.made
        assert pixels is not None
        contents = _contents(pixels, measured, facts) if self._request.files is not None else {}
        drawings = page_drawings(pixels, measured, facts) if self._request.with_images else ()
        kept = KeptLocalization(facts, *drawings)
        return replace(work, kept=kept, contents=contents, image=None, made=None)

    def _ended(self, work: _Work) -> Localized:
        """Make durable what came of an image."""
        kept, sha256 = work.kept, str(work.result.facts.sha256)
        if kept is None:
            info = self._tiles.info
            kept = KeptLocalization(Localization(info.name, info.digest, message=work.message))
        if work.contents and self._request.files is not None:
            self._request.files.write(sha256, work.contents)
        if not work.is_kept:
            self._record.keep_localization(sha256, kept)
        return Localized(work.result, kept.facts)

    def _plan(self, width: int, height: int) -> ReadPlan:
        return plan_for(self._tiles.info, width, height, self._request.protocol, self._most)

    def _plan_of(self, result: ScanResult) -> ReadPlan | None:
        width, height = result.facts.scored_size
        return self._plan(width, height) if width and height else None

    def _still_holds(self, kept: KeptLocalization, result: ScanResult) -> bool:
        """Whether an earlier map was made as this one would be, and its files are there."""
        info, facts, files = self._tiles.info, kept.facts, self._request.files
        plan = self._plan(facts.width, facts.height) if not facts.message else None
        if plan is None or bool(kept.drawing) != self._request.with_images:
            return False
        grid = plan.grid if plan.by_tiles else None
        if plan.compares and facts.area and facts.agreement is None:
            return False  # nobody asked for the other protocol then
        same = (
            (facts.digest, facts.made_by, facts.flags) == (info.digest, self._made_by, plan.flags)
            and (facts.threshold, facts.alarm_area, facts.alarm_contrast)
            == (info.threshold, info.alarm_area, info.alarm_contrast)
            and facts.protocol == plan.protocol
            and (facts.scale, facts.tiles) == ((grid.scale, len(grid)) if grid else (None, 1))
        )
        return same and (files is None or files.are_there(str(result.facts.sha256)))


def _contents(pixels: Pixels, measured: Measured, facts: Localization) -> dict[str, bytes]:
    drawn = map_png(measured, facts), mask_png(measured, facts), overlay_png(pixels, measured, facts)
    return dict(zip(SUFFIXES, drawn, strict=True))


def _distinct(results: Iterable[ScanResult]) -> Iterator[ScanResult]:
    """The first of each that have the same bytes."""
    seen = set[str]()
    for result in results:
        sha256 = result.facts.sha256
        if sha256 is not None and sha256 not in seen:
            seen.add(sha256)
            yield result
