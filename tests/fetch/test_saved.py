"""Downloads are saved under their hash: whole, once, and unchanged."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from sample_images import encoded, photo

from sidscan.errors import OutputError
from sidscan.fetch.errors import NotSaved
from sidscan.fetch.saved import prepare_folder, save_download
from sidscan.util.files import atomic_write


def save(data: bytes, folder: Path) -> Path:
    return save_download(data, hashlib.sha256(data).hexdigest(), folder)


@pytest.mark.parametrize(
    ("image_format", "suffix"),
    [
        ("JPEG", ".jpg"),
        ("PNG", ".png"),
        ("WEBP", ".webp"),
        ("TIFF", ".tiff"),
        ("BMP", ".bmp"),
        ("GIF", ".gif"),
        ("AVIF", ".avif"),
    ],
)
def test_file_names_are_hash_and_format(tmp_path: Path, image_format: str, suffix: str) -> None:
    data = encoded(photo(32, 32), image_format)
    path = save(data, tmp_path)
    assert path == tmp_path / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("data", [b"", b"<html>", b"\x00\x00\x00\x18ftypqt  ", b"RIFF....WAVE"])
def test_files_that_are_not_images_get_no_suffix(tmp_path: Path, data: bytes) -> None:
    assert save(data, tmp_path).suffix == ""


def test_an_equal_file_is_kept_and_other_bytes_are_left_alone(tmp_path: Path) -> None:
    path = save(b"bytes", tmp_path)
    os.utime(path, ns=(1, 1))
    assert save(b"bytes", tmp_path) == path
    assert path.stat().st_mtime_ns == 1
    path.write_bytes(b"annotated")
    with pytest.raises(NotSaved, match="holds other bytes and is left alone; move it away"):
        save(b"bytes", tmp_path)
    assert path.read_bytes() == b"annotated"
    path.write_bytes(b"")
    assert save(b"bytes", tmp_path).read_bytes() == b"bytes"


def test_a_partly_written_file_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotSaved, match="No space left on device; free space"):
        save(b"bytes", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "hours", "stays"),
    [
        pytest.param(".sidscan-0123456789ab-0123456789ab.jpg", 25, False, id="of a scan that was killed"),
        pytest.param(".sidscan-0123456789ab-0123456789ab", 25, False, id="without a suffix"),
        pytest.param(".sidscan-0123456789ab-0123456789ab.jpg", 23, True, id="possibly of another scan"),
        pytest.param(".sidscan-notes.jpg", 25, True, id="a foreign file"),
        pytest.param(f"{'a' * 64}.jpg", 25, True, id="an original"),
    ],
)
def test_leftovers_of_a_killed_scan_are_removed_after_a_day(
    tmp_path: Path, name: str, hours: int, stays: bool
) -> None:
    path = tmp_path / name
    path.write_bytes(b"half")
    then = time.time() - hours * 3600
    os.utime(path, (then, then))
    prepare_folder(tmp_path)
    assert path.exists() is stays


def test_partial_files_are_named_as_leftovers_are(tmp_path: Path) -> None:
    with atomic_write(tmp_path / f"{'a' * 64}.jpg") as partial:
        os.utime(partial, (0, 0))
        prepare_folder(tmp_path)
        removed = not partial.exists()
        partial.write_bytes(b"again")
    assert removed


def test_an_impossible_folder_is_refused_before_the_scan(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't make the folder"):
        prepare_folder(tmp_path / "file" / "below")
    prepare_folder(tmp_path / "a" / "b")
    prepare_folder(tmp_path / "a" / "b")
