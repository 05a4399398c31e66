"""Which results of an earlier run still hold, and what became of the others; inside one transaction."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sidscan.journal.keys import ReuseKeys
from sidscan.journal.listed import ListedInputs
from sidscan.journal.tables import COLUMNS
from sidscan.records import EXCLUDED_PREFIX, Item, SampleRecord, Stage, Status

MAX_TRIES = 3
"""Scans that may lose a process over an input before reading it; then it is tried on request only."""

LOST = (Status.CRASHED, Status.TIMEOUT, Status.MEMORY_LIMIT)  # how an input ends whose process was lost
_EXAMPLES = 3
CheckGone = Callable[[Iterator[str], Callable[[str], str | None]], None]
"""Gets the paths of results that no input names, and why an input is skipped (None: no input); may raise."""


@dataclass(frozen=True)
class Registered:
    """What happened to an earlier run's results. Each of them is counted once, as kept or as something else.

    Attributes:
        kept: results that still hold.
        repeated: inputs named more than once in this run.
        gone: results whose input this run does not name, or whose file is missing now.
        left_out: results whose input, or a folder above it, is left out now: it is excluded, for example.
        retried: inputs that failed and are tried again.
        changed: results whose file has another size or modification time.
        skip_changed: results whose input was skipped and is now read, for example a link, or the reverse.
        other_keys: results of other models or options.
        other_reader: results that another decoder or another version of sidscan read.
        examples: the first names of each of these, by attribute.
        left_out_by: why inputs are left out -> their number.
        read_by: what read the latter, as `Readers.key_for` -> their number.
        kept_old: the same of results that are kept nevertheless: on request, or since their decoder is gone.
        sample: which part of the images this run looks at; None for all.
        listing_complete: whether these are all inputs of the run; else the rest follows (`add_inputs`).

    Results that are not used are set aside until this run is complete; those whose input is gone, until the
    next run is complete.
    """

    kept: int
    repeated: int
    gone: int = 0
    left_out: int = 0
    retried: int = 0
    changed: int = 0
    skip_changed: int = 0
    other_keys: int = 0
    other_reader: int = 0
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    left_out_by: Mapping[str, int] = field(default_factory=dict, compare=False)
    read_by: Mapping[str, int] = field(default_factory=dict, compare=False)
    kept_old: Mapping[str, int] = field(default_factory=dict, compare=False)
    sample: SampleRecord | None = None
    listing_complete: bool = True

    @property
    def dropped(self) -> int:
        """Results that are not used, other than those of inputs that are tried again."""
        unlike = self.changed + self.skip_changed + self.other_keys + self.other_reader
        return self.gone + self.left_out + unlike


class Matching:
    """The inputs of a run, and the earlier results beside them.

    Args:
        folder: the current folder, which relative names start from.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        keys: ReuseKeys,
        folder: str | None,
        *,
        retry_failed: bool,
        keep_old: bool,
    ) -> None:
        self._db, self._keys, self._folder = database, keys, folder
        self._valid_readers = frozenset(keys.readers.valid_keys())
        stages = [Stage.LIST] if retry_failed else [Stage.LIST, Stage.DECODE, Stage.SCORE]
        # Values of the queries below, by name.
        self._values: dict[str, object] = {
            "digests": json.dumps(keys.digests),
            "readers": json.dumps(keys.readers.valid_keys()),
            "scored": Status.SCORED.value,
            "stages": json.dumps([stage.value for stage in stages]),
            "lost": json.dumps([] if retry_failed else [status.value for status in LOST]),
            "keep_old": keep_old,
            "unreadable": json.dumps(
                [name for name, decoder in keys.readers.decoders.items() if not decoder]
            ),
            "most": MAX_TRIES,
        }

    # Whether a result without a score is final: its stage says so, or too many scans lost a process over it.
    _FINAL = """(e.status = :scored
        OR json_extract(e.finding, '$.stage') IN (SELECT value FROM json_each(:stages))
        OR (e.status IN (SELECT value FROM json_each(:lost)) AND e.tries >= :most))"""
    _SAME_FILE = "e.kind = items.kind AND e.stamp = items.stamp AND e.skip = items.skip"
    _SAME_KEYS = "e.settings IN (SELECT value FROM json_each(:digests))"
    # A score stays where its decoder is gone: it can't be made again.
    _SAME_READER = """(e.reader IN (SELECT value FROM json_each(:readers))
        OR (e.status = :scored AND (:keep_old OR json_extract(e.finding, '$.facts.format')
        IN (SELECT value FROM json_each(:unreadable)))))"""

    def take(self, items: Iterable[Item | None], may_pause: Callable[[], bool] | None = None) -> ListedInputs:
        """Bring the inputs to ``items``; results that do not stay where they are move out of the way."""
        holds = f"({self._SAME_KEYS} AND {self._SAME_READER} AND {self._FINAL})"
        listed = ListedInputs(self._db, self._folder, holds, self._values)
        listed.take(items, may_pause)
        for former, key in self._keys.former.items():
            self._db.execute("UPDATE earlier SET settings = ? WHERE settings = ?", (key, former))
        return listed

    def find_moved(self) -> None:
        """Give results another path whose folder moved: the same name leads to the same file elsewhere."""
        self._db.execute("CREATE INDEX temp.earlier_path ON earlier (path)")
        if not self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM earlier LEFT JOIN items USING (path) WHERE items.path IS NULL)"
        ).fetchone()[0]:
            return
        self._db.execute("CREATE INDEX temp.earlier_name ON earlier (name)")
        moved = self._db.execute(
            """SELECT items.path, e.rowid FROM items CROSS JOIN earlier AS e ON e.name = items.name
            WHERE e.path != items.path AND e.stamp = items.stamp AND e.stamp != ''
            AND e.path NOT IN (SELECT path FROM items)"""
        ).fetchall()
        self._db.executemany("UPDATE earlier SET path = ? WHERE rowid = ?", moved)

    def forget_folders(self) -> None:
        """Leave only names of results that no input names."""
        self._db.execute("UPDATE earlier SET path = name WHERE path NOT IN (SELECT path FROM items)")

    def keep(self) -> int:
        """Copy the other results that hold to their inputs; returns their number."""
        kept = 0
        for latest in (True, False):  # of the latest run first: both may hold with `keep_old`
            kept += self._db.execute(
                f"""UPDATE items SET (status, settings, finding, reader, tries) =
                (e.status, e.settings, e.finding, e.reader, e.tries)
                FROM earlier AS e WHERE e.path = items.path AND items.finding IS NULL AND e.latest = :latest
                AND {self._SAME_FILE} AND {self._SAME_KEYS} AND {self._SAME_READER} AND {self._FINAL}""",  # noqa: S608
                {**self._values, "latest": latest},
            ).rowcount
        self._db.execute(
            f"""UPDATE items SET tries = e.tries FROM earlier AS e WHERE e.path = items.path
            AND items.finding IS NULL AND e.latest AND {self._SAME_FILE} AND e.tries < :most""",  # noqa: S608
            self._values,
        )
        return kept

    def check_gone(self, check: CheckGone) -> None:
        """Let ``check`` look at the results of files that no input names."""
        rows = self._db.execute(
            """SELECT e.path FROM earlier AS e LEFT JOIN items USING (path)
            WHERE e.latest AND items.path IS NULL AND e.kind IN ('file', 'member')"""
        )
        check(
            (os.fsdecode(path) for (path,) in rows),
            lambda path: self._skip_of(os.fsencode(path)),
        )

    def _skip_of(self, path: bytes) -> str | None:
        row = self._db.execute("SELECT skip FROM items WHERE path = ?", (path,)).fetchone()
        return None if row is None else str(row[0])

    def _mark_left_out(self) -> Mapping[str, int]:
        """Tell results whose input is left out from others that are not used; returns why -> their number."""
        folders: dict[bytes, str] = {}  # why each is left out, or ""

        def of_folder(folder: bytes) -> str:
            above = os.path.dirname(folder)  # noqa: PTH120
            if folder not in folders:
                folders[folder] = self._skip_of(folder) or (of_folder(above) if above != folder else "")
            return folders[folder]

        rows = self._db.execute(
            "SELECT rowid, path FROM unused WHERE reason IN ('gone', 'skip_changed')"
        ).fetchall()
        found: Counter[str] = Counter()
        for row, path in rows:
            own = self._skip_of(path)
            if why := own if own and own.startswith(EXCLUDED_PREFIX) else of_folder(os.path.dirname(path)):  # noqa: PTH120
                found[why] += 1
                self._db.execute("UPDATE unused SET reason = 'left_out' WHERE rowid = ?", (row,))
        return found

    def registered(self, listed: ListedInputs, kept: int) -> Registered:
        """What became of the earlier results.

        Args:
            kept: results that did not stay where they are, and hold.
        """
        self._db.execute(
            f"""CREATE TEMP TABLE unused AS SELECT e.name, e.path, e.position, e.reader, CASE
            WHEN items.path IS NULL OR (items.stamp = '' AND items.skip = '' AND e.stamp != '') THEN 'gone'
            WHEN NOT {self._FINAL} THEN 'retried'
            WHEN items.stamp != e.stamp AND items.stamp != '' AND e.stamp != '' THEN 'changed'
            WHEN NOT ({self._SAME_FILE}) THEN 'skip_changed'
            WHEN NOT {self._SAME_KEYS} THEN 'other_keys' ELSE 'other_reader' END AS reason
            FROM earlier AS e LEFT JOIN items USING (path) WHERE e.latest AND items.finding IS NULL""",  # noqa: S608
            self._values,
        )
        left_out_by = self._mark_left_out()
        counts: dict[str, int] = dict(
            self._db.execute("SELECT reason, count(*) FROM unused GROUP BY reason").fetchall()
        )
        read_by = "SELECT reader, count(*) FROM unused WHERE reason = 'other_reader' GROUP BY reader"
        kept_by = """SELECT reader, count(*) FROM unmatched JOIN items USING (position)
            WHERE finding IS NOT NULL AND reader IS NOT NULL GROUP BY reader"""
        readers = listed.kept_by + Counter(dict(self._db.execute(kept_by).fetchall()))
        inputs = self._db.execute("SELECT count(*) FROM items").fetchone()[0]
        registered = Registered(
            listed.kept + kept,
            listed.named - inputs,
            **counts,
            examples={reason: self._first(reason) for reason in counts},
            left_out_by=left_out_by,
            read_by=dict(self._db.execute(read_by).fetchall()),
            kept_old={reader: readers[reader] for reader in sorted(readers.keys() - self._valid_readers)},
            sample=None,
            listing_complete=not listed.is_paused,
        )
        self._db.execute("DROP TABLE unused")
        return registered

    def _first(self, reason: str) -> tuple[str, ...]:
        query = "SELECT name FROM unused WHERE reason = ? ORDER BY position LIMIT ?"
        return tuple(os.fsdecode(name) for (name,) in self._db.execute(query, (reason, _EXAMPLES)))

    def retire_unused(self) -> None:
        """Set aside what this run does not use, until it or the next one is complete."""
        self._db.execute("DELETE FROM retired")
        self._db.execute(
            f"""INSERT INTO retired SELECT {", ".join(f"e.{name}" for name in COLUMNS.split(", "))}
            FROM earlier AS e LEFT JOIN items USING (path)
            WHERE items.finding IS NULL OR e.settings != items.settings OR e.reader != items.reader"""  # noqa: S608
        )
        self._db.execute("DROP TABLE earlier")
        self._db.execute("DROP TABLE unmatched")
