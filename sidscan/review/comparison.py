"""Which input of OLD is which of NEW, and the differences in order; in a temporary file, for a million rows.

Inputs are matched by their paths first. If no file of OLD has a path of NEW, but most files with equal bytes
lie at the same place below another folder, that folder stands for OLD's. What is left is matched by sha256,
unless one of the two shows a part of its run: whether a file moved or was copied is not known then.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sidscan.errors import OutputError
from sidscan.journal.identity import identity_of
from sidscan.records import Kind
from sidscan.reports.stated import PENDING, MadeBy, StatedMark, StatedResult, StatedScore
from sidscan.review.differences import TOLERANCE, Change, Difference, MatchedBy, compare
from sidscan.util.member_names import SEPARATOR, split_member_name

_TABLES = """
CREATE TABLE old (n INTEGER PRIMARY KEY, key BLOB, base BLOB, sha256 TEXT, name BLOB, data TEXT);
CREATE TABLE new (n INTEGER PRIMARY KEY, key BLOB, base BLOB, sha256 TEXT, name BLOB, data TEXT);
CREATE TABLE pairs (old INTEGER PRIMARY KEY, new INTEGER NOT NULL UNIQUE, matched_by TEXT NOT NULL);
CREATE TABLE found (old INTEGER, new INTEGER, matched_by TEXT, change INTEGER, strength REAL);
"""
_INDEXES = "CREATE INDEX old_bytes ON old (sha256); CREATE INDEX new_bytes ON new (sha256);"
_CACHE = 64  # MiB that the database may hold in memory
_CHANGES = list(Change)
_SEPARATOR = os.sep.encode()
_Parts = tuple[bytes, ...]


@dataclass
class Comparison:
    """All differences between two runs. Every input of both is in exactly one class.

    Attributes:
        counts: inputs per class; an input that both have counts once.
        also: per class, inputs that belong to another class, but of which this one is true, too.
        matched_by: inputs that both have, by how they were matched.
        folders: of OLD and NEW, below which paths are the same; None where no such pair was used.
        not_looked_at: inputs that are not compared, by who did not look at them: ``OLD``, ``NEW``, ``both``.
        whys: of the classes whose bytes are the same, how often each reason for another score was found.
    """

    tolerance: float
    counts: Counter[Change] = field(default_factory=Counter)
    also: Counter[Change] = field(default_factory=Counter)
    matched_by: Counter[MatchedBy] = field(default_factory=Counter)
    folders: tuple[str, str] | None = None
    not_looked_at: Counter[str] = field(default_factory=Counter)
    whys: Mapping[Change, Counter[str]] = field(
        default_factory=lambda: {
            change: Counter() for change in (Change.SCORE, Change.EVIDENCE, Change.WITHIN_TOLERANCE)
        }
    )
    _rows: _Rows = field(default_factory=lambda: _Rows())

    @property
    def differs(self) -> bool:
        """Whether anything is to be listed."""
        return any(self.counts[change] for change in Change if change.differs)

    def differences(self, *changes: Change, most: int | None = None) -> Iterator[Difference]:
        """The differences of some classes, class by class, the strongest evidence first.

        Args:
            changes: all that are listed, if there are none.
            most: how many there are at most.
        """
        wanted = changes or tuple(change for change in Change if change.differs)
        numbers = [_CHANGES.index(change) for change in wanted]
        query = f"""SELECT old, new, matched_by FROM found WHERE change IN ({", ".join(map(str, numbers))})
            ORDER BY change, strength DESC, new, old LIMIT ?"""  # noqa: S608
        with _database_errors():
            for old, new, matched_by in self._rows.database.execute(query, (-1 if most is None else most,)):
                yield self._rows.difference(old, new, matched_by, self.tolerance)


class _Rows:
    """The rows of both runs."""

    def __init__(self) -> None:
        self.database = sqlite3.connect("")  # a file without a name, which is gone when it is closed
        self.database.execute(f"PRAGMA cache_size = -{_CACHE << 10}")
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.executescript(_TABLES)
        self._numbers: dict[MadeBy, int] = {}  # few: many rows share one
        self._made_by: list[MadeBy] = []
        self.parts = {"old": False, "new": False}  # whether each shows a part of its run

    def insert(self, table: str, results: Iterable[StatedResult]) -> None:
        """Add the rows of one run."""

        def values() -> Iterator[tuple[object, ...]]:
            for result in results:
                self.parts[table] |= result.made_by.part is not None
                yield *_keys(result), result.sha256, _bytes_of(result.name), self._dumped(result)

        query = f"INSERT INTO {table} (key, base, sha256, name, data) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
        self.database.executemany(query, values())

    def compared(
        self,
        old: StatedResult | None,
        new: StatedResult | None,
        matched_by: MatchedBy | None,
        tolerance: float,
        same_bytes: str | None = None,
    ) -> Difference:
        """What differs between two rows; one that is missing may only not have been looked at."""
        is_part = (old is None and self.parts["old"]) or (new is None and self.parts["new"])
        return compare(old, new, matched_by, tolerance, same_bytes, is_part)

    def difference(
        self, old: int | None, new: int | None, matched_by: str | None, tolerance: float
    ) -> Difference:
        """What differs between two rows, one of which may be missing."""
        before, after = self._row("old", old), self._row("new", new)
        same_bytes = None
        if before is None and after is not None:
            same_bytes = self._name_by_sha256("old", after.sha256)
        elif before is not None and (after is None or after.sha256 != before.sha256):
            same_bytes = self._name_by_sha256("new", before.sha256)
        how = MatchedBy(matched_by) if matched_by else None
        return self.compared(before, after, how, tolerance, same_bytes)

    def _row(self, table: str, number: int | None) -> StatedResult | None:
        if number is None:
            return None
        query = f"SELECT name, sha256, data FROM {table} WHERE n = ?"  # noqa: S608
        return self.loaded(*self.database.execute(query, (number,)).fetchone())

    def _name_by_sha256(self, table: str, sha256: str | None) -> str | None:
        query = f"SELECT name FROM {table} WHERE sha256 = ? LIMIT 1"  # noqa: S608
        row = self.database.execute(query, (sha256,)).fetchone()
        return _text_of(row[0]) if row else None

    def _dumped(self, result: StatedResult) -> str:
        number = self._numbers.setdefault(result.made_by, len(self._made_by))
        if number == len(self._made_by):
            self._made_by.append(result.made_by)
        scores = [(score.model, score.score, score.evidence) for score in result.scores]
        mark = asdict(result.mark) if result.mark else None
        values = (result.status, result.message, scores, number, mark, result.marks_known)
        return json.dumps(values, separators=(",", ":"))

    def loaded(self, name: bytes, sha256: str | None, data: str) -> StatedResult:
        """The inverse of `_dumped`."""
        status, message, scores, number, mark, marks_known = json.loads(data)
        return StatedResult(
            _text_of(name),
            sha256,
            status,
            message,
            tuple(StatedScore(*score) for score in scores),
            self._made_by[number],
            StatedMark(**mark) if mark else None,
            marks_known,
        )


@contextmanager
def compared(
    old: Iterable[StatedResult],
    new: Iterable[StatedResult],
    tolerance: float = TOLERANCE,
    other_folders: bool = True,
) -> Iterator[Comparison]:
    """Compare two runs.

    Args:
        tolerance: scores that differ by no more are counted apart.
        other_folders: if no file of OLD has a path of NEW, a folder of NEW may stand for one of OLD. False
            where these are a part of two runs, and the rest has files with the same path.

    Raises:
        OutputError: there is no room for the temporary database.
    """
    comparison = Comparison(tolerance)
    rows = comparison._rows
    with closing(rows.database):
        with _database_errors():
            rows.insert("old", old)
            rows.insert("new", new)
            rows.database.executescript(_INDEXES)
            comparison.folders = _match(rows.database, other_folders, is_part=any(rows.parts.values()))
            _classify(comparison, rows)
        yield comparison


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(
            f"can't keep the rows to compare in a temporary file: {error}",
            "Free space in the folder for temporary files, or set TMPDIR to another one.",
        ) from error


def _keys(result: StatedResult) -> tuple[bytes, bytes]:
    """The path as it compares, and its last part; in bytes, since a name may hold lone surrogates."""
    archive, inner = split_member_name(result.name) or (result.name, "")
    end = f"{SEPARATOR}{inner}" if inner else ""  # `..` in an archive is only a name
    key = _bytes_of(identity_of(archive, Kind.FILE, None) + end)
    return key, key.rpartition(_SEPARATOR)[2]


def _bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text_of(name: bytes) -> str:
    return name.decode("utf-8", "surrogatepass")


def _match(database: sqlite3.Connection, other_folders: bool, is_part: bool) -> tuple[str, str] | None:
    """Fill the table of pairs; returns the folders below which paths are the same, if they were needed."""
    _pair(database, MatchedBy.PATH, "key")
    folders = None
    files = "SELECT EXISTS (SELECT 1 FROM pairs JOIN old ON n = pairs.old WHERE instr(key, x'3a2f2f') = 0)"
    other_folders = other_folders and not database.execute(files).fetchone()[0]
    if other_folders and (folders := _other_folder(database)):
        database.create_function("moved", 1, lambda key: _moved(key, *folders), deterministic=True)
        database.execute("UPDATE old SET key = moved(key) WHERE n NOT IN (SELECT old FROM pairs)")
        _pair(database, MatchedBy.FOLDER, "key")
    if not is_part:
        _pair(database, MatchedBy.SHA256, "sha256", "base")
        _pair(database, MatchedBy.SHA256, "sha256")
    return (_shown(folders[0]), _shown(folders[1])) if folders else None


def _matches(*columns: str) -> str:
    """A query for pairs of rows without one that agree in some columns; of equals, in their order."""
    names = ", ".join(columns)
    sides = (
        f"""(SELECT n, key, {names}, row_number() OVER (PARTITION BY {names} ORDER BY n) AS nth FROM {table}
        WHERE {columns[0]} IS NOT NULL AND n NOT IN (SELECT {table} FROM pairs))"""  # noqa: S608
        for table in ("old", "new")
    )
    return f"{next(sides)} AS o JOIN {next(sides)} AS w USING ({names}, nth)"


def _pair(database: sqlite3.Connection, matched_by: MatchedBy, *columns: str) -> None:
    query = f"INSERT INTO pairs SELECT o.n, w.n, ? FROM {_matches(*columns)}"  # noqa: S608
    database.execute(query, (matched_by.value,))


def _other_folder(database: sqlite3.Connection) -> tuple[_Parts, _Parts] | None:
    """The folders of OLD and NEW below which most files with equal bytes lie at the same place."""
    found: Counter[tuple[_Parts, _Parts]] = Counter()
    total = 0
    query = f"SELECT o.key, w.key FROM {_matches('sha256', 'base')} WHERE instr(o.key, x'3a2f2f') = 0"  # noqa: S608
    for old, new in database.execute(query):
        found[_without_common_end(old.split(_SEPARATOR), new.split(_SEPARATOR))] += 1
        total += 1
    if not found:
        return None
    (folders, count), *_ = found.most_common(1)
    return folders if 2 * count > total else None


def _without_common_end(old: list[bytes], new: list[bytes]) -> tuple[_Parts, _Parts]:
    common = 0
    while common < min(len(old), len(new)) and old[-1 - common] == new[-1 - common]:
        common += 1
    return tuple(old[: len(old) - common]), tuple(new[: len(new) - common])


def _moved(key: bytes, old: _Parts, new: _Parts) -> bytes:
    """A path below the folder ``old``, below ``new`` instead; others as they are."""
    parts = tuple(key.split(_SEPARATOR))
    return _SEPARATOR.join((*new, *parts[len(old) :])) if parts[: len(old)] == old else key


def _shown(folder: _Parts) -> str:
    path = _text_of(_SEPARATOR.join(folder))
    return path or ("." if not folder else os.sep)


def _classify(comparison: Comparison, rows: _Rows) -> None:
    """Find the class of every input."""
    query = """SELECT p.old, p.new, p.matched_by, o.name, o.sha256, o.data, w.name, w.sha256, w.data
        FROM pairs AS p JOIN old AS o ON o.n = p.old JOIN new AS w ON w.n = p.new
        UNION ALL SELECT n, NULL, NULL, name, sha256, data, NULL, NULL, NULL FROM old
        WHERE n NOT IN (SELECT old FROM pairs)
        UNION ALL SELECT NULL, n, NULL, NULL, NULL, NULL, name, sha256, data FROM new
        WHERE n NOT IN (SELECT new FROM pairs)"""
    found = (_classified(comparison, rows, *row) for row in rows.database.execute(query))
    rows.database.executemany("INSERT INTO found VALUES (?, ?, ?, ?, ?)", found)


def _classified(
    comparison: Comparison, rows: _Rows, old: int | None, new: int | None, how: str | None, *data: Any
) -> tuple[object, ...]:
    """One row of the table of differences; counts it."""
    before, after = (rows.loaded(*side) if side[2] else None for side in (data[:3], data[3:]))
    matched_by = MatchedBy(how) if how else None
    difference = rows.compared(before, after, matched_by, comparison.tolerance)
    comparison.counts[difference.change] += 1
    comparison.also.update(difference.changes[1:])
    if matched_by:
        comparison.matched_by[matched_by] += 1
    if difference.change is Change.NOT_COMPARED:
        comparison.not_looked_at[_who_did_not_look(before, after)] += 1
    if difference.change in comparison.whys:
        comparison.whys[difference.change][difference.why] += 1
    return old, new, how, _CHANGES.index(difference.change), difference.strength


def _who_did_not_look(old: StatedResult | None, new: StatedResult | None) -> str:
    """At an input that is not compared."""
    unseen = [result is None or result.status == PENDING for result in (old, new)]
    return "both" if all(unseen) else "OLD" if unseen[0] else "NEW"
