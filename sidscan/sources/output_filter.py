"""What a scan writes itself is never among the pictures that it scans."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sidscan.config import ScanConfig
from sidscan.util.files import real_path

SKIP_OUTPUT = "a file that this scan writes itself"
SKIP_SAVED = "an original in --save-dir; name the file to scan it"
# Originals are called by their sha256 (fetch.saved); a picture that somebody else put there is scanned.
_SAVED_NAME = re.compile(r"[0-9a-f]{64}(\.[a-z]+)?|\.sidscan-.*")


class OutputFilter:
    """Tells the reports, the journal and the saved originals of a scan from its inputs."""

    def __init__(self, config: ScanConfig) -> None:
        files = list(config.exclude)
        if config.journal is not None:
            # Opened and closed in this process, it would lose the lock that keeps other scans from it.
            files += [config.journal, Path(f"{config.journal}-journal")]
        self._files = frozenset(real_path(file) for file in files)
        self._names = frozenset(file.name for file in self._files)
        self._folder = real_path(config.save_dir) if config.save_dir is not None else None

    def is_output(self, name: str) -> bool:
        """Whether a name, perhaps through links, is that of a report or of the journal."""
        return real_path(name) in self._files

    def is_output_entry(self, entry: os.DirEntry[str]) -> bool:
        """The same for a file that a walk met, without a look at most of them."""
        return entry.name in self._names and self.is_output(entry.path)

    def is_saved_download(self, entry: os.DirEntry[str]) -> bool:
        """Whether a file that a walk met is an original that was kept."""
        if self._folder is None or not _SAVED_NAME.fullmatch(entry.name):
            return False
        return real_path(os.path.dirname(entry.path)) == self._folder  # noqa: PTH120
