"""The folder of a run: its options, its plans, and the journals of its shards."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from sidscan._version import __version__
from sidscan.distributed.place import RunPlace, ledger_path, store_at
from sidscan.distributed.settings import Scoring, differing_options
from sidscan.distributed.slices import Slice, digest_of, read_slice, write_slice
from sidscan.distributed.store import PROBE, RunStore, check_writable, get_text, put_text
from sidscan.errors import OutputError, UsageError
from sidscan.records import Item, JsonObject

FORMAT = 1
"""Number of the layout of a run's folder."""
RUN = "run.json"
_SCORING, _PLANS, _SLICES, _SHARDS = "scoring.json", "plans/", "slices/", "shards/"
_PLAN_NAME = re.compile(rf"{_PLANS}(\d{{6,}})\.jsonl")


@dataclass(frozen=True)
class Plan:
    """The inputs of a run, as they were listed at one time.

    Attributes:
        number: of the plan, from 1.
        facts: how they were named and listed: ``inputs``, ``lists``, ``slice_size``, ``folder``, ``command``,
            ``planned``.
        slices: shard N scans the Nth, from 0.
    """

    number: int
    facts: JsonObject
    slices: tuple[Slice, ...]

    @property
    def file(self) -> str:
        """Its file, from the run's folder."""
        return _plan_name(self.number)

    @property
    def inputs(self) -> int:
        """How many there are."""
        return sum(each.inputs for each in self.slices)


NOTHING_PLANNED = Plan(0, {}, ())


