"""Parquet files: cells that hold the bytes of images, and columns of names, a batch of rows at a time.

pyarrow decodes them, which is C++ that reads a stranger's file: only worker processes call this module.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any, BinaryIO

from sidscan.archives.entries import ArchiveEntry, ArchiveError, Packing, Problem, Span
from sidscan.archives.unpack import CHUNK, is_of_system
from sidscan.util.magic import SIGNATURE_BYTES

SIGNATURE = b"PAR1"
NEEDS_PACKAGE = (
    "it is a Parquet file, which needs one package more: pip install pyarrow; then run the scan again"
)
NO_BYTES_COLUMN = (
    "it has no column of bytes; a column of paths or URLs is read with --list FILE --list-column NAME"
)
_BATCH_BYTES = 16 << 20  # of a column that are decoded at once, about
_MOST_ROWS = 256  # of a batch
_BUFFER = 1 << 20  # bytes of the file that are held
_MOST_SHOWN = 20  # columns in a message


class Table:
    """An open Parquet file.

    Raises:
        ArchiveError: it is none, damaged, or pyarrow is not installed.
    """

    def __init__(self, file: BinaryIO) -> None:
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # others reserve more than they use
        try:
            parquet = importlib.import_module("pyarrow.parquet")
        except ModuleNotFoundError as error:
            raise ArchiveError(NEEDS_PACKAGE) from error
        with damage():
            self._file = parquet.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER)
            self._schema = self._file.schema_arrow
            self.columns: list[str] = list(self._schema.names)

    def find_column(self, name: str) -> str:
        """The exact name of a column; capitals and blanks around it do not matter.

        Raises:
            ArchiveError: there is none, or more than one.
        """
        similar = [each for each in self.columns if each.casefold() == name.strip().casefold()]
        found = [each for each in similar if each == name] or similar
        if not found:
            raise ArchiveError(f"has no column {name!r}; {self.shown_columns()}")
        if len(found) > 1:
            raise ArchiveError(f"has {len(found)} columns {name!r}")
        return found[0]

    def shown_columns(self) -> str:
        """The words ``its columns are path, size``."""
        more = " ..." if len(self.columns) > _MOST_SHOWN else ""
        return f"its columns are {', '.join(self.columns[:_MOST_SHOWN])}{more}"

    def class_names(self, column: str) -> tuple[str, ...]:
        """What the numbers of a column stand for, as the library `datasets` notes it; empty if nobody did."""
        noted = (self._schema.metadata or {}).get(b"huggingface", b"{}")
        try:
            names = json.loads(noted)["info"]["features"][column]["names"]
        except (KeyError, TypeError, ValueError):
            return ()
        return tuple(map(str, names)) if isinstance(names, list) else ()

    def holds_bytes(self, index: int) -> bool:
        """Whether a column holds bytes, itself or in a field ``bytes`` of its values, as datasets do."""
        return _is_binary(self._bytes_type(index))

    def holds_text(self, index: int) -> bool:
        """Whether a column holds text."""
        kind = str(self._schema.field(index).type)
        return kind in ("string", "large_string", "string_view") or kind.startswith(
            "dictionary<values=string"
        )

    def cells(self, index: int, first_row: int = 0) -> Iterator[tuple[int, memoryview | None]]:
        """Row and bytes of each cell of a column from a row on; None for one without.

        Raises:
            ArchiveError: it is damaged there.
        """
        name = self.columns[index]
        is_struct = str(self._schema.field(index).type).startswith("struct<")
        leaf = f"{name}.bytes" if is_struct else name
        for row, scalar in self._scalars(leaf, is_struct, first_row):
            yield row, memoryview(scalar.as_buffer()) if scalar.is_valid else None

    def texts(self, index: int) -> Iterator[str]:
        """The texts of a column, without empty ones."""
        for _, scalar in self._scalars(self.columns[index], False, 0):
            if scalar.is_valid and (text := str(scalar.as_py())).strip():
                yield text

    def rows(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The cells of some columns as texts: dates as ISO 8601, truth as true or false, nothing as ""."""
        with damage():
            batches = iter(self._file.iter_batches(_MOST_ROWS, columns=list(names), use_threads=False))
        while True:
            with damage():
                batch = next(batches, None)
                if batch is None:
                    return
                columns = batch.to_pydict()
                rows = [
                    list(map(_as_text, cells)) for cells in zip(*(columns[n] for n in names), strict=True)
                ]
            yield from rows

    def _scalars(self, leaf: str, is_struct: bool, first_row: int) -> Iterator[tuple[int, Any]]:
        groups, row = self._groups_from(first_row)
        for group in groups:
            with damage():
                batches = iter(
                    self._file.iter_batches(
                        self._rows_at_once(group, leaf), row_groups=[group], columns=[leaf], use_threads=False
                    )
                )
            while True:
                with damage():
                    batch = next(batches, None)
                    if batch is None:
                        break
                    if batch.num_columns != 1:  # which of them is meant, nobody can say
                        raise ArchiveError(f"it has several columns {leaf!r}")
                    column = batch.column(0)
                    values = list(column.field(0) if is_struct else column)
                for value in values:
                    if row >= first_row:
                        yield row, value
                    row += 1

    def _groups_from(self, first_row: int) -> tuple[range, int]:
        """The row groups that hold a row and those behind it, and the number of their first row."""
        start = 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if start + rows > first_row:
                return range(group, self._file.num_row_groups), start
            start += rows
        return range(0), start

    def _rows_at_once(self, group: int, leaf: str) -> int:
        about = self._file.metadata.row_group(group)
        columns = (about.column(at) for at in range(about.num_columns))
        size = sum(each.total_uncompressed_size for each in columns if each.path_in_schema == leaf)
        rows = _BATCH_BYTES * max(about.num_rows, 1) // max(size, 1)
        return int(min(max(rows, 1), _MOST_ROWS))

    def _bytes_type(self, index: int) -> str:
        kind = self._schema.field(index).type
        if str(kind).startswith("struct<"):
            at = kind.get_field_index("bytes")
            return str(kind.field(at).type) if at >= 0 else ""
        return str(kind)


