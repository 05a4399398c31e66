"""A scan that is ready: its inputs become results, in batches."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from sidscan.config import CROPS_PER_IMAGE, MOST_CROPS, SIDE, Effort, ScanConfig
from sidscan.errors import OutputError
from sidscan.isolation.deadlines import running_time
from sidscan.isolation.processes import IdleProcesses, WorkerProcess
from sidscan.journal import Journal
from sidscan.journal.keys import Readers, ReuseKeys
from sidscan.journal.matching import Registered
from sidscan.models.refs import ModelChoice
from sidscan.pipeline.readers import open_reader, read_item
from sidscan.records import Counts, DecodedImage, Failure, Item, ItemReader, ScanResult, Stage, Status
from sidscan.reports.private import private_result
from sidscan.runtimes import Runtime
from sidscan.scoring.cascade import effort_used
from sidscan.scoring.kept_images import KeptImages
from sidscan.scoring.listing import Listing
from sidscan.scoring.pace import FIRST, Pace
from sidscan.scoring.reuse import reuse_keys
from sidscan.scoring.scorer import Calibrations, Scorer, ScoringJob
from sidscan.scoring.strongest_crops import StrongestCrops
from sidscan.sources.mounts import SlowPlace
from sidscan.util import threads
from sidscan.util.clock import Clock, utc_now
from sidscan.util.threads import available_cores

_log = logging.getLogger("sidscan.scan")

_FIRST = 2 * FIRST  # images that are read before all others, so that an estimate has warmed up
_FEWEST_TO_SPREAD = 1000


@dataclass
class Scan:
    """A run that is ready: iterate over it for the results that are still to be made.

    Each result is durable in ``journal`` before it is yielded. Stopping early loses nothing.

    Attributes:
        choice: the models, and why these.
        calibrations: what each model's scores are measured against, by its name; empty unless asked for.
        earlier: what became of an earlier run in the same journal; kept results are not yielded again.
        changes: what that run had otherwise, e.g. ``effort full (now normal)``.
        readers: what reads images in this run.
        clock: says when the time is up.
        slow_places: inputs on a phone or a network share.
        idle: reading processes of an earlier scan, and where this one leaves its own; None ends them.
        listing: lists the inputs; None if that is done.
        num_results: how many results this session has made.
        stopped: whether the time was up before all inputs had a result.
        kept_images: images of kept results that lack what reports show; a scan reads them first.
        pace: how long the rest takes.
    """

    config: ScanConfig
    journal: Journal
    runtime: Runtime
    choice: ModelChoice
    calibrations: Calibrations
    earlier: Registered
    changes: tuple[str, ...]
    readers: Readers
    clock: Clock
    slow_places: list[SlowPlace] = field(default_factory=list)
    idle: IdleProcesses | None = None
    listing: Listing | None = None
    num_results: int = 0
    stopped: bool = False
    kept_images: KeptImages = field(init=False)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.config.workers or available_cores(), self.runtime.at_once)
        self.kept_images = KeptImages(self.journal, self.config)
        self._reading_kept: Iterator[None] | None = None  # made later, lest a scan hold itself
        self._launched: WorkerProcess | None = None
        if self.listing is not None:
            weakref.finalize(self, self.listing.close)

    def keep_for_first_item(self, launched: WorkerProcess | None) -> None:
        """Take a worker that started while models were loaded; it ends with this object at the latest."""
        self._launched = launched
        if launched is not None:
            self._closing = weakref.finalize(self, launched.close)

    def _take_launched(self) -> WorkerProcess | None:
        """The worker that was launched, once; whoever takes it ends it."""
        launched, self._launched = self._launched, None
        if launched is not None:
            self._closing.detach()
        return launched

    def complete_kept(self) -> Iterator[None]:
        """Read the `kept_images` again, once; yields after each image."""
        if self._reading_kept is None:
            self._reading_kept = self._read_kept()
        yield from self._reading_kept

    def _read_kept(self) -> Iterator[None]:
        if len(self.kept_images):
            with open_reader(replace(self.config, views=()), idle=self.idle) as read:
                yield from self.kept_images.read(read)

    @property
    def effort(self) -> Effort:
        """Which crops of an image are computed; what was asked for, as far as all models state a cascade."""
        return effort_used(self.config, self.runtime.detectors)

    def __iter__(self) -> Generator[ScanResult, None, None]:
        for _ in self.complete_kept():
            pass
        keys = reuse_keys(self.config, self.runtime, self.calibrations)
        scorer = Scorer(self.runtime, self.calibrations, self.journal.find_by_sha256, self.effort)
        crops = self._strongest_crops()
        self.pace.expect(*self.journal.images_pending(), is_all=not self.is_listing)
        with closing(self._jobs(scorer)) as jobs, self._listing_ends():
            for job in jobs:
                results = self._record(job, scorer, keys, crops)
                self.pace.done(results)
                yield from results
                # What is not read costs no time; so each run looks at some image.
                if self.clock.is_up() and results[-1].stage is not Stage.LIST and self.journal.num_pending():
                    self.stopped = True
                    break
        self._end_completely()

    @property
    def is_listing(self) -> bool:
        """Whether more inputs may follow."""
        return self.listing is not None and not self.listing.is_complete

    @contextmanager
    def _listing_ends(self) -> Iterator[None]:
        """End the listing with what it is for; where it fails, the session ends."""
        if self.listing is None:
            yield
            return
        try:
            self.listing.follow(self.pace)
            yield
        finally:
            self.listing.close()

    def _record(
        self, job: ScoringJob, scorer: Scorer, keys: ReuseKeys, crops: StrongestCrops
    ) -> list[ScanResult]:
        """End a job that was scored, and make its results durable."""
        results = scorer.end(job)
        if self.config.private:
            results = list(map(private_result, results))
        second = {} if self.config.private else _small_images(job, "second_image")
        thumbnails = _small_images(job, "thumbnail")
        self.journal.append(results, keys, thumbnails, crops.of(job.batch, results), second)
        self.num_results += len(results)
        return results

    def alone(self, items: Iterable[Item], give_up: Callable[[Item], str]) -> Iterator[ScanResult]:
        """Read and score inputs one by one: nothing else is under way when one ends this process.

        Args:
            give_up: called before each is read; if it gives a message, the input is not read, and this is
                why it has no score.
        """
        keys = reuse_keys(self.config, self.runtime, self.calibrations)
        scorer = Scorer(self.runtime, self.calibrations, self.journal.find_by_sha256, self.effort)
        crops = self._strongest_crops()
        with open_reader(self.config, idle=self.idle) as read:
            for item in items:
                if message := give_up(item):
                    entry: DecodedImage | Failure = Failure(
                        item, Stage.DECODE, "Crashed", message, status=Status.CRASHED
                    )
                else:
                    entry = read_item(item, read)
                yield from self._record(scorer.score(scorer.begin([entry], utc_now())), scorer, keys, crops)

    def _strongest_crops(self) -> StrongestCrops:
        if not self.config.thumbnails:
            return StrongestCrops(0)
        return StrongestCrops(MOST_CROPS, self.journal.strongest())

    def _end_completely(self) -> None:
        """Record the end of a session that did what it was asked for."""
        if not self.stopped and (missing := self.journal.num_pending()):
            raise OutputError(f"{missing} inputs have no result in the record", "Run it again.")
        if self.is_listing:
            raise OutputError("not all inputs were listed", "Run it again.")
        if self.counts().pending:
            self.end("stopped" if self.stopped else "sampled")
        else:
            self.end("finished")
            self.journal.purge_stale()
        _log.info("finished: %s", self.counts())

    def _jobs(self, scorer: Scorer) -> Generator[ScoringJob, None, None]:
        """Batches in the order of the inputs, scored; while one is recorded, others are read and scored.

        A batch is full when one more image might be too much: a pass for a few crops costs a full one. In a
        cascade each image counts as its centre crop, so that the first stage fills its pass.
        """
        runtime, workers = self.runtime, self.config.workers
        cascade = self.effort == "normal"
        most = 1 if cascade else CROPS_PER_IMAGE[self.config.crops]
        with (
            open_reader(self.config, self._take_launched(), self.idle) as read,
            closing(self._images(read, workers)) as images,
        ):
            try:
                yield from threads.map_batches(
                    images,
                    weigh=_pictures_to_read if cascade else _crops_to_read,
                    enough=(self.config.batch or runtime.batch) - most + 1,
                    begin=lambda batch: scorer.begin(batch, utc_now()),
                    function=partial(self._score, scorer),
                    at_once=runtime.at_once,
                )
            finally:  # nobody waits for what is under way
                scorer.abandon()

    def _images(
        self, read: ItemReader, workers: int | None
    ) -> threads.OrderedMap[Item, DecodedImage | Failure]:
        """What is read of the inputs, as far as they are listed."""
        function = partial(self._read, read=read)
        if self.listing is None or self.listing.is_complete:
            return threads.OrderedMap(function, read.announced(self._pending()), workers)
        return threads.OrderedMap(function, read.announced(self.listing), workers, more=self.listing.more)

    def _pending(self) -> Iterator[Item]:
        """Inputs to read, in their order, except that the first hundred of many are spread over all of them.

        So the estimate of the time that is left rests on images of all folders. Where time may be short, all
        are mixed from all folders, so that what was seen is a sample then. Members of compressed tars are
        never mixed.
        """
        mixed, ordered = self.config.has_time_limit, self.journal.must_keep_order()
        few = self.journal.images_pending()[0] < _FEWEST_TO_SPREAD
        if mixed or ordered or self.config.in_order or few:
            yield from self.journal.pending(mixed and not ordered)
            return
        first = self.journal.spread_pending(_FIRST)
        yield from first
        names = {(item.name, item.kind) for item in first}
        yield from (item for item in self.journal.pending() if (item.name, item.kind) not in names)

    def _read(self, item: Item, read: ItemReader) -> DecodedImage | Failure:
        started = running_time()
        entry = read_item(item, read)
        if not item.skip:
            self.pace.read(item, running_time() - started)
        return entry

    def _score(self, scorer: Scorer, job: ScoringJob) -> ScoringJob:
        started = running_time()
        scored = scorer.score(job)
        self.pace.scored(len(job.batch), running_time() - started)
        return scored

    def end(self, ending: Literal["finished", "sampled", "stopped", "interrupted"]) -> None:
        """Record how this session ended; a session without an ending was killed."""
        now, header = utc_now(), self.journal.header()
        *earlier, session = header.sessions
        session = replace(session, ended=now, ending=ending, findings=self.num_results)
        header = replace(header, sessions=(*earlier, session))
        if ending == "finished":
            header = replace(header, finished=now, sample=None)
        self.journal.set_header(header)

    def counts(self) -> Counts:
        """How the inputs ended so far."""
        return self.journal.counts()

    @property
    def total(self) -> int:
        """How many inputs have a result when all that this run is to look at are done."""
        counts = self.counts()
        return counts.enumerated - counts.pending + self.journal.num_pending()


def _small_images(job: ScoringJob, name: Literal["thumbnail", "second_image"]) -> dict[str, bytes]:
    """Those that images of a batch have, by the sha256 of the images' bytes."""
    images = (entry for entry in job.batch if isinstance(entry, DecodedImage))
    return {str(image.facts.sha256): small for image in images if (small := getattr(image, name))}


def _crops_to_read(entry: DecodedImage | Failure) -> int:
    """How much of a batch an entry takes; a failure takes as much as one crop, to become durable soon."""
    crops = len(set(entry.crop_set.order)) if isinstance(entry, DecodedImage) else 1
    return max(crops, _pictures_to_read(entry))


def _pictures_to_read(entry: DecodedImage | Failure) -> int:
    """The same where crops count as one: its pictures of the whole image, by their pixels."""
    pictures = entry.views.values() if isinstance(entry, DecodedImage) else ()
    return max(sum(picture.size for picture in pictures) // (3 * SIDE * SIDE), 1)
