"""Pointers, placeholders and what systems leave behind: each is named as what it is."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sample_images import encoded, photo

from sidscan import ScanConfig, Status, scan
from sidscan.sources import open_sources, strays

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
ANNEX = b"/annex/objects/SHA256E-s12345--4d7a2146.jpg\n"
APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "
IMAGE = encoded(photo(64, 64), "JPEG")
_HERE = strays.NOT_HERE

CASES = [
    pytest.param("a.jpg", LFS, f"{_HERE}a Git LFS pointer; `git lfs pull` fetches it", id="Git LFS"),
    pytest.param("a.jpg", ANNEX, f"{_HERE}a git-annex pointer; `git annex get` fetches it", id="git-annex"),
    pytest.param(
        "a.jpg",
        b"../../.git" + ANNEX,
        f"{_HERE}a git-annex pointer; `git annex get` fetches it",
        id="git-annex's link as a file",
    ),
    pytest.param(
        "a.JPG.nextcloud",
        b" ",
        f"{_HERE}a placeholder of Nextcloud or ownCloud; make the file available offline",
        id="Nextcloud",
    ),
    pytest.param(
        ".a.jpg.icloud",
        b"bplist00",
        f"{_HERE}a placeholder of iCloud; make the file available offline",
        id="iCloud",
    ),
    pytest.param("._a.jpg", APPLE, strays.APPLE_DOUBLE, id="AppleDouble"),
    pytest.param("__MACOSX/a.jpg", APPLE, strays.APPLE_DOUBLE, id="in a zip file of macOS"),
    pytest.param(".AppleDouble/a.jpg", APPLE, strays.APPLE_DOUBLE, id="netatalk"),
    pytest.param(
        "Thumbs.db", b"\xd0\xcf", "a file of thumbnails that Windows makes, not an image", id="Windows"
    ),
    pytest.param(".DS_Store", b"\0\0\0\1Bud1", "how macOS shows a folder, not an image", id="macOS"),
    pytest.param("Icon\r", b"", "the icon of a folder in macOS, not an image", id="macOS icon"),
    pytest.param("._a.jpg", IMAGE, "", id="an image with such a name"),
    pytest.param("a.jpg", IMAGE, "", id="an image"),
    pytest.param("a.jpg", LFS.replace(b"git-lfs", b"example"), "", id="another text"),
]


def _write(root: Path, name: str, content: bytes) -> Path:
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("name", "content", "reason"), CASES)
@pytest.mark.parametrize("named", [False, True], ids=["walked", "named"])
def test_files_that_stand_for_something_else(
    tmp_path: Path, name: str, content: bytes, reason: str, named: bool
) -> None:
    path = _write(tmp_path, name, content)
    (item,) = open_sources(ScanConfig(inputs=(str(path if named else tmp_path),), hidden=True))
    assert (item.name, item.skip) == (str(path), reason)


def _annex_link(root: Path, name: str, present: bool) -> Path:
    key = root / ".git/annex/objects/Xx/Yy/K" / name
    key.parent.mkdir(parents=True, exist_ok=True)
    if present:
        key.write_bytes(IMAGE)
    path = root / name
    path.symlink_to(os.path.relpath(key, root))
    return path


def test_links_of_git_annex(tmp_path: Path) -> None:
    _annex_link(tmp_path, "gone.jpg", present=False)
    here = _annex_link(tmp_path, "here.jpg", present=True)
    skips = {Path(item.name).name: item.skip for item in open_sources(ScanConfig(inputs=(str(tmp_path),)))}
    gone = f"{_HERE}a git-annex link; `git annex get` fetches it"
    assert skips == {"gone.jpg": gone, "here.jpg": strays.ANNEX_LINK}
    named = open_sources(ScanConfig(inputs=(str(tmp_path / "gone.jpg"), str(here))))
    assert [item.skip for item in named] == [gone, ""]


def test_thumbnails_of_synology_are_not_walked_unless_named(tmp_path: Path) -> None:
    inner = tmp_path / "@eaDir" / "a.jpg"
    inner.mkdir(parents=True)
    (inner / "SYNOPHOTO_THUMB_XL.jpg").write_bytes(IMAGE)
    (item,) = open_sources(ScanConfig(inputs=(str(tmp_path),)))
    assert (item.name, item.skip) == (str(tmp_path / "@eaDir"), strays.THUMBNAIL_FOLDER)
    (item,) = open_sources(ScanConfig(inputs=(str(tmp_path / "@eaDir"),)))
    assert (item.name, item.skip) == (str(inner / "SYNOPHOTO_THUMB_XL.jpg"), "")


@pytest.mark.parametrize(
    "fields",
    [{"st_file_attributes": 0x400020}, {"st_file_attributes": 0x1020}, {"st_flags": 0x40000000}],
    ids=["recalled on access", "offline", "dataless"],
)
def test_files_that_reading_would_fetch_are_not_opened(fields: dict[str, int]) -> None:
    status = cast(os.stat_result, SimpleNamespace(st_size=5000, **fields))
    words = "a placeholder of a cloud drive; make the file available offline"
    assert strays.stray_file("no such folder/a.jpg", status) == _HERE + words
    assert strays.stray_file("no such folder/a.txt", status) == words


def test_icloud_placeholders_of_images_are_rows_though_hidden(tmp_path: Path) -> None:
    for name in (".a.jpg.icloud", ".a.pdf.icloud", ".b.jpg"):
        _write(tmp_path, name, b"bplist00")
    names = [Path(item.name).name for item in open_sources(ScanConfig(inputs=(str(tmp_path),)))]
    assert names == [".a.jpg.icloud"]


def test_an_image_that_is_not_here_is_a_failed_row_until_it_is(tmp_path: Path) -> None:
    pointer = _write(tmp_path, "a.jpg", LFS)
    _write(tmp_path, "._a.jpg", APPLE)
    config = ScanConfig(
        inputs=(str(tmp_path),), models=("mini",), hidden=True, journal=tmp_path / "run.journal"
    )
    with_pointer = scan(config)
    assert [(result.status, result.error) for result in with_pointer] == [
        (Status.SKIPPED, "Skipped"),
        (Status.FAILED, "ContentMissing"),
    ]
    with_pointer.close()
    pointer.write_bytes(IMAGE)
    assert [result.status for result in scan(config)] == [Status.SKIPPED, Status.SCORED]
