"""The file of marks: what is written comes back, it only grows, and damage is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidscan.errors import OutputError
from sidscan.review.marks_file import EntryKind, MarkEntry, append_marks, marks_path, read_marks_file

NOW = "2026-03-01T12:00:00+00:00"
ANNA = MarkEntry(
    EntryKind.DECISION, 64 * "a", "in/a.jpg", "suspicious", "look", "Anna", "2026-02-01T08:00:00+00:00"
)
SAME = MarkEntry(
    *(EntryKind.SAME_IMAGE, 64 * "b", "in/b.jpg", "", "", "Ben", NOW),
    perceptual_hash="0123456789abcdef",
    copy_of=64 * "a",
    distance=3,
)
HOSTILE = ["</script>", "=1+1", "'", "\u202ebidi", "a\r\nb\tc", '"q",;|', "\udcff.jpg", "\0", "\\x41", ""]


def recorded(*entries: MarkEntry) -> list[MarkEntry]:
    return [replace(entry, recorded_at=NOW) for entry in entries]


def test_it_lies_beside_the_report_and_reports_of_one_name_share_it() -> None:
    for name in ("r.csv", "r.html", "r.json", "r.jsonl.zst", "r.parquet", "r"):
        assert marks_path(Path("out") / name) == Path("out/r.marks.csv")


def test_lines_are_csv_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "r.marks.csv"
    append_marks(path, [replace(ANNA, imported_from="marks.csv")], NOW)
    first = path.read_bytes()
    append_marks(path, [SAME, ANNA], NOW)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert path.read_bytes().startswith(first)
    assert lines[0] == (
        "sidscan_marks_1,batch_end,kind,sha256,path,mark,note,by,at,perceptual_hash,copy_of,distance,"
        "imported_from,recorded_at,check"
    )
    assert lines[1].startswith(
        f"1,1,decision,{64 * 'a'},in/a.jpg,suspicious,look,Anna,2026-02-01T08:00:00+00:00,,,,marks.csv,{NOW},"
    )
    assert [line.split(",")[:3] for line in lines[2:]] == [["2", "3", "same image"], ["3", "3", "decision"]]
    expected = [replace(ANNA, imported_from="marks.csv"), SAME, ANNA]
    assert read_marks_file(path) == recorded(*expected)


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 1_000_000], ids=lambda text: ascii(text[:12]))
def test_names_and_notes_come_back(tmp_path: Path, text: str) -> None:
    entry = replace(ANNA, path=text, note=text, by=text)
    append_marks(tmp_path / "m", [entry], NOW)
    assert read_marks_file(tmp_path / "m") == recorded(entry)


@given(st.lists(st.text(), min_size=3, max_size=3))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path, note, by = texts
    file = tmp_path_factory.mktemp("any") / "m"
    entry = replace(ANNA, path=path, note=note, by=by)
    append_marks(file, [entry], NOW)
    assert read_marks_file(file) == recorded(entry)


def test_no_file_has_no_marks(tmp_path: Path) -> None:
    assert read_marks_file(tmp_path / "none") == []


def changed(data: bytes, before: bytes, after: bytes) -> bytes:
    assert before in data
    return data.replace(before, after)


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut within a line": (lambda data: data[:-9], "it ends early"),
    "cut within a batch": (lambda data: b"".join(data.splitlines(True)[:-1]), "line 4 is missing"),
    "a line removed": (
        lambda data: b"".join([*data.splitlines(True)[:1], *data.splitlines(True)[2:]]),
        "line 2",
    ),
    "a mark edited": (lambda data: changed(data, b"suspicious", b"cleared"), "line 2"),
    "lines swapped": (
        lambda data: b"".join([data.splitlines(True)[each] for each in (0, 2, 1, 3)]),
        "line 2",
    ),
    "semicolons": (lambda data: changed(data, b",", b";"), "is not a marks file of sidscan"),
    "LF": (lambda data: changed(data, b"\r\n", b"\n"), "it ends early"),
    "a mark of order": (lambda data: b"\xef\xbb\xbf" + data, "is not a marks file of sidscan"),
    "something else": (lambda _: b"path,status\r\n", "is not a marks file of sidscan"),
    "names edited": (lambda data: changed(data, b"batch_end", b"end"), "its first line was changed"),
    "emptied": (lambda _: b"", "is empty, so the marks that it held are lost; it is left alone"),
    "newer": (lambda data: changed(data, b"marks_1,", b"marks_2,"), "was written by a newer sidscan"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.marks.csv"
    append_marks(path, [ANNA], NOW)
    append_marks(path, [SAME, replace(ANNA, sha256=64 * "c")], NOW)
    damage, message = DAMAGES[name]
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    for act in (lambda: read_marks_file(path), lambda: append_marks(path, [ANNA], NOW)):
        with pytest.raises(OutputError, match=message):
            act()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


APPEND = """
import sys
from pathlib import Path
from sidscan.review.marks_file import MarkEntry, EntryKind, append_marks

for number in range(8):
    time = "2026-01-01T00:00:00+00:00"
    entry = MarkEntry(EntryKind.DECISION, 64 * "a", str(number), "later", "", sys.argv[2], time)
    append_marks(Path(sys.argv[1]), [entry], "2026-01-01T00:00:00+00:00")
"""


def test_two_imports_at_once_lose_nothing(tmp_path: Path) -> None:
    path, people = tmp_path / "r.marks.csv", ("Anna", "Ben")
    imports = [subprocess.Popen([sys.executable, "-c", APPEND, str(path), person]) for person in people]
    assert [each.wait(timeout=60) for each in imports] == [0, 0]
    entries = [(entry.by, entry.path) for entry in read_marks_file(path)]
    assert sorted(entries) == sorted((person, str(number)) for person in people for number in range(8))


def test_a_link_keeps_its_target(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    link = tmp_path / "r.marks.csv"
    link.symlink_to(tmp_path / "kept" / "m.csv")
    append_marks(link, [ANNA], NOW)
    assert link.is_symlink()
    assert read_marks_file(tmp_path / "kept" / "m.csv") == recorded(ANNA)
