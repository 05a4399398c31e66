"""All shards of a run as one record, from which every kind of report is written."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sidscan.config import MOST_CROPS
from sidscan.distributed.journals import PublishedJournal, Standing
from sidscan.distributed.ledger import Accepted, Ledger
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.standings import Place, Standings, shortened
from sidscan.errors import OutputError, UsageError
from sidscan.journal.results import loaded
from sidscan.records import Counts, RunHeader, RunRecord, ScanResult, SessionRecord
from sidscan.records.localization import KeptLocalization
from sidscan.records.score_map import CloserLook
from sidscan.util.files import content_sha256

_OPEN = 100  # journals at a time
_FEW, _MANY = 100, 20_000  # results in any order that are read together: at first, and then; 40 MB
_OF_IMAGES = ("thumbnails", "second_images", "crops", "closer_looks", "localizations")
T = TypeVar("T")


class ShardedRecord(RunRecord):
    """The record of a run, made of the journals that its ledger names.

    Raises:
        UsageError: it names none.
        OutputError: of any method that reads a journal: it is not the one that was accepted.
    """

    def __init__(self, run: RunFolder, plan: Plan, ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger
        self._journals = {each.number: each for each in ledger.accepted()}
        self._unchanged = set[int]()
        self._holding: dict[str, set[int]] = {table: set() for table in _OF_IMAGES}  # by `_standings`
        if not self._journals:
            raise UsageError(
                f"no shard of {run.location} has results yet", "Scan it: sidscan scan --run RUN."
            )
        self._opened: OrderedDict[int, PublishedJournal] = OrderedDict()

    def close(self) -> None:
        """Release the journals."""
        for journal in self._opened.values():
            journal.close()
        self._opened.clear()
        if "_standings" in self.__dict__:
            self._standings.close()

    def _journal(self, number: int) -> PublishedJournal:
        """The journal of a shard; those that were used last stay open."""
        if number not in self._opened:
            self._opened[number] = self._open(number)
            if len(self._opened) > _OPEN:
                self._opened.popitem(last=False)[1].close()
        self._opened.move_to_end(number)
        return self._opened[number]

    def _open(self, number: int) -> PublishedJournal:
        accepted = self._journals[number]
        path = self._ledger.local_file(accepted.journal)
        if number not in self._unchanged:
            _check_unchanged(path, accepted)
            self._unchanged.add(number)
        return PublishedJournal(path)

    @cached_property
    def _header(self) -> RunHeader:
        headers = []
        for number in self._journals:
            with closing(self._open(number)) as journal:
                headers.append(journal.header())
        facts = self._plan.facts
        complete = len(headers) == len(self._plan.slices)
        return replace(
            headers[0],
            inputs=tuple(facts["inputs"]),
            lists=tuple(facts["lists"]),
            started=min(header.started or "" for header in headers),
            finished=max(header.finished or "" for header in headers) if complete else None,
            sessions=tuple(_merged(session for header in headers for session in header.sessions)),
        )

    def header(self) -> RunHeader:
        """The facts about the run; sessions that differ in their times alone are one."""
        return self._header

    def counts(self) -> Counts:
        """How many inputs there are, and how they ended."""
        return self._ledger.counts()

    def results(self) -> Iterator[ScanResult]:
        """All results, in the order of the inputs."""
        for number in self._journals:
            with closing(self._open(number)) as journal:
                yield from journal.results()

    def shards(self) -> Iterator[tuple[int, PublishedJournal]]:
        """The record of each shard by itself, with its number; it is open until the next one is asked for."""
        for number in self._journals:
            with closing(self._open(number)) as journal:
                yield number, journal

    @cached_property
    def _standings(self) -> Standings:
        return Standings(self._standings_of_shards())

    def _standings_of_shards(self) -> Iterator[tuple[int, Iterator[Standing]]]:
        for number, journal in self.shards():
            for table in journal.tables_in_use(_OF_IMAGES):
                self._holding[table].add(number)
            yield number, journal.standings()

    def ranked(self) -> Iterator[ScanResult]:
        """All results, the strongest evidence first, inputs without a score last."""
        return self._at(self._standings.ranked())

    def repeats(self) -> int:
        """Number of scored images whose bytes equal those of another one, not counting the first of each."""
        return self._standings.repeats()

    def possible_copies(self) -> Iterator[ScanResult]:
        """Those results that `review.copies.find_copies` needs, in the order of the inputs."""
        return self._at(self._standings.possible_copies())

    def _at(self, places: Iterator[Place]) -> Iterator[ScanResult]:
        """Results in any order: of many that follow each other, each journal is asked once."""
        many = _FEW
        while window := list(islice(places, many)):
            of_shard: dict[int, list[int]] = {}
            for shard, position in window:
                of_shard.setdefault(shard, []).append(position)
            stored = {
                (shard, position): result
                for shard, positions in of_shard.items()
                for position, result in self._journal(shard).stored_at(positions)
            }
            for place in window:
                yield loaded(*stored.pop(place))
            many = _MANY

    def _with_bytes(self, sha256: str, table: str) -> Iterator[PublishedJournal]:
        """The journals that may have something in a table about these bytes."""
        standings, holding = self._standings, self._holding[table]  # which the former has filled
        for shard in standings.shards_with(sha256) if holding else ():
            if shard in holding:
                yield self._journal(shard)

    def thumbnail(self, sha256: str) -> bytes | None:
        """The thumbnail of an image's bytes; None if there is none."""
        return _first(each.thumbnail(sha256) for each in self._with_bytes(sha256, "thumbnails"))

    def second_image(self, sha256: str) -> bytes | None:
        """The preview in an image's bytes that shows another image; None if there is none."""
        return _first(each.second_image(sha256) for each in self._with_bytes(sha256, "second_images"))

    @cached_property
    def _strongest(self) -> frozenset[bytes]:
        """The images whose crops a report shows: as many as of a run that is one scan."""
        return self._standings.strongest(MOST_CROPS)

    def crop(self, sha256: str, view: str) -> bytes | None:
        """A view of an image at full size, as it lies in the image; None if it was not kept."""
        if shortened(sha256) not in self._strongest:
            return None
        return _first(each.crop(sha256, view) for each in self._with_bytes(sha256, "crops"))

    def closer_look(self, sha256: str) -> CloserLook | None:
        """All windows of an image with these bytes, scored; None if nobody looked closer."""
        return _first(each.closer_look(sha256) for each in self._with_bytes(sha256, "closer_looks"))

    def localization(self, sha256: str) -> KeptLocalization | None:
        """What a localizer made of an image with these bytes; None if nobody asked one."""
        return _first(each.localization(sha256) for each in self._with_bytes(sha256, "localizations"))

    def selection(self) -> None:
        """None: it holds all results of its run."""

    def output_digests(self, out: Path) -> Collection[str]:
        """The sha256 of what this run last wrote to ``out``, hex."""
        return self._ledger.output_digests(out)

    def expect_output(self, out: Path, sha256: str) -> None:
        """Note it in the ledger."""
        self._ledger.expect_output(out, sha256)

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Note it in the ledger."""
        self._ledger.confirm_output(out, sha256)


def _first(found: Iterable[T | None]) -> T | None:
    return next((each for each in found if each is not None), None)


def _check_unchanged(path: Path, accepted: Accepted) -> None:
    """Refuse results that were replaced after they were checked.

    Raises:
        OutputError: they were.
    """
    if content_sha256(path) != accepted.sha256:
        raise OutputError(
            f"the results in {path} were changed after they were accepted",
            "Copy that file back from a backup; or remove it, and scan its shard again with --run.",
        )


def _merged(sessions: Iterable[SessionRecord]) -> Iterator[SessionRecord]:
    """Sessions of equal machines, software and endings, each with all their time and results."""
    found: dict[str, list[SessionRecord]] = {}
    for session in sessions:
        alike = {**asdict(session), "started": None, "ended": None, "findings": None}
        found.setdefault(json.dumps(alike, sort_keys=True), []).append(session)
    for like in found.values():
        ends = [session.ended for session in like if session.ended]
        yield replace(
            like[0],
            started=min(session.started or "" for session in like),
            ended=max(ends) if ends else None,
            findings=sum(session.findings or 0 for session in like),
        )