class RunFolder:
    """A run that exists.

    Raises:
        UsageError: there is none, or a newer sidscan made it.
    """

    def __init__(self, place: RunPlace, store: RunStore | None = None) -> None:
        self.place = place
        self.store: RunStore = store or store_at(place)
        if self.store.head(RUN) is None:
            _check_there(self.store)
            raise UsageError(
                f"{self.location} is not a run of shards",
                "Plan one: sidscan scan FOLDER --run RUN --plan.",
            )
        self.facts = _facts(self.store)

    @classmethod
    def create(cls, place: RunPlace, options: JsonObject, store: RunStore | None = None) -> RunFolder:
        """The run at a place, begun now if there is none.

        Args:
            options: what decides how inputs are read and scored (`settings.kept_options`).

        Raises:
            UsageError: it has other options.
            OutputError: it can't be written, or files there may be replaced.
        """
        store = store or store_at(place)
        if store.head(RUN) is None:
            _check_empty(place, store)
            facts = {
                "format": FORMAT,
                "id": secrets.token_hex(8),
                "sidscan_version": __version__,
                "options": options,
            }
            check_writable(store)
            put_text(store, RUN, json.dumps(facts, indent=1) + "\n")
        run = cls(place, store)
        if differences := list(differing_options(run.options, options)):
            raise UsageError(
                f"{run.location} is a run with other options: {', '.join(differences)}",
                "Give the same options as before, or name another folder with --run.",
            )
        return run

    @property
    def location(self) -> str:
        """Where it is, for messages and for other processes: a folder's path, or a URL."""
        return self.store.location

    @property
    def options(self) -> JsonObject:
        """What decides how inputs are read and scored."""
        options: JsonObject = self.facts["options"]
        return options

    @property
    def id(self) -> str:
        """A name for it that no other run has."""
        return str(self.facts["id"])

    def check_writable(self) -> None:
        """Find out, before hours of work, whether results can be published.

        Raises:
            OutputError: they can't.
        """
        check_writable(self.store)

    def plan(self) -> Plan | None:
        """The latest plan; None before there is one.

        Raises:
            UsageError: it is damaged.
        """
        numbers = [int(match[1]) for match in map(_PLAN_NAME.fullmatch, self.store.list(_PLANS)) if match]
        return self._read_plan(max(numbers)) if numbers else None

    def _read_plan(self, number: int) -> Plan:
        try:
            first, *lines = get_text(self.store, _plan_name(number)).splitlines()
            slices = tuple(Slice(**{**raw, "starts": tuple(raw["starts"])}) for raw in map(json.loads, lines))
            return Plan(number, json.loads(first), slices)
        except (ValueError, LookupError, TypeError) as error:
            raise UsageError(
                f"{self.location}/{_plan_name(number)} is damaged", "Copy it back from a backup."
            ) from error

    def slice_size(self) -> int | None:
        """What the latest plan was asked for; None if there is none, or it does not say."""
        plan = self.plan()
        return plan.facts.get("slice_size") if plan else None

    def current_plan(self) -> Plan:
        """The latest plan.

        Raises:
            UsageError: there is none.
        """
        plan = self.plan()
        if plan is None:
            raise UsageError(
                f"{self.location} has no plan", "Name its inputs: sidscan scan FOLDER --run RUN."
            )
        return plan

    def numbered_plan(self, number: int) -> Plan:
        """A plan by its number.

        Raises:
            UsageError: there is none of that number, or it is damaged.
        """
        if self.store.head(_plan_name(number)) is None:
            raise UsageError(
                f"there is no plan {number} of {self.location}",
                "sidscan scan --run RUN --plan prints the shards of the latest plan, as PLAN:N.",
            )
        return self._read_plan(number)

    def add_plan(self, earlier: Plan | None, facts: Mapping[str, Any], slices: Sequence[Slice]) -> Plan:
        """Make a plan the latest one.

        Raises:
            OutputError: somebody else plans the run at the same time.
        """
        plan = Plan(earlier.number + 1 if earlier else 1, facts, tuple(slices))
        lines = [facts, *({"digest": s.digest, "inputs": s.inputs, "starts": s.starts} for s in slices)]
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        name = _plan_name(plan.number)
        # A bucket may refuse the second request of two, where only the answer to the first one was lost.
        if not put_text(self.store, name, text) and get_text(self.store, name) != text:
            raise OutputError(f"somebody else plans {self.location}", "Wait for it to end, and run it again.")
        return plan

    def add_slice(self, items: Sequence[Item]) -> Slice:
        """Keep the inputs of a slice."""
        made = Slice(digest_of(items), len(items))
        name = _slice_name(made.digest)
        if self.store.head(name) is None:
            with tempfile.TemporaryDirectory(prefix="sidscan-plan-") as scratch:
                path = Path(scratch) / "slice"
                write_slice(items, path)
                self.store.put_if_absent(name, path)
        return made

    def items(self, digest: str) -> Iterator[Item]:
        """The inputs of a slice, in their order.

        Raises:
            OutputError: they are missing or damaged.
        """
        with tempfile.TemporaryDirectory(prefix="sidscan-slice-") as scratch:
            path = self.store.get(_slice_name(digest), Path(scratch))
            try:
                yield from read_slice(path)
            except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
                raise OutputError(
                    f"the slice {digest} of {self.location} is damaged: {error}",
                    "Plan the run again, in a new folder.",
                ) from error

    def scoring(self) -> Scoring | None:
        """What computes the scores; None before a shard was ready."""
        if self.store.head(_SCORING) is None:
            return None
        try:
            return Scoring.from_json(get_text(self.store, _SCORING))
        except (ValueError, LookupError, TypeError) as error:
            raise OutputError(
                f"{self.location}/{_SCORING} is damaged", "Copy it back from a backup."
            ) from error

    def agree_on(self, scoring: Scoring) -> None:
        """State what computes the scores, or compare it with what another shard stated.

        Raises:
            UsageError: the run's scores are computed in another way.
        """
        if put_text(self.store, _SCORING, scoring.to_json()):
            return
        stated = self.scoring()
        assert stated is not None
        if stated.digest != scoring.digest:
            raise UsageError(
                f"scores would be computed otherwise here than in {self.location}: "
                f"{stated.differences(scoring)}",
                "Use machines with the same device and software for one run, or name another --run.",
            )

    def journal_name(self, digest: str, scoring: Scoring, time: int = 1) -> str:
        """The file of a slice's results.

        Args:
            time: 1 for those of its first scan; each later one, which tried again what had failed, has a file
                of its own, since none is ever replaced.
        """
        again = "" if time == 1 else f"-{time}"
        return f"{_SHARDS}{digest}-{scoring.digest}{again}.journal"

    def files(self, plan: Plan, journals: Collection[str] | None = None) -> list[str]:
        """The files that a complete run consists of, with a plan's slices and their results.

        Args:
            journals: the latter; None for the latest that were published.
        """
        names = [RUN, _SCORING, plan.file]
        names += [_slice_name(each.digest) for each in plan.slices]
        if journals is not None:
            return [*names, *journals]
        scoring, published = self.scoring(), self.published()
        if scoring is not None:
            digests = (each.digest for each in plan.slices)
            names += [published.get(digest, self.journal_name(digest, scoring)) for digest in digests]
        return names

    def published(self) -> Mapping[str, str]:
        """The file of the latest results of each slice that has some; earlier plans' too."""
        scoring = self.scoring()
        if scoring is None:
            return {}
        pattern = re.compile(rf"{_SHARDS}([0-9a-f]+)-{scoring.digest}(?:-([1-9]\d*))?\.journal")
        times: defaultdict[str, set[int]] = defaultdict(set)
        for match in filter(None, map(pattern.fullmatch, self.store.list(_SHARDS))):
            times[match[1]].add(int(match[2] or 1))
        # Each but the first was begun when all before it were there.
        latest = {digest: next(n for n in count(1) if n + 1 not in of) for digest, of in times.items()}
        return {
            digest: self.journal_name(digest, scoring, latest[digest])
            for digest, of in times.items()
            if 1 in of
        }

    def times_published(self, digest: str) -> int:
        """How many results a slice has, the later ones of what had failed; of many shards, none lists all."""
        scoring = self.scoring()
        if scoring is None:
            return 0
        names = (self.journal_name(digest, scoring, time) for time in count(1))
        return sum(1 for _ in takewhile(lambda name: self.store.head(name) is not None, names))

    def open_shards(self, plan: Plan) -> list[int]:
        """The shards of a plan that have no results yet."""
        published = self.published()
        return [number for number, each in enumerate(plan.slices) if each.digest not in published]

    @cached_property
    def ledger_path(self) -> Path:
        """The file in which whoever collects the shards notes what was accepted.

        All of it but the hashes of reports can be read again from what shards published.

        Raises:
            OutputError: there is no folder for it.
        """
        return ledger_path(self.place, self.id)


