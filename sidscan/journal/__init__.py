"""The durable record of a run, and the single source of all reports.

It is one SQLite file. A result counts as recorded when its transaction is on disk; `kill -9` and power loss
cost no recorded row (SQLite, "Atomic Commit in SQLite"). The file stays beside the report: the same command
continues where it stopped, and reads again only what changed since.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.journal import closer_looks, localizations, outputs, previous, thumbnails, turns
from sidscan.journal.companions import CompanionRecord
from sidscan.journal.file import UPGRADED, is_damage
from sidscan.journal.growing import GrowingRecord
from sidscan.journal.identity import current_folder, identity_of
from sidscan.journal.keys import ReuseKeys
from sidscan.journal.listings import KeptListings, ListEntries
from sidscan.journal.matching import LOST, CheckGone, Matching, Registered
from sidscan.journal.results import RecordedResults
from sidscan.journal.stored_results import dump_result, load_result
from sidscan.records import Item, Kind, RunHeader, SamplePlan, ScanResult, Stage
from sidscan.util.files import real_path
from sidscan.util.urls import mask_credentials

_NO_IMAGES: Mapping[str, bytes] = {}
_NO_CROPS: thumbnails.Crops = {}


def accept_gone(paths: Iterator[str], skip_of: Callable[[str], str | None]) -> None:
    """Accept that inputs of the earlier run are gone."""


class Journal(GrowingRecord, CompanionRecord, RecordedResults):
    """The record of one run: inputs, results, and what was written."""

    def set_header(self, header: RunHeader) -> None:
        """Record the facts about the run, in place of the earlier ones."""
        self._write_header(header.to_dict())

    def header(self) -> RunHeader:
        """What `set_header` recorded, maybe in an earlier version of sidscan."""
        rows = self._read("SELECT key, value FROM header")
        return RunHeader.from_dict({key: json.loads(value) for key, value in rows})

    def keeping_lists(self, list_entries: ListEntries, made_by: str, private: bool = False) -> KeptListings:
        """What lists archives, and keeps what takes long to list.

        Args:
            list_entries: lists an archive.
            made_by: on what a list depends besides the archive.
            private: record nothing of the current folder.
        """
        return KeptListings(self._db, None if private else current_folder(), list_entries, made_by)

    def register_inputs(
        self,
        items: Iterable[Item | None],
        keys: ReuseKeys,
        retry_failed: bool = False,
        keep_old: bool = False,
        check_gone: CheckGone = accept_gone,
        private: bool = False,
        plan: SamplePlan | None = None,
        may_pause: Callable[[], bool] | None = None,
    ) -> Registered:
        """Record all inputs of the run, and keep the earlier results that still hold.

        A result holds while the input's fingerprint, what it depends on (`ReuseKeys.key_for`) and what read
        it (`Readers.key_for`) are the same. Results that are not used are set aside until a run is complete:
        an option may have been mistyped. An input that is named twice, in whatever way, is one row.

        Args:
            keep_old: keep scores that another decoder or version of sidscan made.
            check_gone: refuses a run that lacks inputs of the earlier one.
            private: record nothing of the current folder.
            plan: which images to look at, if not all in the order of the inputs.
            may_pause: if the record `can_grow`: asked after each of the ``items`` from where on others can
                only follow, whether to go on without these; they come by `add_inputs`. An item may be None,
                to ask although there is none yet.

        Raises:
            OutputError: the journal holds another run, with none of these inputs; it is left unchanged.
        """
        with self._writing():
            self._db.execute("BEGIN")  # so that a failure removes the temporary table, too
            self._folder = None if private else current_folder()
            matching = Matching(self._db, keys, self._folder, retry_failed=retry_failed, keep_old=keep_old)
            listed = matching.take(items, may_pause)
            matching.find_moved()
            if private:
                matching.forget_folders()
            kept = matching.keep()
            matching.check_gone(check_gone)
            if not listed.kept:
                self._check_same_run()
            previous.note(self._db)
            if private:
                previous.forget_folders(self._db)
            registered = matching.registered(listed, kept)
            matching.retire_unused()
            self.note_listing(registered.listing_complete)
            return replace(registered, sample=turns.choose(self._db, plan))

    def _check_same_run(self) -> None:
        """Raises OutputError if there are earlier scores, but no earlier input is among the new ones."""
        earlier, matched, scored = self._db.execute(
            """SELECT count(DISTINCT e.path), count(DISTINCT items.path), total(e.status = 'scored')
            FROM earlier AS e LEFT JOIN items USING (path)"""
        ).fetchone()
        if not scored or matched:
            return
        before, now = (
            self._db.execute(f"SELECT name FROM {table} ORDER BY skip != '', position LIMIT 1").fetchone()  # noqa: S608
            for table in ("earlier", "items")
        )
        if self._is_linked(before[0], "items") or self._is_linked(now[0] if now else b"", "earlier"):
            raise OutputError(
                f"{self.path} is the record of another run: it reached the same files by other names, "
                f"through a link ({_shown(before[0])}, for example; yours begin with {_shown(now[0])})",
                "Name the folder as that run did, or choose another --out or --journal.",
            )
        names = f"it has {_shown(before[0])}, for example" + (
            f"; yours begin with {_shown(now[0])}" if now else ""
        )
        raise OutputError(
            f"{self.path} is the record of another run: none of its {earlier} inputs is among yours "
            f"({names})",
            "If you renamed or moved the folder, scan it by its old path again: rename it back, or make a "
            "link there (ln -s NEW OLD); no score is lost. Otherwise name the inputs as that run did, choose "
            "another --out or --journal, or forget that run and its scores with --fresh.",
        )

    def _is_linked(self, name: bytes, table: str) -> bool:
        """Whether a table has the file that ``name`` leads to through links."""
        target = identity_of(os.fspath(real_path(os.fsdecode(name))), Kind.FILE, self._folder)
        query = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE path = ?)"  # noqa: S608
        return bool(name and self._db.execute(query, (os.fsencode(target),)).fetchone()[0])

    def purge_stale(self) -> None:
        """Delete results set aside; those of inputs that are gone or left out stay for one more run."""
        with self._writing():
            self._db.execute(
                "DELETE FROM retired WHERE age > 0 OR path IN (SELECT path FROM items WHERE skip = '')"
            )
            self._db.execute("UPDATE retired SET age = age + 1")
            thumbnails.purge(self._db)
            closer_looks.purge(self._db)
            localizations.purge(self._db)

    def pending(self, mixed: bool = False) -> Iterator[Item]:
        """Inputs without a result that this run is to look at; safe to call `append` meanwhile.

        Args:
            mixed: those of a sample in the order of their turns, and not in that of the inputs.
        """
        if self._is_sample():
            yield from turns.pending(self._db, mixed)
            return
        last = -1
        query = (
            "SELECT position, name, kind, stamp, skip FROM items WHERE finding IS NULL AND position > ? "
            "ORDER BY position LIMIT 1000"
        )
        while rows := self._read(query, (last,)).fetchall():
            for last, name, kind, fingerprint, skip in rows:  # noqa: B007  (the query reads it)
                yield Item(os.fsdecode(name), Kind(kind), fingerprint, skip)

    def num_pending(self) -> int:
        """Number of inputs that `pending` gives."""
        query = f"SELECT count(*) FROM items WHERE finding IS NULL {self._of_run()}"  # noqa: S608
        return int(self._read(query).fetchone()[0])

    def images_pending(self) -> tuple[int, int]:
        """Number of those that are read, and the bytes of their files as they were listed."""
        query = f"""SELECT count(*), total(size_of(kind, stamp)) FROM items
            WHERE finding IS NULL AND skip = '' {self._of_run()}"""  # noqa: S608
        number, size = self._read(query).fetchone()
        return number, int(size)

    def must_keep_order(self) -> bool:
        """Whether some of them are members of compressed tars, which are unpacked once, from the start."""
        query = f"""SELECT EXISTS (SELECT 1 FROM items WHERE finding IS NULL AND skip = ''
            AND kind = 'member' AND read_in_order(kind, stamp) {self._of_run()})"""  # noqa: S608
        return bool(self._read(query).fetchone()[0])

    def spread_pending(self, number: int) -> list[Item]:
        """So many of those that are read, spread evenly over the inputs."""
        query = f"""SELECT name, kind, stamp FROM (
            SELECT name, kind, stamp, position, count(*) OVER () AS n,
            row_number() OVER (ORDER BY position) AS row FROM items
            WHERE finding IS NULL AND skip = '' {self._of_run()}
            ) WHERE row * :number / n > (row - 1) * :number / n ORDER BY position"""  # noqa: S608
        rows = self._db.execute(query, {"number": number}).fetchall()
        return [Item(os.fsdecode(name), Kind(kind), fingerprint) for name, kind, fingerprint in rows]

    def _of_run(self) -> str:
        """A condition of what this run is to look at."""
        return "AND (skip != '' OR position IN (SELECT position FROM turns))" if self._is_sample() else ""

    def _is_sample(self) -> bool:
        return bool(self._read("SELECT EXISTS (SELECT 1 FROM turns)").fetchone()[0])

    def append(
        self,
        results: Iterable[ScanResult],
        keys: ReuseKeys,
        small: Mapping[str, bytes] = _NO_IMAGES,
        crops: thumbnails.Crops = _NO_CROPS,
        second_images: Mapping[str, bytes] = _NO_IMAGES,
    ) -> None:
        """Record results durably: they are on disk when this returns.

        Args:
            small: thumbnails (WebP) of these results' images, by the sha256 of their bytes.
            crops: of some of them, the crop with the highest score.
            second_images: of some of them, a preview (WebP) in the file that shows another image.
        """
        with self._writing():
            rows = [
                (
                    result.status.value,
                    keys.key_for(result),
                    dump_result(result),
                    keys.readers.key_for(result),
                    result.stage is Stage.READ and result.status in LOST,
                    os.fsencode(identity_of(result.name, result.kind, self._folder)),
                )
                for result in results
            ]
            query = """UPDATE items SET status = ?, settings = ?, finding = ?, reader = ?,
                tries = iif(?, tries + 1, 0) WHERE path = ?"""
            if self._db.executemany(query, rows).rowcount != len(rows):
                raise sqlite3.IntegrityError("a result belongs to no input of this run")
            thumbnails.keep(self._db, small, crops, second_images)

    def forget_result(self, position: int) -> None:
        """Make an input pending again: its bytes are not those of the result."""
        with self._writing():
            self._db.execute("BEGIN")
            previous.note_one(self._db, position)
            self._db.execute(
                "UPDATE items SET status = NULL, finding = NULL, settings = NULL, reader = NULL "
                "WHERE position = ?",
                (position,),
            )

    def rewrite_results(self, change: Callable[[ScanResult], ScanResult]) -> None:
        """Change all results, also those that no longer hold; the file keeps nothing of the old ones.

        It also forgets all second images: they were made of what the old results said.
        """
        with self._writing():
            self._db.execute("PRAGMA secure_delete=ON")
            self._db.create_function("changed", 1, lambda text: dump_result(change(load_result(text))))
            for table in ("items", "retired", "previous"):
                self._db.execute(f"UPDATE {table} SET finding = changed(finding) WHERE finding IS NOT NULL")  # noqa: S608
            self._db.execute("DELETE FROM second_images")
        with self._writing():
            self._db.execute("VACUUM")  # pages that were freed earlier may hold results, too

    def output_digests(self, out: Path) -> Collection[str] | None:
        """The sha256 of what this run last wrote to ``out``, hex; None if the record does not say."""
        try:
            known = outputs.digests(self._db, self.path, out)
        except sqlite3.Error as error:
            raise self._output_error(error) from error
        return known or (None if self._was_upgraded() else known)

    def _was_upgraded(self) -> bool:
        """Whether an earlier version wrote the record, which kept no hashes of reports."""
        query = "SELECT count(*) FROM header WHERE key = ?"
        return bool(self._read(query, (UPGRADED,)).fetchone()[0])

    def output_paths(self) -> list[Path]:
        """The files that this run ever wrote: reports, and their hash files."""
        try:
            return outputs.paths(self._db, self.path)
        except sqlite3.Error as error:
            raise self._output_error(error) from error

    def expect_output(self, out: Path, sha256: str) -> None:
        """Note, right before it happens, that ``out`` is replaced by bytes with this sha256."""
        with self._writing():
            outputs.expect(self._db, self.path, out, sha256)

    def confirm_output(self, out: Path, sha256: str) -> None:
        """Note that ``out`` was replaced by bytes with this sha256."""
        with self._writing():
            outputs.confirm(self._db, self.path, out, sha256)


def recorded_outputs(
    journal: Path | None, outs: Iterable[Path], fresh: bool = False
) -> dict[Path, Collection[str] | None]:
    """What the record at ``journal`` says of each output (`Journal.output_digests`), before a scan opens it.

    Raises:
        OutputError: as `Journal`; a damaged record says nothing if ``fresh`` is to discard it.
    """
    if journal is None or not os.path.lexists(journal):
        return dict.fromkeys(outs, ())
    try:
        with closing(Journal(journal)) as record:
            return {out: record.output_digests(out) for out in outs}
    except OutputError as error:
        if fresh and isinstance(error.__cause__, sqlite3.Error) and is_damage(error.__cause__):
            return dict.fromkeys(outs, ())
        raise


def _shown(name: bytes) -> str:
    return mask_credentials(os.fsdecode(name))
