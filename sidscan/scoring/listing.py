"""Inputs that are listed while images are scored: a thread lists them, and the scan's own records them.

A slow share, a large archive or a bucket takes minutes to hours to list. What was listed is recorded before
it is read, so a scan that ends early knows what it had, and the next one goes on from there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from enum import Enum, auto

from sidscan.journal import Journal
from sidscan.journal.listings import KeptListings
from sidscan.records import Item
from sidscan.scoring.pace import Pace
from sidscan.util.background import Background

_BEFORE = 2.0  # seconds of listing before the first image is read; few scans take longer to list
_TICK = 0.1  # seconds
_MOST = 50_000  # inputs that wait to be recorded, about 20 MB
_AT_ONCE = 5000  # inputs that are recorded at once, if images wait to be read
_EVERY = 1.0  # seconds after which fewer are
_LINGER = 1.0  # seconds for which the end of a scan waits for the thread, which may hang in the system


class Skipped(Enum):
    """When inputs get their row that are not read; until all is listed they may be named again, to be read.

    Attributes:
        AT_ONCE: in their turn, since nothing is named twice.
        LAST: when all is listed.
        IN_ORDER: the same; all that stand behind the first of them wait, too.
    """

    AT_ONCE = auto()
    LAST = auto()
    IN_ORDER = auto()


class Listing:
    """The inputs of a scan whose listing goes on.

    Args:
        items: the inputs, which another thread lists from now on.
        lists: what keeps lists of archives.
        end: called when the listing has ended, or is not wanted any more.
        skipped: when inputs get their rows that are not read.

    Attributes:
        is_complete: whether all inputs are in the record.
        has_failed: whether it can't go on.
        number: how many inputs are in the record.
        repeated: how many of the later ones were named before.
        changed: called whenever inputs were recorded.
    """

    def __init__(
        self,
        items: Iterator[Item],
        journal: Journal,
        lists: KeptListings,
        end: Callable[[], object],
        skipped: Skipped,
    ) -> None:
        lists.list_in_thread()
        self._journal, self._lists, self._end, self._skipped = journal, lists, end, skipped
        self._found = Background(items, _MOST)
        self._started = self._recorded = time.monotonic()
        self._ready: deque[Item] = deque()
        self._last = -1  # position behind which inputs were not handed out yet
        self._last_skipped = -1  # the same of those that are not read and wait for the end
        self._has_new = True  # whether there may be some
        self._reopened: list[int] = []  # positions before it, to be handed out at the end
        self.is_complete = self.has_failed = False
        self.number = self.repeated = 0
        self.changed: Callable[[], object] | None = None
        self._pace: Pace | None = None

    def first_items(self) -> Iterator[Item | None]:
        """The inputs, until somebody stops (`may_pause`); None where none comes for a while."""
        return self._found.each(_TICK)

    def may_pause(self) -> bool:
        """Whether the first images should not wait any longer."""
        return time.monotonic() - self._started >= _BEFORE

    def follow(self, pace: Pace) -> None:
        """Go on after `Journal.register_inputs`, whose inputs are the first ones."""
        self._pace, self.number = pace, self._journal.counts().enumerated

    def more(self) -> Future[None] | None:
        """None if the next input of the iteration is known, or that there is none; else what to wait for.

        Raises:
            SidscanError: the listing failed; all that was listed before is in the record.
        """
        if not self.is_complete:
            self._record()
        if self._ready or self._fetch() or self.is_complete:
            return None
        return self._found.changed()

    def __iter__(self) -> Iterator[Item]:
        """The inputs without a result; who takes one asks `more` before."""
        while self._ready or self._fetch():
            yield self._ready.popleft()

    def close(self) -> None:
        """End the listing, complete or not."""
        self.changed = None
        self._found.stop()
        self._end()
        self._found.join(_LINGER)

    def _record(self) -> None:
        """Record what was found, unless it is little and nobody waits for it."""
        late = time.monotonic() - self._recorded >= _EVERY
        if not (late or not self._ready or len(self._found) >= _AT_ONCE):
            return
        try:
            items, is_all = self._found.take()
        except BaseException:
            self.has_failed = True
            self.close()
            raise
        self._recorded = time.monotonic()
        if not items and not is_all:
            return
        added = self._journal.add_inputs(items, is_all, reopen=self._skipped is not Skipped.AT_ONCE)
        self._lists.flush()
        self.number += len(items) - added.repeated
        self.repeated += added.repeated
        self._reopened += [position for position in added.reopened if position <= self._last]
        self._has_new = True
        changed = self.changed
        if is_all:
            self._complete()
        elif self._pace is not None:
            read = [item for item in items if not item.skip]
            self._pace.expect_more(len(read), sum(item.size for item in read))
        if changed is not None:
            changed()

    def _complete(self) -> None:
        self.is_complete = True
        self._lists.purge()
        self.close()
        if self._pace is not None:
            self._pace.expect(*self._journal.images_pending())

    def _fetch(self) -> bool:
        """Get the next inputs from the record, if it has more."""
        if self._has_new:
            at_once = self._skipped is not Skipped.LAST
            rows = self._journal.pending_after(self._last, skipped=None if at_once else False)
            for position, item in rows:
                if item.skip and self._skipped is Skipped.IN_ORDER and not self.is_complete:
                    break
                self._last = position
                self._ready.append(item)
            self._has_new = bool(rows) and position == self._last
        if not self._ready and self.is_complete:
            self._ready.extend(self._journal.pending_at(self._reopened))
            self._reopened = []
            if self._skipped is Skipped.LAST:
                self._fetch_skipped()
        return bool(self._ready)

    def _fetch_skipped(self) -> None:
        """In the end: inputs that are not read."""
        rows = self._journal.pending_after(self._last_skipped, skipped=True)
        self._ready.extend(item for _, item in rows)
        if rows:
            self._last_skipped = rows[-1][0]
