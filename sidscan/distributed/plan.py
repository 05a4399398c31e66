"""Plan a run: list its inputs, each once, and cut them into slices."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from sidscan.config import ScanConfig
from sidscan.distributed.ledger import is_read_only
from sidscan.distributed.locks import planning
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.slices import Slice, cut
from sidscan.distributed.unique import unique
from sidscan.errors import NothingToScan, OutputError
from sidscan.fetch.object_stores import ObjectStores, StoreLimits
from sidscan.isolation.archives import ArchiveReader
from sidscan.isolation.protocol import WorkerOptions
from sidscan.journal.identity import current_folder
from sidscan.records import Item, Kind
from sidscan.sources import open_sources
from sidscan.sources.names import NOT_FOUND
from sidscan.sources.paths import UNLISTABLE_PREFIX
from sidscan.util.urls import mask_credentials


def plan_run(run: RunFolder, config: ScanConfig, size: int) -> Plan:
    """List the inputs of a run and cut them into slices; those that did not change stay what they were.

    Args:
        size: inputs of a slice, about.

    Raises:
        UsageError: an input does not exist.
        NothingToScan: there is no input, or a folder of the earlier plan is gone.
        OutputError: the run can't be written, another process of this machine plans or purges it, or none of
            its earlier inputs is named.
    """
    with nullcontext() if is_read_only(run.ledger_path) else planning(run):
        return _planned(run, config, size)


def _planned(run: RunFolder, config: ScanConfig, size: int) -> Plan:
    earlier = run.plan()
    gone: list[str] = []  # folders that can't be listed now, or are not there
    slices = [run.add_slice(items) for items in cut(_noting_gone(_listed(config), gone), size)]
    if not slices:
        raise NothingToScan("no input was found", "Check the paths and lists; hidden files need --hidden.")
    if earlier is not None:
        slices = _with_starts(run, earlier, slices, gone, config.allow_empty)
        if [s.digest for s in slices] == [s.digest for s in earlier.slices]:
            return earlier
    return run.add_plan(earlier, _facts(config, size), slices)


def _listed(config: ScanConfig) -> Iterator[Item]:
    with closing(ArchiveReader(WorkerOptions.from_config(config), config.max_members)) as archives:
        items = open_sources(
            config, archives.list_entries, ObjectStores(StoreLimits.of(config)).look_up, archives
        )
        # One walk names nothing twice.
        yield from items if len(config.inputs) == 1 and not config.lists else unique(items, current_folder())


def _noting_gone(items: Iterable[Item], gone: list[str]) -> Iterator[Item]:
    for item in items:
        missing = item.kind is Kind.FILE and not item.fingerprint and not item.skip
        if missing or item.skip.startswith((UNLISTABLE_PREFIX, NOT_FOUND)):
            gone.append(item.name)
        yield item


def _facts(config: ScanConfig, size: int) -> dict[str, Any]:
    return {
        "planned": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "inputs": [mask_credentials(name) for name in config.inputs],
        "lists": list(config.lists),
        "slice_size": size,
        "folder": None if config.private else current_folder(),
        "command": None if config.private else [mask_credentials(word) for word in config.command],
    }


def _with_starts(
    run: RunFolder, earlier: Plan, slices: list[Slice], gone: list[str], allow_empty: bool
) -> list[Slice]:
    """The slices, each with the earlier ones that share inputs with it."""
    before = {each.digest: each for each in earlier.slices}
    now = {each.digest for each in slices}
    replaced = [each for each in earlier.slices if each.digest not in now]
    if gone and not allow_empty:
        _check_not_vanished(run, replaced, gone)
    new = [each for each in slices if each.digest not in before]
    shared = _shared(run, replaced, new) if replaced and new else {}
    if replaced and len(replaced) == len(before) and not shared:
        raise OutputError(
            f"{run.location} is a run of other inputs: none of its {earlier.inputs} inputs is among yours",
            "Name the inputs as that run did, or name another folder with --run.",
        )
    published = run.published()
    found = []
    for each in slices:
        old = before.get(each.digest)
        starts: list[str] = list(old.starts) if old else []
        for digest in () if old else shared.get(each.digest, ()):
            # A worker of the earlier plan may publish it yet.
            starts += [digest] if digest in published else [digest, *before[digest].starts]
        found.append(replace(each, starts=tuple(dict.fromkeys(starts))))
    return found


def _shared(run: RunFolder, replaced: list[Slice], new: list[Slice]) -> dict[str, list[str]]:
    """Which of the replaced slices have inputs in common with each new one.

    Names go through a temporary database: there may be more of them than memory holds.
    """
    with closing(sqlite3.connect("")) as names:
        names.execute("CREATE TABLE names (name INTEGER PRIMARY KEY, slice INTEGER NOT NULL)")
        for number, each in enumerate(replaced):
            rows = ((_number_of(item), number) for item in run.items(each.digest))
            names.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", rows)
        shared = {}
        for each in new:
            found: set[int] = set()
            for item in run.items(each.digest):
                row = names.execute("SELECT slice FROM names WHERE name = ?", (_number_of(item),)).fetchone()
                found.update(row or ())
            if found:
                shared[each.digest] = [replaced[number].digest for number in sorted(found)]
    return shared


def _number_of(item: Item) -> int:
    """A name as a number of 64 bits."""
    digest = hashlib.blake2b(os.fsencode(item.name), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _check_not_vanished(run: RunFolder, replaced: list[Slice], gone: list[str]) -> None:
    """Refuse a plan that would lose all inputs below a folder, since it is gone or can't be listed.

    Raises:
        NothingToScan: there is such a folder.
    """
    starts = tuple(os.path.join(folder, "") for folder in gone)  # noqa: PTH118  (names are no Paths)
    for each in replaced:
        for item in run.items(each.digest):
            if item.name.startswith(starts):
                folder = next(
                    name for name, start in zip(gone, starts, strict=True) if item.name.startswith(start)
                )
                raise NothingToScan(
                    f"{folder} is gone or can't be listed, and an earlier plan has inputs below it",
                    "Is its disk mounted? --allow-empty accepts that its images are gone.",
                )