def _check_there(store: RunStore) -> None:
    """Raise what the store says of a bucket that is not there: of a file, it only says that there is none."""
    next(store.list(""), None)


def _plan_name(number: int) -> str:
    return f"{_PLANS}{number:06d}.jsonl"


def _slice_name(digest: str) -> str:
    return f"{_SLICES}{digest}.jsonl.gz"


def _facts(store: RunStore) -> JsonObject:
    try:
        facts: JsonObject = json.loads(get_text(store, RUN))
        number = facts["format"]
        if number == FORMAT and not str(facts["id"]).isalnum():  # it names a folder
            raise ValueError(facts["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{store.location}/{RUN} is damaged", "Copy it back from a backup.") from error
    if number != FORMAT:
        raise UsageError(
            f"{store.location} was made by a newer sidscan: its format is {number}, "
            f"this version reads {FORMAT}",
            "Install the current sidscan: `pip install --upgrade sidscan`.",
        )
    return facts


def _check_empty(place: RunPlace, store: RunStore) -> None:
    """Refuse a place that holds something else: a run is never begun among somebody's files.

    Raises:
        UsageError: it does, or it is a file.
    """
    if isinstance(place, Path) and place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file", "Name a new folder with --run.")
    if any(name != PROBE for name in store.list("")):
        raise UsageError(
            f"{store.location} holds other files, and is not a run of shards", "Name a new folder with --run."
        )
