"""Remove what earlier plans of a run left, and what its latest plan does not need."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from sidscan.distributed.locks import planning
from sidscan.distributed.run_folder import Plan, RunFolder
from sidscan.distributed.store import FolderStore
from sidscan.errors import OutputError, UsageError

_SLICE = re.compile(r"slices/([0-9a-f]{32})\.jsonl\.gz")
_JOURNAL = re.compile(r"shards/([0-9a-f]{32})-[0-9a-f]{32}(?:-\d+)?\.journal")


@dataclass(frozen=True)
class Purged:
    """What was removed.

    Attributes:
        slices: those whose inputs or results were removed, by digest.
        with_results: how many of them had results.
        replaced: how many results of shards were emptied that were tried again later; their names stay, by
            which the times are counted.
        bytes: of all files.
    """

    slices: frozenset[str]
    with_results: int
    replaced: int
    bytes: int


def purge(run: RunFolder, plan: Plan, accepted: Collection[str] = ()) -> Purged:
    """Remove slices and results that only earlier plans had, and those that were tried again later.

    Results stay from which shards without results start. A shard of an earlier plan that is scanned meanwhile
    loses its slice, and says so; its inputs are in the latest plan, or nobody asks for them.

    Args:
        accepted: journals that a ledger names; they stay as they are.

    Raises:
        UsageError: the run lies in a bucket.
        OutputError: a file can't be removed, another process plans the run, or planned it again meanwhile.
    """
    store = run.store
    if not isinstance(store, FolderStore):
        raise UsageError(
            f"{run.location} is in a bucket, where sidscan removes nothing",
            "Remove what you don't need with the tools of the store.",
        )
    with planning(run):
        return _purged(run, store, plan, accepted)


def _purged(run: RunFolder, store: FolderStore, plan: Plan, accepted: Collection[str]) -> Purged:
    # Listed first: what is published after that is not in this list, and so it isn't taken for older results.
    there = {name: _JOURNAL.fullmatch(name) for name in store.list("shards/")}
    published = run.published()
    slices = {each.digest for each in plan.slices}
    results = slices.union(*(each.starts for each in plan.slices if each.digest not in published))
    found = {name: _SLICE.fullmatch(name) for name in store.list("slices/")}
    unneeded = {name: match[1] for name, match in found.items() if match and match[1] not in slices}
    journals = {name: match[1] for name, match in there.items() if match and match[1] not in results}
    replaced = [
        name
        for name, match in there.items()
        if match
        and match[1] in slices
        and name not in (published.get(match[1]), *accepted)
        and store.head(name)
    ]
    if run.current_plan().number != plan.number:
        raise OutputError(f"somebody else plans {run.location}", "Wait for it to end, and run it again.")
    size = 0
    for name in (*unneeded, *journals):
        size += store.head(name) or 0
        store.remove(name)
    for name in replaced:
        size += store.head(name) or 0
        store.empty(name)
    removed = frozenset((*unneeded.values(), *journals.values()))
    return Purged(removed, len({*journals.values()}), len(replaced), size)
