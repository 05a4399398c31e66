"""The journal of a run: durable, exact, and reused only where results are still valid."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sidscan.errors import OutputError
from sidscan.journal import Journal, Registered, dump_result, load_result
from sidscan.records import (
    Counts,
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    ReuseKeys,
    ScanResult,
    Score,
    Stage,
    Status,
)

SCORE = Score("mini", "abc", 0.6, 0.7, 0.85, "moderate", 0.6, 0.8, 0.05)


KEYS = ReuseKeys("model", "model, limits", "model, urls")
OTHER_MODEL = ReuseKeys("other", "other, limits", "other, urls")
OTHER_LIMITS = replace(KEYS, limits="model, other limits")


def result(name: str, status: Status = Status.SCORED) -> ScanResult:
    if status is Status.FAILED:
        return ScanResult.of_failure(
            Failure(Item(name), Stage.DECODE, "OSError", "truncated"), "2026-01-01T00:00:00+00:00"
        )
    facts = ImageInfo(
        10, "f" * 64, "JPEG", 300, 200, ("padded",), Exif(make="Acme", tags={"Image Make": "Acme"})
    )
    return ScanResult(name, Kind.FILE, status, facts, "2026-01-01T00:00:00+00:00", scores=(SCORE,), views=10)


def items(*names: str, fingerprint: str = "1:1") -> list[Item]:
    return [Item(name, fingerprint=fingerprint) for name in names]


def tally(registered: Registered) -> tuple[int, int, int]:
    return registered.kept, registered.dropped, registered.repeated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal in which a and b have results and c is pending."""
    journal = Journal(tmp_path / "run.journal")
    journal.register_inputs(items("a", "b", "c"), KEYS)
    journal.append([result("a"), result("b", Status.FAILED)], KEYS)
    journal.close()
    return tmp_path / "run.journal"


@pytest.mark.parametrize("status", [Status.SCORED, Status.FAILED])
def test_results_survive_the_round_trip(status: Status) -> None:
    assert load_result(dump_result(result("caf\udce9.jpg", status))) == result("caf\udce9.jpg", status)


def test_an_interrupted_run_continues(path: Path) -> None:
    journal = Journal(path)
    assert tally(journal.register_inputs(items("a", "b", "c"), KEYS)) == (2, 0, 0)
    assert [item.name for item in journal.pending()] == ["c"]
    assert journal.counts() == Counts(enumerated=3, scored=1, failed=1, skipped=0)
    assert journal.counts().pending == 1


@pytest.mark.parametrize(
    ("inputs", "keys", "retry", "pending"),
    [
        pytest.param(items("a", "b", "c", "d"), KEYS, False, ["c", "d"], id="list grew"),
        pytest.param(items("b"), KEYS, False, [], id="list shrank"),
        pytest.param([*items("a", fingerprint="2:2"), *items("b")], KEYS, False, ["a"], id="file changed"),
        pytest.param(items("a", "b"), OTHER_MODEL, False, ["a", "b"], id="model changed"),
        pytest.param(items("a", "b"), OTHER_LIMITS, False, ["b"], id="limits changed"),
        pytest.param(items("a", "b"), KEYS, True, ["b"], id="retry failed"),
    ],
)
def test_only_changed_inputs_are_scored_again(
    path: Path, inputs: list[Item], keys: ReuseKeys, retry: bool, pending: list[str]
) -> None:
    journal = Journal(path)
    journal.register_inputs(inputs, keys, retry)
    assert [item.name for item in journal.pending()] == pending
    assert journal.counts().enumerated == len(inputs)


