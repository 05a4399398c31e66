"""Keep the files that sidscan writes out of the inputs of scans."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sidscan.config import ScanConfig
from sidscan.util.files import open_file, real_path
from sidscan.util.magic import SIGNATURE_BYTES
from sidscan.util.own_maps import is_map_name, states_sidscan

SKIP_OUTPUT = "a file that this scan writes itself"
SKIP_SAVED = "an original in --save-dir; name the file to scan it"
SKIP_MAP = "a map of another image, by its name and its own words; name the file to scan it"
# Saved originals are named by their sha256 (fetch.saved). An image that somebody else put there is scanned.
_SAVED_NAME = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]+)?|\.sidscan-.*")


class OutputFilter:
    """Recognises the reports, the journal and the saved originals of a scan among its inputs."""

    def __init__(self, config: ScanConfig) -> None:
        files = list(config.outputs)
        if config.journal is not None:
            # Opening and closing the journal as an input would drop the lock that keeps other scans out.
            files += [config.journal, Path(f"{config.journal}-journal")]
        self._files = frozenset(real_path(file) for file in files)
        self._names = frozenset(file.name for file in self._files)
        self._save_dir = real_path(config.save_dir) if config.save_dir is not None else None

    def is_output(self, name: str) -> bool:
        """Whether a name leads, perhaps through links, to a report or to the journal."""
        return real_path(name) in self._files

    def is_output_entry(self, entry: os.DirEntry[str]) -> bool:
        """`is_output` for a file of a walk; it resolves only those that have the name of an output."""
        return entry.name in self._names and self.is_output(entry.path)

    def is_saved_download(self, entry: os.DirEntry[str]) -> bool:
        """Whether a file of a walk is an original that ``--save-dir`` keeps."""
        if self._save_dir is None or not _SAVED_NAME.fullmatch(entry.name):
            return False
        return real_path(os.path.dirname(entry.path)) == self._save_dir  # noqa: PTH120


def is_map_file(path: str) -> bool:
    """Whether a file of a walk is a map that some run drew of an image; only those so named are opened."""
    if not is_map_name(path):
        return False
    try:
        with open_file(path) as file:
            return states_sidscan(file.read(SIGNATURE_BYTES))
    except OSError:
        return False  # reading it will fail, and its row will say why


def is_map_member(name: str, head: bytes) -> bool:
    """The same of a member of an archive, by its first bytes."""
    return is_map_name(name) and states_sidscan(head)
