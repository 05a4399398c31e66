"""Files that are not the images their names promise: pointers, placeholders, what systems leave behind."""

from __future__ import annotations

import os
import re

from sidscan.util.files import open_file
from sidscan.util.magic import identify_name

NOT_HERE = "the image itself is not here: "
"""How the reason starts where a file stands for an image whose content is elsewhere."""
ANNEX_LINK = "a git-annex link, not followed; `git annex find | sidscan scan --list -` scans what is here"
APPLE_DOUBLE = "an AppleDouble file, in which macOS keeps metadata of another file; not an image"
THUMBNAIL_FOLDER = "a folder of thumbnails that Synology makes, not walked; name it to scan it"

_ANNEX = "a git-annex {}; `git annex get` fetches it"
_CLOUD = "a placeholder of {}; make the file available offline"
_ANNEX_TARGET = re.compile(r"(^|/)annex/objects/")
_POINTER_BYTES = 1024  # Git LFS writes less, and git-annex some 150 bytes
_POINTERS = (
    (
        re.compile(rb"version https?://(git-lfs|hawser)\.github\.com/spec/"),
        "a Git LFS pointer; `git lfs pull` fetches it",
    ),
    (re.compile(rb"(\.\./)*(\.git)?/annex/objects/"), _ANNEX.format("pointer")),
)
_APPLE_DOUBLE = b"\x00\x05\x16\x07"  # RFC 1740, appendix B
_APPLE_FOLDERS = (".AppleDouble", "__MACOSX")
_BY_NAME = {
    ".ds_store": "how macOS shows a folder, not an image",
    "icon\r": "the icon of a folder in macOS, not an image",
    "thumbs.db": "a file of thumbnails that Windows makes, not an image",
    "ehthumbs.db": "a file of thumbnails that Windows makes, not an image",
    "desktop.ini": "how Windows shows a folder, not an image",
}
_ICLOUD = re.compile(r"\.(.+)\.icloud", re.DOTALL)
_VIRTUAL = re.compile(r"(.+)\.(?:nextcloud|owncloud)", re.DOTALL)
# Attributes of files whose reading would fetch them: FILE_ATTRIBUTE_OFFLINE, _RECALL_ON_OPEN and
# _RECALL_ON_DATA_ACCESS of Windows; SF_DATALESS of macOS.
_RECALLED_ATTRIBUTES = 0x1000 | 0x40000 | 0x400000
_DATALESS = 0x40000000


def is_icloud_name(name: str) -> bool:
    """Whether a hidden file stands for an image that iCloud has taken off this disk."""
    match = _ICLOUD.fullmatch(name)
    return match is not None and _is_image_name(match[1])


def stray_folder(name: str) -> str:
    """Why a folder of this name is not walked; empty for any other."""
    return THUMBNAIL_FOLDER if name == "@eaDir" else ""


def stray_link(path: str) -> str:
    """What a symbolic link of git-annex is, in words; empty for any other link."""
    try:
        target = os.readlink(path).replace("\\", "/")  # noqa: PTH115  (Path would normalise the name)
    except (OSError, ValueError):
        return ""
    if not _ANNEX_TARGET.search(target):
        return ""
    if os.path.exists(path):  # noqa: PTH110  (the same)
        return ANNEX_LINK
    return NOT_HERE + _ANNEX.format("link")


def stray_file(path: str, status: os.stat_result) -> str:
    """What a regular file is that stands beside images or for one, in words; empty for all others.

    It opens only files of some names, and images too small to be one.
    """
    folder, name = os.path.split(path)
    if known := _BY_NAME.get(name.lower()):
        return known
    if placeholder := _placeholder(name, status):
        return placeholder
    apple = name.startswith("._") or os.path.basename(folder) in _APPLE_FOLDERS  # noqa: PTH119
    if apple and _head(path, len(_APPLE_DOUBLE)) == _APPLE_DOUBLE:
        return APPLE_DOUBLE
    if status.st_size < _POINTER_BYTES and _is_image_name(name):
        head = _head(path, _POINTER_BYTES)
        return next((NOT_HERE + words for pattern, words in _POINTERS if pattern.match(head)), "")
    return ""


def stray_member(name: str, head: bytes) -> str:
    """The same of a member of an archive, by its first bytes; pointers are told by reading them."""
    base = name.rpartition("/")[2]
    if known := _BY_NAME.get(base.lower()):
        return known
    return APPLE_DOUBLE if head.startswith(_APPLE_DOUBLE) else ""


def _placeholder(name: str, status: os.stat_result) -> str:
    """Which cloud holds a file's content, in words; empty if it is here. Reading it would fetch it."""
    for pattern, cloud in ((_ICLOUD, "iCloud"), (_VIRTUAL, "Nextcloud or ownCloud")):
        match = pattern.fullmatch(name)
        if match and _is_image_name(match[1]):
            return NOT_HERE + _CLOUD.format(cloud)
    recalled = getattr(status, "st_file_attributes", 0) & _RECALLED_ATTRIBUTES
    if recalled or getattr(status, "st_flags", 0) & _DATALESS:
        words = _CLOUD.format("a cloud drive")
        return NOT_HERE + words if _is_image_name(name) else words
    return ""


def _is_image_name(name: str) -> bool:
    known = identify_name(name)
    return known is not None and not known.kind.may_hold_images


def _head(path: str, size: int) -> bytes:
    try:
        with open_file(path) as file:
            return file.read(size)
    except (OSError, ValueError):
        return b""  # reading it will fail, and its row will say why