def test_a_journal_of_another_run_is_never_replaced_silently(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(OutputError, match="none of its 2 inputs is among yours") as refused:
        journal.register_inputs(items("./a", "./b"), KEYS)
    assert "(it has a, for example; yours begin with ./a)" in str(refused.value)
    assert [recorded.name for recorded in journal.results()] == ["a", "b"]
    assert tally(journal.register_inputs(items("a", "b"), OTHER_MODEL)) == (0, 2, 0)


def test_an_input_named_twice_is_one_row(tmp_path: Path) -> None:
    journal = Journal(None)
    assert tally(journal.register_inputs(items("a", "b", "a"), KEYS)) == (0, 0, 1)
    assert [item.name for item in journal.pending()] == ["a", "b"]


def test_pending_and_append_may_interleave() -> None:
    journal = Journal(None)
    names = [f"{number:05}" for number in range(2500)]
    journal.register_inputs(items(*names), KEYS)
    seen = []
    for item in journal.pending():
        seen.append(item.name)
        journal.append([result(item.name)], KEYS)
    assert seen == names
    assert [recorded.name for recorded in journal.results()] == names


def test_names_need_not_be_utf8(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.journal")
    name = os.fsdecode(b"caf\xe9.jpg")
    journal.register_inputs([Item(name)], KEYS)
    journal.append([result(name)], KEYS)
    assert [recorded.name for recorded in journal.results()] == [name]


def test_acknowledged_results_survive_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    program = (
        "import os, sys; sys.path[:0] = os.environ['TEST_PATH'].split(os.pathsep)\n"
        "from pathlib import Path\n"
        "from test_journal import KEYS, Journal, result, items\n"
        f"journal = Journal(Path({str(path)!r}))\n"
        "journal.register_inputs(items('a', 'b'), KEYS)\n"
        "journal.append([result('a')], KEYS)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "TEST_PATH": here}, check=False)
    assert done.returncode == -9
    assert [recorded.name for recorded in Journal(path).results()] == ["a"]


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("synchronous", 2, id="FULL: fsync before a commit returns"),
        pytest.param("journal_mode", "delete", id="one file, with a rollback journal while it is written"),
        pytest.param("locking_mode", "exclusive", id="from the first write on until it is closed"),
    ],
)
def test_commits_reach_the_disk_and_other_scans_cannot_commit(
    path: Path, pragma: str, value: int | str
) -> None:
    """A test with kill -9 could not detect a lack of this."""
    assert Journal(path)._db.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_inputs_that_could_not_be_read_are_tried_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.journal")
    journal.register_inputs(items("a", "b"), KEYS)
    unread = replace(result("a", Status.FAILED), stage=Stage.FETCH)
    journal.append([unread, result("b", Status.FAILED)], KEYS)
    assert journal.register_inputs(items("a", "b"), KEYS) == Registered(kept=1, repeated=0, retried=1)
    assert [item.name for item in journal.pending()] == ["a"]


def test_a_named_file_beats_what_a_walk_left_out() -> None:
    named, walked = Item("link", fingerprint="1:1"), Item("link", skip="a link")
    for order in ([walked, named], [named, walked]):
        journal = Journal(None)
        assert tally(journal.register_inputs(order, KEYS)) == (0, 0, 1)
        assert list(journal.pending()) == [named]


SKIPPED_LINK = Item("a", skip="symbolic link, not followed")
NO_FILE = Item("a")


@pytest.mark.parametrize(
    ("before", "now", "keys", "reason"),
    [
        pytest.param(*items("a"), *items("a", fingerprint="2:2"), KEYS, "changed", id="another time"),
        pytest.param(*items("a"), *items("d"), KEYS, "gone", id="no longer named"),
        pytest.param(*items("a"), NO_FILE, KEYS, "gone", id="named, but missing now"),
        pytest.param(SKIPPED_LINK, *items("a"), KEYS, "skip_changed", id="a link, now named"),
        pytest.param(*items("a"), SKIPPED_LINK, KEYS, "skip_changed", id="now below a folder"),
        pytest.param(*items("a"), *items("a"), OTHER_MODEL, "other_keys", id="another model"),
    ],
)
def test_results_that_are_not_used_are_counted_by_reason(
    before: Item, now: Item, keys: ReuseKeys, reason: str
) -> None:
    journal = Journal(None)
    journal.register_inputs([before, *items("b")], KEYS)
    skipped = replace(result("a", Status.FAILED), status=Status.SKIPPED, stage=Stage.LIST)
    journal.append([skipped if before.skip else result("a"), result("b")], KEYS)
    kept = int(keys is KEYS)
    registered = journal.register_inputs([now, *items("b")], keys)
    assert registered == Registered(kept, repeated=0)._replace(**{reason: 2 - kept})
    assert registered.dropped == 2 - kept


def test_missing_files_that_exist_now_are_tried_again() -> None:
    journal = Journal(None)
    journal.register_inputs([NO_FILE, *items("b")], KEYS)
    journal.append([replace(result("a", Status.FAILED), stage=Stage.READ), result("b")], KEYS)
    assert journal.register_inputs(items("a", "b"), KEYS) == Registered(kept=1, repeated=0, retried=1)


def test_a_journal_without_scores_may_be_replaced(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.journal")
    journal.register_inputs(items("a"), KEYS)
    journal.append([result("a", Status.FAILED)], KEYS)
    assert journal.register_inputs(items("b"), KEYS).gone == 1


def test_a_result_for_an_unknown_input_is_an_error() -> None:
    journal = Journal(None)
    journal.register_inputs(items("a"), KEYS)
    with pytest.raises(OutputError, match="belongs to no input"):
        journal.append([result("b")], KEYS)


def test_two_scans_never_share_a_journal(path: Path) -> None:
    first = Journal(path)
    with pytest.raises(OutputError, match="is in use by another scan"):
        Journal(path)
    first.close()
    Journal(path).close()


def test_fresh_discards_earlier_results(path: Path) -> None:
    assert Journal(path, fresh=True).counts() == Counts(0, 0, 0, 0)


def test_other_files_are_not_taken_over(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but somebody's notes" * 40)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE theirs (x)")
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE items (position INTEGER PRIMARY KEY, name TEXT, finding TEXT)")
        database.execute("INSERT INTO items VALUES (1, 'theirs', 'too')")
    damaged = tmp_path / "damaged.journal"
    damaged.write_bytes(foreign.read_bytes()[:5000])
    unmarked = tmp_path / "report.csv.journal"
    unmarked.write_bytes(b"x" * 8192)
    for path in (text, foreign, tmp_path / "shop.db", damaged, unmarked):
        before = path.read_bytes()
        for fresh in (False, True):
            with pytest.raises(OutputError, match="is not a record of sidscan; it is left alone"):
                Journal(path, fresh)
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        pytest.param("run.journal", 0, 10_000, id="cut off"),
        pytest.param("kept", 0, 10_000, id="cut off, with another name"),
        pytest.param("run.journal", 0, 600, id="cut off before the tables' definitions"),
        pytest.param("run.journal", 4096, 20_480, id="pages overwritten"),
    ],
)
def test_a_damaged_record_is_named_and_fresh_discards_it(path: Path, name: str, start: int, end: int) -> None:
    content = path.read_bytes()
    damaged = path.with_name(name)
    damaged.write_bytes(content[:end] if start == 0 else content[:start] + b"\xff" * (end - start))
    with pytest.raises(OutputError, match=f"the record .*{name} is damaged") as refused:
        Journal(damaged).register_inputs(items("a", "b", "c"), KEYS)
    assert refused.value.remedy == "--fresh discards it and starts over; or name another with --journal FILE."
    journal = Journal(damaged, fresh=True)
    journal.register_inputs(items("a"), KEYS)
    journal.append([result("a")], KEYS)
    journal.close()
    assert [recorded.name for recorded in Journal(damaged).results()] == ["a"]


@pytest.mark.parametrize("flag", ["truncated", "metadata_limit", "metadata_timeout", "metadata_crashed"])
def test_a_score_is_reused_only_under_the_limits_that_shaped_it(flag: str) -> None:
    scored = result("a")
    marked = replace(scored, facts=replace(scored.facts, flags=("padded", flag)))
    assert (KEYS.key_for(scored), KEYS.key_for(marked)) == (KEYS.score, KEYS.limits)
    journal = Journal(None)
    journal.register_inputs(items("a", "b"), KEYS)
    journal.append([marked, result("b")], KEYS)
    assert tally(journal.register_inputs(items("a", "b"), OTHER_LIMITS)) == (1, 1, 0)
    assert [item.name for item in journal.pending()] == ["a"]


def test_scored_bytes_are_found_by_their_hash() -> None:
    journal = Journal(None)
    journal.register_inputs(items("a", "b", "c"), KEYS)
    assert journal.find_by_sha256("f" * 64) is None
    failed = result("b", Status.FAILED)
    journal.append([replace(failed, facts=ImageInfo(sha256="e" * 64)), result("a"), result("c")], KEYS)
    assert journal.find_by_sha256("f" * 64) in (result("a"), result("c"))
    assert journal.find_by_sha256("e" * 64) is None
    assert journal.repeats() == 1


def test_urls_depend_on_what_may_be_fetched() -> None:
    fetched = replace(result("http://host/a.jpg"), kind=Kind.URL)
    assert KEYS.key_for(fetched) == KEYS.urls


def test_results_under_other_options_survive_until_the_new_run_is_complete(path: Path) -> None:
    journal = Journal(path)
    journal.register_inputs(items("a", "b", "c"), OTHER_MODEL)
    journal.append([result("b")], OTHER_MODEL)
    assert journal.register_inputs(items("a", "b", "c"), KEYS).kept == 2
    assert journal.counts() == Counts(enumerated=3, scored=1, failed=1, skipped=0)
    assert journal.register_inputs(items("a", "b", "c"), OTHER_MODEL).kept == 1
    journal.purge_stale()
    assert journal.register_inputs(items("a", "b", "c"), KEYS).kept == 0
