"""A folder of Parquet for a run of shards: ``shard-000017.parquet`` for each, and ``SHA256SUMS``.

DuckDB, pandas, Polars and Spark read such a folder as one table. Each file is written whole or not at all,
and replaces only what was written here before: a file whose bytes are those that ``SHA256SUMS`` states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from sidscan.errors import OutputError
from sidscan.records import RunRecord
from sidscan.reports import sha256sums
from sidscan.reports.base import DEFAULT_OPTIONS, FormatOptions
from sidscan.reports.parquet import ParquetReport
from sidscan.util.files import atomic_write, content_sha256, open_file, sha256_of

SUMS_NAME = "SHA256SUMS"
_REMEDY = "Rename it to keep it, or choose another --out."


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
        sums = {
            shard_name(number): write_parquet_shard(record, folder / shard_name(number), writer)
            for number, record in records
        }
        for name in known.keys() - sums.keys():
            (folder / name).unlink(missing_ok=True)
        write_sums(folder, sums)
    except OSError as error:
        raise OutputError(f"can't write into {folder}: {error.strerror or error}", _REMEDY) from error
    return sums


def write_parquet_shard(record: RunRecord, path: Path, writer: ParquetReport) -> str:
    """Write the file of one shard, whole or not at all; returns its sha256, hex.

    Raises:
        OSError: it can't be written.
    """
    with atomic_write(path) as partial:
        writer.write(record, partial, path)
        with partial.open("rb") as file:
            sha256 = sha256_of(file)
    return sha256


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write what ``sha256sum -c SHA256SUMS`` checks in the folder.

    Args:
        sums: sha256, hex, by the names of files.
    """
    with atomic_write(folder / SUMS_NAME) as partial:
        partial.write_bytes(
            b"".join(sha256sums.sums_line(Path(name), sha256) for name, sha256 in sorted(sums.items()))
        )


def _known(folder: Path) -> dict[str, str]:
    """What ``SHA256SUMS`` states, of files that are shards."""
    try:
        with open_file(folder / SUMS_NAME) as file:
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    stated = (line.split("  ", 1) for line in lines if "  " in line)
    return {
        name: sha256
        for sha256, name in stated
        if name.startswith("shard-") and name.endswith(".parquet") and "/" not in name and "\\" not in name
    }


def _check_folder(folder: Path, known: Mapping[str, str]) -> None:
    """Refuse to mix with, or to replace, what somebody else put there.

    Raises:
        OutputError: there is such a file.
    """
    for path in sorted(folder.iterdir()):
        if path.name == SUMS_NAME or path.name.startswith(".sidscan-"):
            continue
        if path.name not in known or not path.is_file():
            raise OutputError(f"{path} is there and was not written by sidscan; it is left alone", _REMEDY)
        if content_sha256(path) != known[path.name]:
            raise OutputError(f"{path} was changed after sidscan wrote it; it is left alone", _REMEDY)
