"""Phones and network shares among the inputs, by Linux's table of mounted file systems."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sidscan.sources.mounts import MOUNT_TABLE, SlowPlace, slow_places

TABLE = """22 1 0:21 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:22 / /mnt/share rw,relatime shared:1 - cifs //host/images rw
24 22 0:23 / /mnt/share/local rw - ext4 /dev/sdb1 rw
25 22 0:24 / /mnt/my\\040phone rw - fuse.jmtpfs jmtpfs rw
26 22 0:25 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
27 22 0:26 / /mnt/twice rw - nfs4 host:/a rw
28 22 0:27 / /mnt/twice rw - tmpfs tmpfs rw
damaged line
"""
GVFS = "/run/user/1000/gvfs"


@pytest.mark.skipif(sys.platform == "win32", reason="paths of Linux")
@pytest.mark.parametrize(
    ("name", "file_system", "one_at_a_time"),
    [
        ("/mnt/share/2011", "cifs", False),
        ("/mnt/share", "cifs", False),
        ("/mnt/my phone/DCIM", "fuse.jmtpfs", True),
        (f"{GVFS}/mtp:host=Phone/DCIM/a.jpg", "fuse.gvfsd-fuse", True),
        (f"{GVFS}/smb-share:server=host,share=images", "fuse.gvfsd-fuse", False),
        ("/mnt/share/local/x", None, None),
        ("/mnt/twice/x", None, None),
        ("/home/a", None, None),
        ("https://host/mnt/share/a.jpg", None, None),
        ("a\0b", None, None),
    ],
    ids=[
        "share",
        "its root",
        "phone",
        "GNOME's phone",
        "GNOME's share",
        "below",
        "over",
        "disk",
        "URL",
        "NUL",
    ],
)
def test_where_an_input_lies(
    tmp_path: Path, name: str, file_system: str | None, one_at_a_time: bool | None
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    found = slow_places([name], table)
    assert found == ([SlowPlace(name, file_system, bool(one_at_a_time))] if file_system else [])


def test_in_words() -> None:
    assert str(SlowPlace("p", "fuse.jmtpfs", True)) == (
        "p is on a phone or camera (fuse.jmtpfs): read one file at a time, in order"
    )
    assert str(SlowPlace("s", "nfs4", False)) == "s is on a network share (nfs4): read in order"


def test_a_system_without_the_table(tmp_path: Path) -> None:
    assert slow_places([os.fspath(tmp_path)], tmp_path / "none") == []


@pytest.mark.skipif(not MOUNT_TABLE.exists(), reason="Linux has the table")
def test_a_local_folder_is_not_slow(tmp_path: Path) -> None:
    assert slow_places([os.fspath(tmp_path), "-"]) == []
