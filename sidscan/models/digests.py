"""Digests of weights files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sidscan.errors import ModelError
from sidscan.models.origins import Algorithm
from sidscan.util.files import open_file


def hash_file(path: Path, *algorithms: Algorithm) -> dict[Algorithm, str]:
    """Digests of a file by algorithm, lower-case hex, in one pass.

    Raises:
        ModelError: the file can't be read.
    """
    hashers = {algorithm: hashlib.sha256() for algorithm in algorithms}
    try:
        with open_file(path) as file:  # a pipe would hold the program up
            if "git-blob" in hashers:
                header = b"blob %d\0" % os.fstat(file.fileno()).st_size
                hashers["git-blob"] = hashlib.sha1(header, usedforsecurity=False)
            while chunk := file.read(1 << 20):
                for hasher in hashers.values():
                    hasher.update(chunk)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror or error}") from error
    return {algorithm: hasher.hexdigest() for algorithm, hasher in hashers.items()}