def read_cells(file: BinaryIO) -> Iterator[ArchiveEntry]:
    """A member for each cell of each column of bytes, named ``COLUMN/ROW``.

    Raises:
        ArchiveError: the file is damaged; earlier members were yielded.
    """
    table = Table(file)
    columns = [index for index in range(len(table.columns)) if table.holds_bytes(index)]
    if not columns:
        raise ArchiveError(NO_BYTES_COLUMN)
    for index in columns:
        for row, cell in table.cells(index):
            name = f"{table.columns[index]}/{row}"
            if cell is None:
                yield ArchiveEntry(name, problem=Problem.NO_BYTES.value)
            else:
                span = Span(Packing.PARQUET, row, len(cell), bound=index)
                yield ArchiveEntry(name, span, head=bytes(cell[:SIGNATURE_BYTES]))


class CellStream:
    """Cells of one column, read forward.

    Attributes:
        index: the column's.
        row: the next one.
    """

    def __init__(self, file: BinaryIO, index: int, row: int) -> None:
        self.file, self.index, self.row = file, index, row
        self._cells = Table(file).cells(index, row)

    def read(self, row: int) -> Iterator[bytes]:
        """The bytes of the cell in a row that is not behind `row`, in parts.

        Raises:
            ArchiveError: there are none.
        """
        for at, cell in self._cells:
            self.row = at + 1
            if at == row and cell is not None:
                yield from (bytes(cell[start : start + CHUNK]) for start in range(0, len(cell), CHUNK))
                return
            if at >= row:
                break
        raise ArchiveError(Problem.OUTSIDE.value)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@contextmanager
def damage() -> Iterator[None]:
    """What pyarrow raises over damaged files, as one error."""
    try:
        yield
    except (ArchiveError, MemoryError):
        raise
    except Exception as error:
        if is_of_system(error):
            raise
        line = next(iter(str(error).splitlines()), "")[:300] or type(error).__name__
        raise ArchiveError(f"it can't be read as Parquet: {line}") from error


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).isoformat()
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _is_binary(kind: str) -> bool:
    return kind in ("binary", "large_binary", "binary_view") or kind.startswith("fixed_size_binary[")
