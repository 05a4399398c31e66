"""A run's files are written once; a store that would replace one is refused."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sidscan.distributed.run_folder import RunFolder
from sidscan.distributed.store import PROBE, FolderStore, check_writes_once, get_text, put_text
from sidscan.errors import OutputError, UsageError


class ReplacingStore(FolderStore):
    """Replaces what is there, and says nothing, as some servers do."""

    says_so = True

    def put_if_absent(self, name: str, path: Path) -> bool:
        final = self.root / name
        final.parent.mkdir(parents=True, exist_ok=True)
        was_there = final.exists()
        final.write_bytes(path.read_bytes())
        return self.says_so or not was_there


def test_the_first_writer_wins(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "run")
    assert store.head("shards/a") is None
    assert put_text(store, "shards/a", "first")
    assert not put_text(store, "shards/a", "second")
    assert get_text(store, "shards/a") == "first"
    assert store.head("shards/a") == 5
    assert list(store.list("shards/")) == ["shards/a"]
    assert [path.name for path in (tmp_path / "run" / "shards").iterdir()] == ["a"]


def test_of_many_writers_at_once_one_wins(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    won: list[str] = []
    start = threading.Barrier(8)

    def write(text: str) -> None:
        start.wait()
        if put_text(store, "x", text):
            won.append(text)

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [get_text(store, "x")]


@pytest.mark.parametrize("says_so", [True, False], ids=["openly", "in silence"])
def test_a_store_that_replaces_files_is_refused(tmp_path: Path, says_so: bool) -> None:
    store = ReplacingStore(tmp_path)
    store.says_so = says_so
    for _ in range(2):  # whether it was probed before or not
        with pytest.raises(OutputError, match="replaces files that are there"):
            check_writes_once(store)
    with pytest.raises(OutputError, match="replaces files that are there"):
        RunFolder.create(tmp_path / "run", {}, ReplacingStore(tmp_path / "run"))


def test_a_folder_writes_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    check_writes_once(store)
    check_writes_once(store)
    assert [path.name for path in tmp_path.iterdir()] == [PROBE]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EPERM, "has no hard links, so nothing keeps one shard from replacing another"),
        (errno.EOPNOTSUPP, "has no hard links, so nothing keeps one shard from replacing another"),
        (errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_a_folder_can_not_do_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, message: str
) -> None:
    def link(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OutputError, match=message):
        put_text(FolderStore(tmp_path), "x", "text")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="shards/a is missing"):
        get_text(FolderStore(tmp_path), "shards/a")


def test_what_can_not_be_read_is_said(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"can't read .*file: Not a directory"):
        list(store.list("file/"))
    with pytest.raises(OutputError, match=r"can't read .*folder: Is a directory"):
        get_text(store, "folder")


def _newer(path: Path) -> None:
    (path / "run.json").write_text('{"format": 99}')


def _damaged(path: Path) -> None:
    (path / "run.json").write_text("{")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "is not a run of shards"),
        (_newer, "was made by a newer sidscan: its format is 99, this version reads 1"),
        (_damaged, "run.json is damaged"),
    ],
    ids=["nothing", "newer", "damaged"],
)
def test_what_is_no_run_is_refused(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path)
    with pytest.raises(UsageError, match=message):
        RunFolder(tmp_path)


def test_a_run_is_never_begun_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files, and is not a run of shards"):
        RunFolder.create(tmp_path, {})
    with pytest.raises(UsageError, match="is a file"):
        RunFolder.create(tmp_path / "mine.txt", {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_two_plans_at_the_same_time_are_told(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    run.add_plan(None, {"planned": "here"}, [])
    with pytest.raises(OutputError, match="somebody else plans"):
        run.add_plan(None, {"planned": "there"}, [])


def test_a_plan_whose_answer_was_lost_is_there(tmp_path: Path) -> None:
    """The request is made again, and refused: what it wrote at first is there."""

    class LosingStore(FolderStore):
        def put_if_absent(self, name: str, path: Path) -> bool:
            super().put_if_absent(name, path)
            return False

    RunFolder.create(tmp_path / "run", {})
    run = RunFolder(tmp_path / "run", LosingStore(tmp_path / "run"))
    assert run.add_plan(None, {"planned": "here"}, []) == run.plan()
