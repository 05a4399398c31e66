"""The journal of a run: durable, exact, and reused only where results are still valid."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_results import old_journal

from sidscan.errors import NothingToScan, OutputError
from sidscan.journal import Journal
from sidscan.journal.identity import identity_of
from sidscan.journal.keys import Readers, ReuseKeys, reader_in_words
from sidscan.journal.listed import ListedInputs
from sidscan.journal.matching import Registered
from sidscan.journal.stored_results import dump_result, load_result
from sidscan.records import (
    Counts,
    Exif,
    Failure,
    ImageInfo,
    Item,
    Kind,
    RunHeader,
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
    stage = Stage.READ if status is Status.CRASHED else None
    at = "2026-01-01T00:00:00+00:00"
    return ScanResult(name, Kind.FILE, status, facts, at, stage, scores=(SCORE,), views=10)


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
        journal.register_inputs(items("x/a", "x/b"), KEYS)
    assert "(it has a, for example; yours begin with x/a)" in str(refused.value)
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
    expected: dict[str, Any] = {reason: 2 - kept}
    assert registered == replace(Registered(kept, repeated=0), **expected)
    assert registered.dropped == 2 - kept
    assert registered.examples == {reason: ("a", "b")[: 2 - kept]}


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
        pytest.param("run.journal", 0, 200, id="cut off before the tables' definitions"),
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


PILLOW = Readers("1.0", {"": "Pillow 1", "HEIF": "heif 1"}, {"TIFF": 1})
NO_HEIF = replace(PILLOW, decoders={"": "Pillow 1", "HEIF": ""})
READERS = {
    "another version of sidscan": replace(PILLOW, version="1.1"),
    "another Pillow": replace(PILLOW, decoders={**PILLOW.decoders, "": "Pillow 2"}),
    "another HEIF decoder": replace(PILLOW, decoders={**PILLOW.decoders, "HEIF": "heif 2"}),
    "no HEIF decoder": NO_HEIF,
    "TIFF is read otherwise": replace(PILLOW, revisions={"TIFF": 2}),
}
READ_BY = {"jpeg": ("JPEG", "Pillow 1"), "tiff": ("TIFF", "Pillow 1"), "heif": ("HEIF", "heif 1")}


def read_results() -> list[ScanResult]:
    """A scored image of each format, one whose EXIF is incomplete, and one that could not be decoded."""
    scored = {
        name: replace(
            result(name),
            facts=ImageInfo(10, 64 * name[0], image_format, 1, 1),
            decoder=decoder,
            sidscan_version="1.0",
        )
        for name, (image_format, decoder) in READ_BY.items()
    }
    odd = replace(
        scored["jpeg"], name="odd", facts=ImageInfo(9, "0" * 64, "JPEG", flags=("exif_incomplete",))
    )
    cut = replace(
        result("cut", Status.FAILED),
        facts=ImageInfo(format="JPEG"),
        decoder="Pillow 1",
        sidscan_version="1.0",
    )
    return [*scored.values(), odd, cut]


@pytest.mark.parametrize(
    ("readers", "again"),
    [
        pytest.param("another version of sidscan", {"odd", "cut"}, id="version"),
        pytest.param("another Pillow", {"jpeg", "tiff", "odd", "cut"}, id="Pillow"),
        pytest.param("another HEIF decoder", {"heif"}, id="HEIF decoder"),
        pytest.param("no HEIF decoder", set(), id="a score stays where its decoder is gone"),
        pytest.param("TIFF is read otherwise", {"tiff"}, id="reading of TIFF"),
    ],
)
@pytest.mark.parametrize("keep_old", [False, True])
def test_only_what_is_read_otherwise_is_done_again(readers: str, again: set[str], keep_old: bool) -> None:
    journal, done = Journal(None), read_results()
    names = items(*(each.name for each in done))
    journal.register_inputs(names, replace(KEYS, readers=PILLOW))
    journal.append(done, replace(KEYS, readers=PILLOW))
    keys = replace(KEYS, readers=READERS[readers])
    registered = journal.register_inputs(names, keys, keep_old=keep_old)
    if keep_old:
        again = again & {"cut"}
    assert {item.name for item in journal.pending()} == again
    assert (registered.kept, registered.other_reader) == (len(done) - len(again), len(again))
    assert sum(registered.read_by.values()) == len(again)
    assert journal.register_inputs(names, replace(KEYS, readers=PILLOW)).kept == len(done), "set aside"


def test_only_images_without_a_decoder_are_read_again_when_it_is_there() -> None:
    journal = Journal(None)
    failed = result("heif", Status.FAILED)
    heif = replace(failed, facts=ImageInfo(format="HEIF"), decoder=None, sidscan_version="1.0")
    cut = replace(
        failed, name="cut", facts=ImageInfo(format="JPEG"), decoder="Pillow 1", sidscan_version="1.0"
    )
    journal.register_inputs(items("heif", "cut"), replace(KEYS, readers=NO_HEIF))
    journal.append([heif, cut], replace(KEYS, readers=NO_HEIF))
    assert journal.register_inputs(items("heif", "cut"), replace(KEYS, readers=NO_HEIF)).kept == 2
    registered = journal.register_inputs(items("heif", "cut"), replace(KEYS, readers=PILLOW))
    assert [item.name for item in journal.pending()] == ["heif"]
    assert [reader_in_words(key) for key in registered.read_by] == ["of a format that had no decoder"]


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "c.jpg", "", "caf\udce9"]), min_size=1, max_size=5
).map("/".join)


@given(NAMES, st.booleans())
def test_a_name_means_the_same_however_it_is_written(name: str, absolute: bool) -> None:
    name = f"/{name}" if absolute else name.lstrip("/") or "x"
    path = identity_of(name, Kind.FILE, "/folder")
    assert path == os.path.normpath(f"/folder/{name}" if not absolute else f"/{name.lstrip('/')}")
    for other in (
        name if absolute or name.startswith("/") else f"./{name}",
        path,
        f"{path}/.",
        path.replace("/", "/./"),
    ):
        assert identity_of(other, Kind.FILE, "/folder") == path


def test_names_behind_links_and_other_names_stay_apart(tmp_path: Path) -> None:
    (tmp_path / "target" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "target" / "below")
    folder = str(tmp_path)
    assert identity_of("link/../a.jpg", Kind.FILE, folder) == str(tmp_path.resolve() / "target" / "a.jpg")
    assert identity_of("link/a.jpg", Kind.FILE, folder) == str(tmp_path / "link" / "a.jpg")
    for name in ("https://host/./a.jpg", "ftp://host/a.jpg", "a\0b/./c"):
        assert identity_of(name, Kind.URL if name.startswith("http") else Kind.FILE, folder) == name


def test_one_folder_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.register_inputs(items("images/a", "images/b"), KEYS)
    journal.append([result("images/a"), result("images/b")], KEYS)
    for folder in ("./images", str(tmp_path / "images"), "x/../images", "images"):
        registered = journal.register_inputs(items(f"{folder}/a", f"{folder}/b", "images/a"), KEYS)
        assert tally(registered) == (2, 0, 1)
        assert [recorded.name for recorded in journal.results()] == [f"{folder}/a", f"{folder}/b"]


def test_a_folder_may_move_with_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(None)
    for disk in ("disk1", "disk2"):
        (tmp_path / disk).mkdir()
        monkeypatch.chdir(tmp_path / disk)
        registered = journal.register_inputs([*items("images/a"), *items("b", fingerprint="")], KEYS)
        if disk == "disk1":
            journal.append([result("images/a"), result("b")], KEYS)
    assert (registered.kept, registered.gone) == (1, 1), "b has no fingerprint that proves it"


def lost(name: str, status: Status = Status.CRASHED) -> ScanResult:
    return replace(
        result(name, Status.FAILED), stage=Stage.READ, status=status, message="was ended by SIGSEGV"
    )


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMEOUT, Status.MEMORY_LIMIT])
def test_an_input_that_costs_its_reader_is_tried_in_three_scans(tmp_path: Path, status: Status) -> None:
    for tried in range(5):
        with closing(Journal(tmp_path / "run.journal")) as journal:
            registered = journal.register_inputs(items("a", "b"), KEYS)
            pending = [item.name for item in journal.pending()]
            assert (registered.kept, registered.retried) == ((0, 0), (1, 1), (1, 1), (2, 0), (2, 0))[tried]
            journal.append([lost("a", status) if name == "a" else result("b") for name in pending], KEYS)
            if tried >= 2:
                (row, _) = journal.results()
                assert row.message == (
                    "was ended by SIGSEGV; 3 scans tried it, and only --retry-failed tries it again"
                )
    with closing(Journal(tmp_path / "run.journal")) as journal:
        assert journal.register_inputs(items("a", "b"), KEYS, retry_failed=True).retried == 1
        journal.append([lost("a", status)], KEYS)
        changed = [*items("a", fingerprint="2:2"), *items("b")]
        assert journal.register_inputs(changed, KEYS).retried == 1, "another file is tried three times again"


def test_results_of_inputs_that_are_gone_stay_for_one_more_run() -> None:
    journal = Journal(None)
    journal.register_inputs(items("a", "b"), KEYS)
    journal.append([result("a"), result("b")], KEYS)
    for gone_for, kept in ((1, 2), (2, 1)):
        for _ in range(gone_for):
            journal.register_inputs(items("a"), KEYS)
            journal.purge_stale()
        assert journal.register_inputs(items("a", "b"), KEYS).kept == kept


def test_a_run_that_is_refused_leaves_the_record_as_it_was(path: Path) -> None:
    def refuse(paths: Iterator[str], skip_of: Callable[[str], str | None]) -> None:
        assert [Path(each).name for each in paths] == ["a"]
        assert [skip_of(str(Path.cwd() / name)) for name in ("a", "b")] == [None, ""]
        raise NothingToScan("the folder is empty")

    journal = Journal(path)
    with pytest.raises(NothingToScan):
        journal.register_inputs(items("b"), KEYS, check_gone=refuse)
    assert [recorded.name for recorded in journal.results()] == ["a", "b"]
    assert journal.register_inputs(items("a", "b", "c"), KEYS).kept == 2


def test_a_record_of_0_1_0_keeps_its_results(tmp_path: Path) -> None:
    with closing(Journal(old_journal(tmp_path / "r.journal"))) as journal:
        before = list(journal.results())
        assert {(row.decoder, row.sidscan_version) for row in before} == {("Pillow 13.0.0", "0.1.0")}
        old = dict(journal._db.execute("SELECT DISTINCT settings, settings FROM items").fetchall())
        former = dict(zip(old, ("score", "limits", "urls"), strict=False))
        readers = Readers("0.1.0", {"": "Pillow 13.0.0", "HEIF": "pillow-heif 1.8.1"}, {"TIFF": 2, "HEIF": 2})
        keys = ReuseKeys("score", "limits", "urls", readers, former)
        names = journal._db.execute("SELECT name, kind, stamp, skip FROM items ORDER BY position").fetchall()
        inputs = [Item(os.fsdecode(name), Kind(kind), stamp, skip) for name, kind, stamp, skip in names]
        registered = journal.register_inputs(inputs, keys)
        assert (registered.kept, registered.retried, registered.dropped) == (6, 1, 0)


def test_a_private_record_holds_nothing_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somebodys-home").mkdir()
    monkeypatch.chdir(tmp_path / "somebodys-home")
    names = ("images/a", "./b", "../c")
    with closing(Journal(tmp_path / "run.journal")) as journal:
        journal.register_inputs(items(*names, "d"), KEYS)
        journal.append([result(name) for name in (*names, "d")], KEYS)
        assert journal.register_inputs(items(*names), KEYS, private=True).kept == 3
        assert journal.register_inputs(items(*names), KEYS, private=True).kept == 3
        journal._db.execute("VACUUM")
    assert b"somebodys-home" not in (tmp_path / "run.journal").read_bytes()


_FINGERPRINTS = st.sampled_from(["1:1", "1:1", "1:1", "2:2", ""])
_LISTINGS = st.lists(
    st.builds(
        lambda name, stamp, skip: Item(name, fingerprint=stamp, skip=skip),
        st.sampled_from([*"abcdef", "./a", "x/../b"]),
        _FINGERPRINTS,
        st.sampled_from(["", "", "", "a link"]),
    ),
    max_size=8,
)
_STATUSES = st.sampled_from([Status.SCORED, Status.SCORED, Status.FAILED, Status.CRASHED])
_RUNS = st.lists(
    st.tuples(
        st.booleans(),  # whether the listing is that of the run before
        _LISTINGS,
        st.lists(_STATUSES, max_size=8),  # of the results that are made
        st.sampled_from([KEYS, KEYS, OTHER_MODEL, OTHER_LIMITS]),
        st.booleans(),  # whether failed ones are tried again
        st.booleans(),  # whether the run is recorded as complete
    ),
    min_size=2,
    max_size=4,
)


def _rewritten(inputs: ListedInputs) -> Iterator[None]:
    """In place of `ListedInputs._rows`: no row stays where it is."""
    inputs._move_from(0)
    return iter(())


def _after(runs: list[Any]) -> list[object]:
    """What a record says after each of some runs, and all that it holds in the end."""
    journal, said = Journal(None), list[object]()
    listing: list[Item] = []
    for same, listed, statuses, keys, retry, complete in runs:
        listing = listing if same else listed
        try:
            registered = journal.register_inputs(listing, keys, retry)
        except OutputError as error:
            said.append(error.message)
            continue
        done = list(zip(list(journal.pending()), statuses, strict=False))
        journal.append([result(item.name, status) for item, status in done], keys)
        if complete and not journal.num_pending():
            journal.set_header(RunHeader(finished="2026-01-01T00:00:00+00:00"))
            journal.purge_stale()
        said += [registered, registered.examples, registered.kept_old, journal.counts()]
    columns = "name, path, kind, stamp, skip, status, settings, finding, reader, tries, age"
    for table in ("items", "retired", "previous"):
        order = "position, path, settings, finding" if table != "previous" else "path"
        names = columns if table != "previous" else "*"
        said.append(journal._db.execute(f"SELECT {names} FROM {table} ORDER BY {order}").fetchall())
    return said


@given(_RUNS)
def test_rows_that_stay_where_they_are_say_what_rows_written_anew_say(runs: list[Any]) -> None:
    in_place = _after(runs)
    with patch.object(ListedInputs, "_rows", _rewritten):
        assert in_place == _after(runs)


def test_results_of_unchanged_inputs_are_not_written_again(path: Path) -> None:
    journal = Journal(path)
    changes: list[tuple[Any, ...]] = []
    journal._db.create_function("changed", 1, lambda name: changes.append((name,)))
    for event in ("INSERT", "UPDATE", "DELETE"):
        row = "OLD" if event == "DELETE" else "NEW"
        journal._db.execute(
            f"CREATE TEMP TRIGGER on_{event} AFTER {event} ON items BEGIN SELECT changed({row}.name); END"
        )
    assert journal.register_inputs(items("a", "b", "c", "d"), KEYS).kept == 2
    assert changes == [(b"d",)]
