"""Every input becomes exactly one item."""

from __future__ import annotations

import errno
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sample_images import encoded, folder, photo

from sidscan.config import ScanConfig
from sidscan.errors import UsageError
from sidscan.records import Item, Kind
from sidscan.sources import open_sources
from sidscan.sources.members import NOT_AN_IMAGE
from sidscan.sources.output_filter import SKIP_OUTPUT, SKIP_SAVED
from sidscan.util.magic import identify


def _items(*inputs: str | Path, **options: object) -> list[Item]:
    return list(open_sources(ScanConfig(inputs=tuple(map(str, inputs)), **options)))  # type: ignore[arg-type]


def _names(items: list[Item], root: Path) -> list[str]:
    return [os.path.relpath(item.name, root) for item in items]


def test_directories_are_walked_in_order(tmp_path: Path) -> None:
    items = _items(folder(tmp_path))
    assert _names(items, tmp_path) == ["nested/photo-2.jpg", "photo-0.jpg", "photo-1.jpg"]
    assert all(item.fingerprint and not item.skip for item in items)


@pytest.mark.parametrize(
    ("hidden", "expected"), [(False, ["a.jpg"]), (True, [".b.jpg", ".dir/c.jpg", "a.jpg"])]
)
def test_hidden_files_only_on_request(tmp_path: Path, hidden: bool, expected: list[str]) -> None:
    (tmp_path / ".dir").mkdir()
    for name in ("a.jpg", ".b.jpg", ".dir/c.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert _names(_items(tmp_path, hidden=hidden), tmp_path) == expected


def test_skipped_entries_are_items_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "real.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.jpg")
    assert {Path(item.name).name: item.skip for item in _items(tmp_path)} == {
        "notes.txt": NOT_AN_IMAGE,
        "real.jpg": "",
        "link.jpg": "symbolic link, not followed",
        "loop": "symbolic link, not followed",
        "pipe.jpg": "not a regular file",
    }


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF"])
def test_images_without_a_suffix_are_found_by_signature(tmp_path: Path, image_format: str) -> None:
    data = encoded(photo(32, 32), image_format)
    assert identify(data[:16]) is not None
    (tmp_path / "unnamed").write_bytes(data)
    assert [item.skip for item in _items(tmp_path)] == [""]


def test_a_named_file_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "link").symlink_to("notes.txt")
    assert [item.skip for item in _items(tmp_path / "notes.txt", tmp_path / "link")] == ["", ""]


def test_a_missing_path_is_a_usage_error_as_an_argument_and_a_row_in_a_list(tmp_path: Path) -> None:
    missing = tmp_path / "missing.jpg"
    with pytest.raises(UsageError, match="no such file or directory"):
        _items(missing)
    names = tmp_path / "names.txt"
    names.write_text(f"{missing}\n")
    assert _items(lists=(str(names),)) == [Item(str(missing))]


def test_lists_contain_paths_urls_folders_and_comments(tmp_path: Path) -> None:
    folder(tmp_path / "images", count=2)
    names = tmp_path / "names.txt"
    names.write_bytes(
        b"# a comment\n\nhttps://example.org/a.jpg\r\n"
        + os.fsencode(tmp_path / "images")
        + b"\n/caf\xe9.jpg\n"
    )
    items = _items(lists=(str(names),))
    assert items[0] == Item("https://example.org/a.jpg", Kind.URL)
    assert _names(items[1:3], tmp_path) == ["images/nested/photo-1.jpg", "images/photo-0.jpg"]
    assert os.fsencode(items[3].name) == b"/caf\xe9.jpg"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"a\x00b", id="NUL"),
        pytest.param(b"x" * 300, id="longer than a name may be"),
        pytest.param(b"y/" * 3000, id="longer than a path may be"),
    ],
)
def test_impossible_names_are_items(tmp_path: Path, line: bytes) -> None:
    names = tmp_path / "names.txt"
    names.write_bytes(line + b"\n")
    assert _items(lists=(str(names),)) == [Item(line.decode())]


def test_names_may_end_in_nul_and_contain_any_other_character(tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_bytes(b"/a b.jpg\0/c.jpg\0")
    with pytest.raises(UsageError, match="end in NUL characters"):
        _items(lists=(str(names),))
    names.write_bytes(b"/a\nb.jpg\0/# c.jpg\0" + b"/" + b"d" * 4000 + b"\0/e.jpg")
    listed = [item.name for item in _items(lists=(str(names),), null=True)]
    assert listed == ["/a\nb.jpg", "/# c.jpg", "/" + "d" * 4000, "/e.jpg"]
    names.write_bytes(b"/a.jpg\n" * 20_000)
    with pytest.raises(UsageError, match="do not end in NUL"):
        _items(lists=(str(names),), null=True)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_not_a_list(tmp_path: Path, image_format: str) -> None:
    image = tmp_path / "image"
    image.write_bytes(encoded(photo(64, 64), image_format))
    with pytest.raises(UsageError, match="the list is an image"):
        _items(lists=(str(image),))


def test_urls_with_unsupported_schemes_are_skipped() -> None:
    (item,) = _items("ftp://example.org/a.jpg")
    assert item.skip == "only http, https, s3, gs and az addresses are read"


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfa.jpg\r\nb.jpg")
    assert [item.name for item in _items(lists=(str(tmp_path / "names.txt"),))] == ["a.jpg", "b.jpg"]


def test_no_folder_is_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = 1100
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("a.jpg").write_bytes(b"x")
    os.chdir(tmp_path)
    (item,) = _items(".")
    assert item.name == "./" + "d/" * depth + "a.jpg"
    while (tmp_path / "d").exists():  # shutil.rmtree would recurse, too
        (tmp_path / "d").rename(tmp_path / "e")
        if (tmp_path / "e" / "d").exists():
            (tmp_path / "e" / "d").rename(tmp_path / "d")
        for left in (tmp_path / "e").iterdir():
            left.unlink()
        (tmp_path / "e").rmdir()


def test_standard_input_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"HTTP://example.org/b.png\n")))
    assert _items(lists=("-",)) == [Item("HTTP://example.org/b.png", Kind.URL)]


