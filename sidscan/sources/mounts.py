"""Where inputs lie: on a phone or a network share, as far as Linux says it of the mounted file systems."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sidscan.sources.lists import is_url
from sidscan.util.files import real_path

MOUNT_TABLE = Path("/proc/self/mountinfo")
_SHARES = frozenset(
    (
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "smbfs",
            "9p",
            "afs",
            "ceph",
            "glusterfs",
            "lustre",
            "davfs",
            "ncpfs",
        ),
        *("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.s3fs", "fuse.curlftpfs", "fuse.davfs2"),
        "fuse.smbnetfs",
    )
)
_PHONES = frozenset(
    (
        *("fuse.jmtpfs", "fuse.simple-mtpfs", "fuse.mtpfs", "fuse.go-mtpfs", "fuse.aft-mtp-mount"),
        "fuse.ifuse",
    )
)
_DESKTOP = "fuse.gvfsd-fuse"  # of GNOME: a folder for each phone, camera or share
_DESKTOP_PHONES = ("mtp:", "gphoto2:", "afc:")


@dataclass(frozen=True, slots=True)
class SlowPlace:
    """A phone or a share on which an input lies.

    Attributes:
        name: the input.
        file_system: as the system names it, e.g. ``fuse.jmtpfs``.
        one_at_a_time: whether it serves one file at a time, as phones do.
    """

    name: str
    file_system: str
    one_at_a_time: bool

    def __str__(self) -> str:
        """In words."""
        if self.one_at_a_time:
            return (
                f"{self.name} is on a phone or camera ({self.file_system}): read one file at a time, in order"
            )
        return f"{self.name} is on a network share ({self.file_system}): read in order"


def slow_places(inputs: Iterable[str], table: Path = MOUNT_TABLE) -> list[SlowPlace]:
    """Those of the inputs that lie on a phone or a share; none where the system has no such table.

    What a list names is not looked at.
    """
    paths = [name for name in inputs if not is_url(name)]
    try:
        mounts = _mounts(table.read_bytes()) if paths else {}
    except OSError:
        return []
    return [place for name in paths if (place := _place(name, mounts))]


def _mounts(table: bytes) -> dict[str, str]:
    """Where a file system is mounted -> its type; of several at one place, the last one."""
    found = {}
    for line in table.splitlines():
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if separator and len(fields) > 4:
            place = re.sub(rb"\\([0-7]{3})", _unescaped, fields[4])
            found[os.fsdecode(place)] = os.fsdecode(after.split(b" ")[0])
    return found


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) & 255])


def _place(name: str, mounts: dict[str, str]) -> SlowPlace | None:
    try:
        path = real_path(name)
    except (OSError, ValueError):
        return None
    for folder in (path, *path.parents):
        if kind := mounts.get(str(folder)):
            below = path.relative_to(folder).parts
            phone = kind in _PHONES or (kind == _DESKTOP and "".join(below[:1]).startswith(_DESKTOP_PHONES))
            return SlowPlace(name, kind, phone) if phone or kind in _SHARES or kind == _DESKTOP else None
    return None
