"""A folder of Parquet for a run of shards: ``shard-000017.parquet`` for each, and ``SHA256SUMS``.

DuckDB, pandas, Polars and Spark read such a folder as one table. Each file is written whole or not at all,
and replaces only what was written here before: a file whose bytes are those that ``SHA256SUMS`` states.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from sidscan.errors import OutputError, UsageError
from sidscan.records import RunRecord
from sidscan.reports import sha256sums
from sidscan.reports.base import DEFAULT_OPTIONS, FormatOptions
from sidscan.reports.parquet import ParquetReport
from sidscan.util.files import atomic_write, content_sha256, flush_to_disk, open_file, sha256_of

SUMS_NAME = "SHA256SUMS"
_REMEDY = "Rename it to keep it, or choose another folder."


def shard_name(number: int) -> str:
    """The file of a shard, which are numbered from 0."""
    return f"shard-{number:06d}.parquet"


def write_parquet_folder(
    records: Iterable[tuple[int, RunRecord]],
    folder: Path,
    options: FormatOptions = DEFAULT_OPTIONS,
    overwrite: bool = False,
) -> dict[str, str]:
    """Write a file for each shard, then ``SHA256SUMS``; returns the sha256 of each file, hex, by name.

    Args:
        records: number and record of each shard; one is read at a time.
        folder: it is made if it is not there. Files that an earlier call wrote and this one does not are
            removed, so that the folder holds the run and nothing else.
        overwrite: replace files whatever they hold.

    Raises:
        RuntimeUnavailable: pyarrow is not installed.
        OutputError: something else is there, or the folder can't be written.
    """
    writer = ParquetReport().configured(options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _known(folder)
        if not overwrite:
            _check_folder(folder, known)
        sums = {}
        for number, record in records:
            path = folder / shard_name(number)
            sums[path.name] = write_parquet_shard(record, path, writer, partial(_expect, path))
        for name in filter(_is_shard, known.keys() - sums.keys()):
            (folder / name).unlink(missing_ok=True)
        write_sums(folder, sums)
    except OSError as error:
        raise OutputError(f"can't write into {folder}: {error.strerror or error}", _REMEDY) from error
    return sums


def write_parquet_shard(
    record: RunRecord, path: Path, writer: ParquetReport, expect: Callable[[str], object] = lambda _: None
) -> str:
    """Write the file of one shard, whole or not at all; returns its sha256, hex.

    Args:
        expect: called with that, right before the file is there.

    Raises:
        OSError: it can't be written.
    """
    with atomic_write(path) as temporary:
        writer.write(record, temporary, path)
        with temporary.open("rb") as file:
            sha256 = sha256_of(file)
        expect(sha256)
    return sha256


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write what ``sha256sum -c SHA256SUMS`` checks in the folder.

    Args:
        sums: sha256, hex, by the names of files.
    """
    with atomic_write(folder / SUMS_NAME) as temporary:
        temporary.write_bytes(
            b"".join(sha256sums.sums_line(Path(name), sha256) for name, sha256 in sorted(sums.items()))
        )


def is_parquet_folder(folder: Path) -> bool:
    """Whether a folder holds files of shards and their hashes."""
    return (folder / SUMS_NAME).is_file() and any(_is_shard(path.name) for path in folder.iterdir())


def read_sums(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a folder, hex, as ``SHA256SUMS`` states them.

    Raises:
        UsageError: it can't be read, or is not of a whole folder.
    """
    try:
        known = _known(folder)
    except OSError as error:
        raise UsageError(f"can't read {folder / SUMS_NAME}: {error.strerror}", "Is it damaged?") from error
    if not known or not all(_is_shard(name) and len(sums) == 1 for name, sums in known.items()):
        raise UsageError(f"{folder / SUMS_NAME} is damaged", "Write the folder again: sidscan collect RUN.")
    return {name: sha256 for name, (sha256,) in known.items()}


def changed_files(folder: Path) -> Iterator[str]:
    """The files of a folder that are not what its ``SHA256SUMS`` says, each with what is wrong.

    Raises:
        UsageError: it can't be read.
    """
    sums = read_sums(folder)
    for name, sha256 in sorted(sums.items()):
        try:
            there = content_sha256(folder / name)
        except OSError:
            there = None
        if there != sha256:
            yield f"{'changed' if there else 'missing'}: {name}"
    for path in sorted(folder.iterdir()):
        if _is_shard(path.name) and path.name not in sums:
            yield f"not recorded: {path.name}"


def _expect(path: Path, sha256: str) -> None:
    """State what a file is about to hold beside what it holds, so that whoever is killed can go on."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(path.parent / SUMS_NAME, flags, 0o666), "ab") as file:  # noqa: PTH123  (no link is followed)
        file.write(b"\n" + sha256sums.sums_line(Path(path.name), sha256))  # the line before may be cut off
        file.flush()
        flush_to_disk(file.fileno())


def _known(folder: Path) -> dict[str, set[str]]:
    """What ``SHA256SUMS`` states; of a file that is being replaced both hashes."""
    try:
        with open_file(folder / SUMS_NAME) as file:
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    stated = (line.split("  ", 1) for line in lines if "  " in line)
    known: dict[str, set[str]] = {}
    for sha256, name in stated:
        known.setdefault(name, set()).add(sha256)
    return known


def _is_shard(name: str) -> bool:
    return re.fullmatch(r"shard-\d{6,}\.parquet", name, re.ASCII) is not None


def _check_folder(folder: Path, known: Mapping[str, Collection[str]]) -> None:
    """Refuse to mix with, or to replace, what somebody else put there.

    Raises:
        OutputError: there is such a file.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".sidscan-") or (path.name == SUMS_NAME and all(map(_is_shard, known))):
            continue
        if not (_is_shard(path.name) and path.name in known and path.is_file()):
            raise OutputError(f"{path} is there and was not written by sidscan; it is left alone", _REMEDY)
        if content_sha256(path) not in known[path.name]:
            raise OutputError(f"{path} was changed after sidscan wrote it; it is left alone", _REMEDY)