def test_a_pipe_may_be_a_list(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pipe.write_text, "/a.jpg\n")
        assert _items(lists=(str(pipe),)) == [Item("/a.jpg")]


@pytest.mark.parametrize("null", [False, True])
def test_an_endless_device_is_not_a_list(null: bool) -> None:
    with pytest.raises(UsageError, match="can't read the list /dev/zero: it is a device"):
        _items(lists=("/dev/zero",), null=null)
    assert _items(lists=(os.devnull,), null=null) == []


def test_a_list_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read the list"):
        _items(lists=(str(tmp_path / "none.txt"),))


def test_output_files_of_the_scan_are_skipped(tmp_path: Path) -> None:
    folder(tmp_path, count=2)
    (tmp_path / "report.csv").write_text("")
    (tmp_path / "link").symlink_to("report.csv")
    items = _items(tmp_path, outputs=(tmp_path / "report.csv",))
    assert _names(items, tmp_path) == ["link", "nested/photo-1.jpg", "photo-0.jpg"]


def test_a_folder_that_cannot_be_listed_is_one_item_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, count=2)
    closed = tmp_path / "nested"
    scandir = os.scandir

    def refusing(path: str) -> Any:  # root may list everything
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    first, *others = _items(tmp_path)
    assert first == Item(str(closed), skip="the folder can't be listed: Permission denied")
    assert _names(others, tmp_path) == ["photo-0.jpg"]


@pytest.mark.parametrize("turned", ["pipe", "folder"])
def test_a_file_replaced_during_the_walk_does_not_block_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: str
) -> None:
    name = tmp_path / "unnamed"
    name.write_bytes(b"x")
    lstat = os.lstat

    def then_another(path: str) -> os.stat_result:
        status = lstat(path)
        if path == str(name):
            name.unlink()
            os.mkfifo(name) if turned == "pipe" else name.mkdir()
        return status

    monkeypatch.setattr(os, "lstat", then_another)
    (item,) = _items(tmp_path)
    assert (item.name, item.skip) == (str(name), "")  # the reader will report what it is


def test_circular_links_are_items(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    names = tmp_path / "names.txt"
    names.write_text(f"{tmp_path / 'loop'}\n")
    outputs = (tmp_path / "loop" / "r.csv",)
    (item,) = _items(tmp_path / "loop", outputs=outputs)
    assert (item.name, item.skip) == (str(tmp_path / "loop"), "")
    assert _items(lists=(str(names),), outputs=outputs) == [item]


@pytest.mark.parametrize("name", ["r.csv", "r.csv.journal", "r.csv.journal-journal", "link", "./r.csv"])
@pytest.mark.parametrize("listed", [False, True])
def test_output_files_of_the_scan_are_never_opened_even_if_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, listed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("r.csv.journal")
    if listed:
        Path("names.txt").write_text(f"{name}\n")
    source: dict[str, Any] = {"lists": ("names.txt",)} if listed else {"inputs": (name,)}
    config = ScanConfig(**source, outputs=(tmp_path / "r.csv",), journal=Path("r.csv.journal"))
    assert list(open_sources(config)) == [Item(name, skip=SKIP_OUTPUT)]


def test_a_walk_skips_the_journal_by_itself(tmp_path: Path) -> None:
    for name in ("run", "run-journal", "other"):
        (tmp_path / name).write_bytes(b"x")
    assert _names(_items(tmp_path, journal=tmp_path / "run"), tmp_path) == ["other"]


@pytest.mark.parametrize("below", ["", "originals", "deep/originals"])
def test_saved_originals_are_not_inputs_of_the_next_scan(tmp_path: Path, below: str) -> None:
    saved = tmp_path / below
    saved.mkdir(parents=True, exist_ok=True)
    other = tmp_path / "other"
    other.mkdir()
    original, theirs, elsewhere = saved / f"{'a' * 64}.jpg", saved / "photo.jpg", other / f"{'a' * 64}.jpg"
    partial = saved / ".sidscan-1-2.jpg"
    for path in (original, theirs, elsewhere, partial):
        path.write_bytes(b"x")
    skips = {item.name: item.skip for item in _items(tmp_path, save_dir=saved, hidden=True)}
    assert skips == {str(original): SKIP_SAVED, str(partial): SKIP_SAVED, str(theirs): "", str(elsewhere): ""}
    assert [item.skip for item in _items(original, save_dir=saved)] == [""]


def test_standard_input_is_one_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only once"):
        _items(lists=("-", "-"))
