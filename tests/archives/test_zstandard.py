"""Tars that Zstandard compressed: read like other compressed tars, and named where the package is missing."""

from __future__ import annotations

import importlib
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sample_archives import write_tar

from sidscan.archives import zstandard
from sidscan.archives.reading import list_entries, read_member
from sidscan.archives.unpack import SolidStream
from sidscan.sources.exclude import Exclusions
from sidscan.sources.members import ARCHIVE_PREFIX, Archives
from sidscan.sources.paths import file_items

MEMBERS = [("a.png", b"first" * 1000), ("dir/b.png", os.urandom(400_000)), ("c.png", b"last")]


@pytest.fixture
def zstd() -> Any:
    """The library; skips the test where it is not installed."""
    return pytest.importorskip(zstandard.MODULE)


def packed(tmp_path: Path, zstd: Any) -> bytes:
    return bytes(zstd.compress(write_tar(tmp_path / "a.tar", MEMBERS).read_bytes()))


def test_members_are_listed_and_read(tmp_path: Path, zstd: Any) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(packed(tmp_path, zstd))
    entries = list(list_entries(str(path), lambda name: name == "a.png"))
    assert [(entry.name, entry.problem, entry.head[:5]) for entry in entries] == [
        ("a.png", "", b"first"),
        ("dir/b.png", "", b""),
        ("c.png", "", b""),
    ]
    for entry, (_, content) in zip(entries, MEMBERS, strict=True):
        assert entry.span is not None
        assert b"".join(read_member(str(path), entry.span)) == content


def test_one_that_is_cut_off_says_so(tmp_path: Path, zstd: Any) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_bytes(packed(tmp_path, zstd)[:-10])
    *_, last = list_entries(str(path))
    assert last.problem.startswith("it is damaged or cut off after ")


def test_a_bomb_is_not_unpacked_to_its_end(tmp_path: Path, zstd: Any) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("zeros.png")
        info.size = 32 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    path = tmp_path / "a.tar.zst"
    path.write_bytes(zstd.compress(file.getvalue()))
    *_, last = list_entries(str(path))
    assert last.problem == "it unpacks to more than 1,100 times its size, as a bomb does"


def test_a_window_that_takes_too_much_memory_is_refused(tmp_path: Path, zstd: Any) -> None:
    allowed, too_large = (bytes([(log - 10) << 3]) for log in (27, 28))  # RFC 8878, 3.1.1.1.2
    empty_block = b"\x01\x00\x00"
    for window, message in ((allowed, ""), (too_large, "memory")):
        path = tmp_path / "a.zst"
        path.write_bytes(zstandard.SIGNATURE + b"\x00" + window + empty_block)
        with path.open("rb") as file:
            stream = SolidStream(file)
            if message:
                with pytest.raises(ValueError, match=message):
                    stream.read(1)
            else:
                assert stream.read(1) == b""


@pytest.mark.parametrize(
    ("name", "skip"),
    [
        ("photos.tar.zst", ARCHIVE_PREFIX + zstandard.NEEDS_PACKAGE),
        ("photos.TZST", ARCHIVE_PREFIX + zstandard.NEEDS_PACKAGE),
        (
            "dump.sql.zst",
            "a Zstandard archive: images in archives are not scored; unpack it and scan the folder",
        ),
    ],
)
def test_without_the_package_a_row_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, skip: str
) -> None:
    def fail(module: str) -> Any:
        raise ModuleNotFoundError(module)

    monkeypatch.setattr(importlib, "import_module", fail)
    path = tmp_path / name
    path.write_bytes(zstandard.SIGNATURE + bytes(20))
    archives = Archives(list_entries, hidden=False, exclusions=Exclusions(()))
    (item,) = file_items(str(path), archives)
    assert (item.name, item.skip) == (str(path), skip)
