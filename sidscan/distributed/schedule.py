"""Which shard is scanned next, and which again: the rules of a run on a cluster, without the cluster."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from collections.abc import Set as AbstractSet

MAX_ATTEMPTS = 5
"""Times in a row that a shard is begun and lost without a new result; then the run goes on without it."""
_MOST_THERE = MAX_ATTEMPTS - 1  # of these attempts, on the same host, as long as it works
_SLOW = 2.0  # times the median: a shard that takes longer is begun a second time when nothing else is left
_SOONEST = 60.0  # seconds


class Schedule:
    """The shards of a run that have no results yet, and who scans them.

    Args:
        shards: their numbers, in the order in which they are begun.
        soonest: seconds that a shard may take before it counts as slow.
    """

    def __init__(self, shards: Iterable[int], soonest: float = _SOONEST) -> None:
        self._waiting = list(shards)
        self._soonest = soonest
        self._begun: dict[tuple[int, Hashable], float] = {}  # shard and worker -> when
        self._hosts: dict[tuple[int, Hashable], Hashable] = {}  # shard and worker -> where
        self._lost: Counter[int] = Counter()  # since the last new result
        self._lost_on: dict[int, Hashable] = {}  # shard -> the host of its last attempt
        self._most_done: Counter[tuple[int, Hashable]] = Counter()  # shard and host -> results there
        self._refused: defaultdict[int, set[Hashable]] = defaultdict(set)  # shard -> hosts that can't scan it
        self._postponed: Counter[int] = Counter()
        self._seconds: list[float] = []
        self.finished: set[int] = set()
        self.given_up: set[int] = set()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return not self._waiting and not self._under_way()

    def _under_way(self) -> set[int]:
        return {shard for shard, _ in self._begun} - self.finished

    def next_shard(
        self, host: Hashable, now: float, hosts: AbstractSet[Hashable] = frozenset()
    ) -> int | None:
        """The shard that a worker on ``host`` should begin now; None if there is none for it.

        A shard that was lost is left to the host of that attempt: its results under way are there, and so is
        the note of what ended it. Where all are begun, one that takes long is begun a second time, elsewhere:
        its worker may be a slow machine. On the same one, both would write the same file.

        Args:
            hosts: those that work, or will soon.
        """
        for shard in self._waiting:
            if host not in self._refused[shard] and not self._is_left_to_another(shard, host, hosts):
                return shard
        return None if self._waiting else self._slow_shard(host, now)

    def _is_left_to_another(self, shard: int, host: Hashable, hosts: AbstractSet[Hashable]) -> bool:
        lost_on = self._lost_on.get(shard)
        return (
            lost_on not in (None, host)
            and lost_on in hosts - self._refused[shard]
            and self._lost[shard] < _MOST_THERE
        )

    def _slow_shard(self, host: Hashable, now: float) -> int | None:
        typical = statistics.median(self._seconds) if self._seconds else 0.0
        workers = Counter(shard for shard, _ in self._begun)
        for (shard, _), begun in sorted(self._begun.items(), key=lambda entry: entry[1]):
            is_slow = now - begun > max(_SLOW * typical, self._soonest)
            if is_slow and workers[shard] == 1 and shard not in self.finished | self.given_up:
                there = {self._hosts[each] for each in self._begun if each[0] == shard}
                return None if host in self._refused[shard] | there else shard
        return None

    def begin(self, shard: int, worker: Hashable, now: float, host: Hashable = None) -> None:
        """Note that a worker on ``host`` scans a shard from now on."""
        if shard in self._waiting:
            self._waiting.remove(shard)
        self._begun[shard, worker], self._hosts[shard, worker] = now, host

    def end(self, shard: int, worker: Hashable, now: float) -> None:
        """Note that a shard has results."""
        self._seconds.append(now - self._begun.pop((shard, worker)))
        self.finished.add(shard)
        self.given_up.discard(shard)
        if shard in self._waiting:
            self._waiting.remove(shard)

    def progress(self, shard: int, host: Hashable, done: int) -> bool:
        """Note how many of a shard's inputs have results on a host; returns whether some are new."""
        if done <= self._most_done[shard, host]:
            return False
        self._most_done[shard, host] = done
        self._lost[shard] = 0
        return True

    def lose(self, shard: int, worker: Hashable) -> None:
        """Note that a worker died or hung over a shard: it waits again, unless that happened too often."""
        self._lost[shard] += 1
        self._lost_on[shard] = self._hosts.get((shard, worker))
        self._return(shard, worker)

    def refuse(self, shard: int, worker: Hashable, host: Hashable) -> None:
        """Note that a shard can't be scanned on a host: others may still try."""
        self._refused[shard].add(host)
        self.lose(shard, worker)

    def postpone(self, shard: int, worker: Hashable, most: int) -> bool:
        """Put a shard that somebody else has behind all others; False if that was done ``most`` times."""
        if self._postponed[shard] >= most:
            return False
        self._postponed[shard] += 1
        self._return(shard, worker)
        return True

    def put_back(self, shard: int, worker: Hashable) -> None:
        """Note that a worker leaves for a reason that has nothing to do with the shard."""
        self._return(shard, worker)

    def _return(self, shard: int, worker: Hashable) -> None:
        self._begun.pop((shard, worker), None)
        if shard in self.finished or shard in {other for other, _ in self._begun}:
            return
        if self._lost[shard] >= MAX_ATTEMPTS:
            self.given_up.add(shard)
        else:
            self._waiting.append(shard)

    def attempt(self, shard: int) -> int:
        """The number of the attempt at a shard that is next or under way, from 1."""
        return self._lost[shard] + 1

    def give_up_refused(self, hosts: AbstractSet[Hashable]) -> None:
        """Give up shards that none of the hosts can scan, where there are hosts."""
        hopeless = [shard for shard in self._waiting if hosts and hosts <= self._refused[shard]]
        for shard in hopeless:
            self._waiting.remove(shard)
            self.given_up.add(shard)
